"""Rooms as the diffusion model sees them: latents, conditions and timbre of every clip, computed once and kept."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from stereosync_core.media.envelope import envelope_of_sound
from stereosync_core.model.conditioning.clap import ClapTimbre
from stereosync_core.model.conditioning.features import (
    DEPTH_GRID,
    ENVELOPE_WINDOW,
    REFERENCE_LEVEL,
    SUBFRAMES,
    SceneFeatures,
    compress,
    envelope_features,
    event_features,
    latent_count,
    map_tensors,
    scene_features,
    subframe_times,
)
from stereosync_core.model.conditioning.sound_timbre import SoundTimbre
from stereosync_core.model.decoding import Decoder
from stereosync_core.rendering.event_envelope import envelope_from_events
from stereosync_core.scene_events import Events

from ..rooms.rooms import RoomClip
from .sounds import as_it_is, clip_rows, kept, mutes_unseen, seen_sound

#: More walkers than this are in no room.
MOST_TRACKS = 3
RATE = 44100
#: Seconds in which a step falls to a third, and for which it counts at most.
_RINGING, _LONGEST = 0.05, 0.3
#: A loop's level over that of a step that begins.
_STEADY = 0.25


class Codec(Decoder, Protocol):
    """What makes latents of sounds, and sounds of latents: the bundled autoencoder, and Stable Audio Open's."""

    def encode(self, sound: Tensor) -> Tensor: ...

    def state_dict(self) -> dict[str, Tensor]: ...


@dataclass(frozen=True)
class SceneBank:
    """Arrays over clips; K = :data:`MOST_TRACKS`, T latent frames.

    :param latents: float16 ``[clips, C, T]``, not normalised.
    :param boxes: float16 ``[clips, K, T, SUBFRAMES, 4]``.
    :param seen: bool ``[clips, K, T, SUBFRAMES]``.
    :param depth: uint8 ``[clips, T, *DEPTH_GRID]``.
    :param envelope: float16 ``[clips, SUBFRAMES, T]``, compressed.
    :param events: float16 ``[clips, SUBFRAMES + 1, T]``, of :func:`event_features`.
    :param event_envelope: float16 ``[clips, SUBFRAMES, T]``: the envelope that the events ask for, zeros where there is none.
    :param owner: float16 ``[clips, 1 + K, SUBFRAMES, T]``: the part of what sounds at each moment that comes from a step of
        somebody out of the picture, and of each track; zeros where nobody has stepped.
    :param timbre: float16 ``[clips, E]``.
    """

    latents: Tensor
    boxes: Tensor
    seen: Tensor
    depth: Tensor
    envelope: Tensor
    events: Tensor
    event_envelope: Tensor
    owner: Tensor
    timbre: Tensor

    def __len__(self) -> int:
        return len(self.latents)

    def to(self, device: torch.device) -> "SceneBank":
        return self if self.latents.device == device else map_tensors(lambda value: value.to(device), self)

    def scene(self, clips: Tensor, starts: Tensor, length: int) -> SceneFeatures:
        """Features of windows of ``length`` latent frames."""
        boxes, seen = (windows(array, clips, starts, length, 1) for array in (self.boxes, self.seen))
        depth = windows(self.depth, clips, starts, length, 0) / 255
        return SceneFeatures(boxes, seen, depth, torch.ones((len(clips), 1), device=boxes.device))


def windows(array: Tensor, clips: Tensor, starts: Tensor, length: int, axis: int = -1) -> Tensor:
    """Windows of ``length`` along an axis of some of the clips ``[clips, ...]``, in single precision."""
    clips, starts = clips.to(array.device), starts.to(array.device)
    chosen = array[clips]
    place = axis + 1 if axis >= 0 else chosen.dim() + axis
    moments = starts[:, None] + torch.arange(length, device=array.device)
    rows = torch.arange(len(clips), device=array.device)[:, None]
    return chosen.movedim(place, 1)[rows, moments].movedim(1, place).float()


