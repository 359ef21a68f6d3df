"""Pictures that nodes show of what they have found or made."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import torch
from comfy_api.latest import io, ui

from ..stereosync_core.media.sound import Sound
from ..stereosync_core.preview.event_strip import event_strip
from ..stereosync_core.preview.strips import depth_strip, envelope_picture, sound_picture, tracks_strip
from ..stereosync_core.scene import DepthSequence, Envelope, Tracks
from ..stereosync_core.scene_events import Events
from . import host


def image_of(picture: np.ndarray) -> torch.Tensor:
    """Native IMAGE of one picture uint8 RGB ``[H, W, 3]``."""
    return torch.from_numpy(picture).float()[None] / 255.0


def _shown(picture: np.ndarray, node: type[io.ComfyNode]) -> ui.PreviewImage:
    return ui.PreviewImage(image_of(picture), cls=node)


def depth_shown(depth: DepthSequence, node: type[io.ComfyNode]) -> ui.PreviewImage:
    return _shown(depth_strip(depth), node)


def tracks_shown(video: Any, tracks: Tracks, node: type[io.ComfyNode]) -> ui.PreviewImage:
    return _shown(tracks_strip(host.source_of(video), tracks), node)


def events_shown(video: Any, events: Events, tracks: Tracks, node: type[io.ComfyNode]) -> ui.PreviewImage:
    return _shown(event_strip(host.source_of(video), events, tracks), node)


def envelope_shown(envelope: Envelope, node: type[io.ComfyNode]) -> ui.PreviewImage:
    return _shown(envelope_picture(envelope), node)


def sound_shown(samples: Any, rate: int, node: type[io.ComfyNode], tracks: Tracks | None = None) -> ui.PreviewImage:
    """Of a sound ``[C, T]``, or the mix of a list of such."""
    mix = reduce(np.add, samples) if isinstance(samples, list) else samples
    return _shown(sound_picture(Sound(np.asarray(mix, dtype=np.float32), rate), tracks), node)
