"""The loudness envelope read off the picture, where none is given: when it sounds, and how loud.

The part of Stable-V2A's RMS-Mapper (arXiv 2412.15023): features of the picture through convolutions and a bidirectional
recurrent layer to one of 64 mu-law classes at each moment. Features here are the tracked boxes, how they move, and how the
picture changes under them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...media.video import Source
from ...scene import Envelope, Tracks
from ..precision import LSTM
from .aligned import dilated_convolutions
from .features import MOMENT_VALUES, SceneFeatures, latent_count, moment_features, scene_features, subframe_times
from .motion import motion_of_clip

CLASSES = 64
_MU = 127.0
#: Level of the loudest class.
FULL_SCALE = 0.25
#: Of a track: its box and how it moves, its motion in pixels; and the picture's.
FEATURES = MOMENT_VALUES + 2


def to_classes(levels: Tensor) -> Tensor:
    """Levels to 0..63, not rounded: mu-law over 0..:data:`FULL_SCALE`."""
    relative = (levels / FULL_SCALE).clamp(0, 1)
    return torch.log1p(_MU * relative) / float(np.log1p(_MU)) * (CLASSES - 1)


def from_classes(classes: Tensor) -> Tensor:
    """The inverse of :func:`to_classes`."""
    return (torch.expm1(classes / (CLASSES - 1) * float(np.log1p(_MU))) / _MU) * FULL_SCALE


class VideoEnvelope(nn.Module):
    """Tracks' features to class scores.

    :param width: of a track's vectors, and of either direction of the recurrent layer.
    """

    def __init__(self, width: int = 96):
        super().__init__()
        self.width = width
        self.track = dilated_convolutions(FEATURES, width, 3)
        self.recurrent = LSTM(width, width, batch_first=True, bidirectional=True)
        self.classes = nn.Linear(2 * width, CLASSES)

    def forward(self, features: Tensor) -> Tensor:
        """Scores ``[B, M, CLASSES]`` of ``[B, K, M, FEATURES]``."""
        batch, count = features.shape[:2]
        seen = features[..., MOMENT_VALUES - 1].amax(-1)[:, :, None, None]
        vectors = self.track(features.flatten(0, 1).mT).unflatten(0, (batch, count)) * seen
        return self.classes(self.recurrent(vectors.sum(1).mT)[0])

    @torch.no_grad()
    def levels(self, features: Tensor) -> Tensor:
        """Levels ``[B, M]``: those of the mean class."""
        chances = self(features).softmax(-1)
        return from_classes(chances @ torch.arange(CLASSES, dtype=chances.dtype, device=chances.device))

    def to_config(self) -> dict[str, Any]:
        """What ``config.json`` holds of it."""
        return {"width": self.width}


def track_features(scene: SceneFeatures, motion: Tensor) -> Tensor:
    """Features ``[B, K, M, FEATURES]`` of batched scene features and motion ``[B, K + 1, M]``."""
    own, whole = motion[:, :-1], motion[:, -1:].expand(-1, motion.shape[1] - 1, -1)
    return torch.cat([moment_features(scene), torch.stack([own, whole], dim=-1)], dim=-1)


def resampled_motion(times: np.ndarray, motion: np.ndarray, wanted: np.ndarray) -> Tensor:
    """Motion ``[K + 1, M]`` at ``wanted`` seconds, each in units of the clip's own median."""
    if len(times) < 2:
        return torch.zeros((motion.shape[1], len(wanted)))
    columns = []
    for column in motion.T:
        usual = float(np.median(column[column > 0])) if (column > 0).any() else 1.0
        columns.append(np.clip(np.interp(wanted, times, column) / max(usual, 1e-6), 0, 4) / 2)
    return torch.from_numpy(np.stack(columns)).float()


def envelope_from_video(
    network: VideoEnvelope, tracks: Tracks, times: np.ndarray, motion: np.ndarray, latent_rate: float
) -> Envelope:
    """The envelope of a clip; silence where nothing is tracked.

    :param times: of ``motion`` (see :mod:`.motion`).
    """
    frames = latent_count(tracks.duration, latent_rate)
    moments = subframe_times(frames, latent_rate)
    if not len(tracks):
        return Envelope(np.zeros(len(moments)), moments)
    scene = SceneFeatures.stack([scene_features(tracks, None, frames, latent_rate)])
    device = network.classes.weight.device
    features = track_features(scene, resampled_motion(times, motion, moments)[None]).to(device)
    return Envelope(network.eval().levels(features)[0].cpu().numpy().astype(np.float64), moments)


def envelope_of_clip(
    network: VideoEnvelope,
    source: Source,
    tracks: Tracks,
    latent_rate: float,
    progress: Callable[[float, float], None] | None = None,
) -> Envelope:
    """The same, of a clip whose motion is not known yet.

    :param progress: called with seconds done and in all; raising inside it stops the work.
    """
    return envelope_from_video(network, tracks, *motion_of_clip(source, tracks, progress), latent_rate)