def scene_bank(rooms: Path, clips: int, autoencoder: Codec, timbre: SoundTimbre | ClapTimbre, cache: Path) -> SceneBank:
    """The first ``clips`` clips of a split's folder; from ``cache`` where they are there. On the processor, the autoencoder
    works in as many processes as there are cores; elsewhere in this one.

    Clips that are silent are left out. A step whose walker is not seen sounds in every other clip alone: conditions do not hold
    it, and on a user's clip it is not wanted.
    """
    key = hashlib.sha256()
    for network in (getattr(autoencoder, "encoder", autoencoder), timbre):  # another decoder leaves latents as they are
        for name, value in sorted(network.state_dict().items()):
            key.update(name.encode() + value.detach().cpu().numpy().tobytes())

    def make() -> dict[str, np.ndarray]:
        latents = partial(_latents, autoencoder)
        here = next(autoencoder.parameters()).device.type != "cpu"
        row_of = partial(_row, encode=as_it_is if here else latents, hop=autoencoder.downsampling, timbre=timbre)
        rows = [row for row in clip_rows(rooms, clips, row_of) if row is not None]
        if here:
            rows = [(latents(sound), *others) for sound, *others in rows]
        names = SceneBank.__dataclass_fields__
        return {name: np.stack(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}

    arrays = kept(cache / f"scenes-{rooms.name}-{clips}-{key.hexdigest()[:10]}.npz", make)
    return SceneBank(**{name: torch.from_numpy(value) for name, value in arrays.items()})


@torch.inference_mode()
def _latents(autoencoder: Codec, sound: np.ndarray) -> np.ndarray:
    place = next(autoencoder.parameters()).device
    return autoencoder.encode(torch.from_numpy(sound)[None].to(place))[0].cpu().numpy().astype(np.float16)


@torch.inference_mode()
def _row(
    clip: RoomClip, encode: Callable[[np.ndarray], np.ndarray], hop: int, timbre: SoundTimbre | ClapTimbre
) -> tuple[np.ndarray, ...] | None:
    sound = seen_sound(clip)
    rate = RATE / hop
    frames = latent_count(clip.duration, rate)
    envelope = envelope_of_sound(sound, RATE, window=ENVELOPE_WINDOW)
    loudest = float(envelope.values.max())
    if loudest < 1e-4:
        return None
    latents = encode(sound * np.float32(REFERENCE_LEVEL / loudest))
    times = subframe_times(frames, rate)
    curve = compress(torch.from_numpy(envelope.at(times) / loudest)).numpy().reshape(frames, SUBFRAMES).T
    scene = scene_features(clip.tracks, clip.depth, frames, rate)
    events = sounding_events(clip)
    curve_of_events = np.zeros((SUBFRAMES, frames), np.float32)
    if len(events):
        whole = envelope_from_events(events, clip.tracks, clip.depth, surface=clip.surface, window=ENVELOPE_WINDOW)
        curve_of_events = envelope_features(whole, frames, rate)[0].numpy()
    return (
        latents,
        *padded_boxes(scene),
        np.rint(scene.depth.numpy() * 255).astype(np.uint8).reshape(frames, *DEPTH_GRID),
        curve.astype(np.float16),
        event_features(events, frames, rate).numpy().astype(np.float16),
        curve_of_events.astype(np.float16),
        owners(clip, times).reshape(-1, frames, SUBFRAMES).transpose(0, 2, 1).astype(np.float16),
        timbre.of_sound(sound, RATE).numpy().astype(np.float16),
    )


def sounding_events(clip: RoomClip) -> Events:
    """The clip's events that :func:`.sounds.seen_sound` holds."""
    return clip.events(only_visible=mutes_unseen(clip))


def padded_boxes(scene: SceneFeatures) -> tuple[np.ndarray, np.ndarray]:
    """Boxes float16 ``[MOST_TRACKS, T, SUBFRAMES, 4]`` and what is seen, bool."""
    boxes, seen = (np.zeros((MOST_TRACKS, *part.shape[1:]), np.float16) for part in (scene.boxes, scene.seen))
    boxes[: len(scene.boxes)], seen[: len(scene.seen)] = scene.boxes.numpy(), scene.seen.numpy()
    return boxes, seen > 0


def owners(clip: RoomClip, times: np.ndarray) -> np.ndarray:
    """The part that nobody in the picture and each track have in what sounds at each moment, ``[1 + MOST_TRACKS, M]``; zeros
    where nobody has stepped. A step, or any event, rings for some 50 ms and falls with its distance; a loop sounds all the
    time."""
    shares = np.zeros((1 + MOST_TRACKS, len(times)))
    hidden = not mutes_unseen(clip)
    row_of = {track.id - 1: n + 1 for n, track in enumerate(clip.tracks)}
    parts = zip(clip.steps, clip.steps_visible, clip.loops, strict=True)
    for walker, (steps, seen, loop) in enumerate(parts):
        near = np.interp(times, clip.times, clip.distance[walker]).clip(min=1.0)
        if loop:
            visible = np.interp(times, clip.times, clip.visible[walker].astype(float)) > 0.5
            shares[row_of.get(walker, 0)] += _STEADY / near * visible
            shares[0] += _STEADY / near * ~visible * hidden
        for part, row in ((seen, row_of.get(walker, 0)), (~seen & hidden, 0)):
            own = steps.times[part]
            if not len(own):
                continue
            last = np.searchsorted(own, times, "right") - 1
            since = np.where(last >= 0, times - own[np.maximum(last, 0)], np.inf)
            shares[row] += np.exp(-np.minimum(since, 1.0) / _RINGING) / near * (since < _LONGEST)
    whole = shares.sum(0)
    return np.where(whole > 0, shares / np.maximum(whole, 1e-9), 0.0)
