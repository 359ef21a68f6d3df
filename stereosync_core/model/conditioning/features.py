"""Boxes, depth and loudness at the latent frame rate: the numbers that a generative model is conditioned on, one form for
training, both forms of conditions (:mod:`.aligned`, :mod:`.paper`) and the sampler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ...scene import DepthSequence, Envelope, Tracks
from ...scene_events import Events

#: Moments of a latent frame at which boxes and envelope are read: 86 a second at the usual 46 ms a latent.
SUBFRAMES = 4
#: Of a moment: five of the box's place and size, their five changes, and whether it is seen.
MOMENT_VALUES = 11
#: Rows and columns of the depth maps.
DEPTH_GRID = (12, 16)
#: Level of the loudest moment of the envelope in the sound that the autoencoder sees.
REFERENCE_LEVEL = 0.15
#: Window of the envelope's root mean square, seconds.
ENVELOPE_WINDOW = 0.024
#: The envelope is given in units of its own loudest moment, compressed so that -60 dB is well above 0.
_ENVELOPE_KNEE = 1e-3
Kind = TypeVar("Kind")


def map_tensors(function: Callable[..., Tensor], *values: Kind) -> Kind:
    """``function`` of each tensor in dataclasses of one kind, or in dataclasses and tuples in them; the rest is the first's."""
    first: Any = values[0]
    if isinstance(first, Tensor):
        return function(*values)
    if isinstance(first, tuple):
        return tuple(map_tensors(function, *parts) for parts in zip(*values, strict=True))  # type: ignore[return-value, arg-type]
    if is_dataclass(first):
        parts = ([getattr(value, field.name) for value in values] for field in fields(first))
        return type(first)(*(map_tensors(function, *part) for part in parts))  # type: ignore[return-value]
    return first


def interleaved(clips: Sequence[Kind]) -> Kind:
    """One batch of the windows of several clips, the first window of each first; None where they have none."""
    return map_tensors(lambda *rows: torch.stack(rows, dim=1).flatten(0, 1), *clips)


@dataclass(frozen=True)
class SceneFeatures:
    """Conditions of one clip, or of a batch (then every tensor has B in front). K tracks, T latent frames.

    :param boxes: ``[K, T, SUBFRAMES, 4]``, x0, y0, x1, y1 in 0..1 of the frame; anything where not seen.
    :param seen: ``[K, T, SUBFRAMES]``, 1 = in the picture.
    :param depth: ``[T, *DEPTH_GRID]``, 1 = near; zeros where there is none.
    :param has_depth: ``[1]``, 1 = there is depth.
    :param owners: ``[K, T, SUBFRAMES]``, the share of the sound that is known to be a track's; zeros where nothing is known.
    """

    boxes: Tensor
    seen: Tensor
    depth: Tensor
    has_depth: Tensor
    owners: Tensor = field(default=None)  # type: ignore[assignment]

    def __post_init__(self):
        if self.owners is None:
            object.__setattr__(self, "owners", torch.zeros_like(self.seen))

    def window(self, start: int, length: int) -> SceneFeatures:
        """The latent frames from ``start`` on, of batched features."""
        part = slice(start, start + length)
        boxes, seen, owners = (values[:, :, part] for values in (self.boxes, self.seen, self.owners))
        return SceneFeatures(boxes, seen, self.depth[:, part], self.has_depth, owners)

    def to(self, *arguments) -> SceneFeatures:
        """On another device or of another dtype."""
        return map_tensors(lambda value: value.to(*arguments), self)

    def without_space(self) -> SceneFeatures:
        """The same shapes with nothing in them: no tracks, no depth."""
        return map_tensors(torch.zeros_like, self)

    def only(self, cues: str) -> SceneFeatures:
        """With nothing but ``boxes`` or ``depth`` in it; ``both`` leaves it as it is."""
        without = {"boxes": ("depth", "has_depth"), "depth": ("boxes", "seen", "owners")}.get(cues, ())
        return replace(self, **{name: torch.zeros_like(getattr(self, name)) for name in without})

    @staticmethod
    def stack(clips: list[SceneFeatures]) -> SceneFeatures:
        """A batch; clips with fewer tracks are filled up with unseen ones."""
        names = ("boxes", "seen", "owners")
        boxes, seen, owners = (pad_sequence([getattr(clip, name) for clip in clips], batch_first=True) for name in names)
        depth, has_depth = (torch.stack([getattr(clip, name) for clip in clips]) for name in ("depth", "has_depth"))
        return SceneFeatures(boxes, seen, depth, has_depth, owners)


def latent_count(duration: float, latent_rate: float) -> int:
    """Latent frames that cover ``duration`` seconds."""
    return max(1, int(np.ceil(duration * latent_rate - 1e-6)))


def subframe_times(frames: int, latent_rate: float) -> np.ndarray:
    """Seconds ``[frames * SUBFRAMES]``, the middle of each part of each latent frame."""
    return (np.arange(frames * SUBFRAMES) + 0.5) / (SUBFRAMES * latent_rate)


def scene_features(
    tracks: Tracks, depth: DepthSequence | None, frames: int, latent_rate: float, envelope: Envelope | None = None
) -> SceneFeatures:
    """Features of ``frames`` latent frames, ``latent_rate`` of them a second.

    :param envelope: from events, it tells whose sound is when.
    """
    times = subframe_times(frames, latent_rate)
    boxes = np.zeros((len(tracks), frames, SUBFRAMES, 4), dtype=np.float32)
    seen, owners = (np.zeros((len(tracks), frames, SUBFRAMES), dtype=np.float32) for _ in range(2))
    for n, track in enumerate(tracks):
        own, visible = track.at(times, tracks.max_gap)
        boxes[n] = own.reshape(frames, SUBFRAMES, 4)
        seen[n] = visible.reshape(frames, SUBFRAMES)
        if envelope is not None and track.id in envelope.owners:
            shares = np.interp(times, envelope.times, envelope.owners[track.id])
            owners[n] = shares.reshape(frames, SUBFRAMES) * seen[n]
    maps = torch.zeros((frames, *DEPTH_GRID))
    if depth is not None:
        # shrunk before they are repeated, for maps are few and latents many
        whole, way = torch.from_numpy(np.array(depth.maps))[:, None], {"mode": "bilinear", "antialias": True}
        small = torch.nn.functional.interpolate(whole, DEPTH_GRID, **way)[:, 0].clamp(0, 1)
        at_frames = DepthSequence(small.numpy(), depth.times).at((np.arange(frames) + 0.5) / latent_rate)
        maps = torch.from_numpy(at_frames).float()
    has_depth = torch.full((1,), float(depth is not None))
    return SceneFeatures(torch.from_numpy(boxes), torch.from_numpy(seen), maps, has_depth, torch.from_numpy(owners))


def moment_features(scene: SceneFeatures) -> Tensor:
    """Boxes and how they move ``[B, K, M, MOMENT_VALUES]`` at the M moments of batched features; zeros where not seen."""
    boxes, seen = scene.boxes.flatten(2, 3), scene.seen.flatten(2, 3)
    x0, y0, x1, y1 = boxes.unbind(-1)
    sizes = [(x1 - x0).clamp(min=1e-3).log(), (y1 - y0).clamp(min=1e-3).log()]
    places = torch.stack([x0 + x1 - 1, y1 - 0.5, y0 - 0.5, *sizes], dim=-1)
    both = torch.cat([seen[..., :1], seen[..., 1:] * seen[..., :-1]], dim=-1)
    # steps show as small and quick changes; they get the size of the rest
    changes = 40 * torch.diff(places, dim=2, prepend=places[:, :, :1]) * both[..., None]
    return torch.cat([places * seen[..., None], changes.clamp(-3, 3), seen[..., None]], dim=-1)


def envelope_features(envelope: Envelope, frames: int, latent_rate: float) -> tuple[Tensor, float]:
    """The envelope ``[SUBFRAMES, T]`` compressed to 0..1, and its loudest level. The loudest moment is 1, -60 dB of it is 0.13,
    silence 0; where all is silent the level is 0."""
    times = subframe_times(frames, latent_rate)
    values = envelope.at(times)
    loudest = float(envelope.values.max())
    relative = torch.from_numpy(values / loudest if loudest > 0 else np.zeros_like(values)).float()
    return compress(relative).unflatten(0, (frames, SUBFRAMES)).T.contiguous(), loudest


def event_features(events: Events, frames: int, latent_rate: float) -> Tensor:
    """The events of all tracks ``[SUBFRAMES + 1, T]``: the strength of the strongest in each part of each latent frame, and the
    place of the frame's strongest within its part, -1..1; zeros where there is none."""
    strengths, places = np.zeros(frames * SUBFRAMES), np.zeros(frames * SUBFRAMES)
    for event in events:
        moment = event.time * latent_rate * SUBFRAMES
        part = int(moment)
        if part < len(strengths) and event.strength >= strengths[part]:
            strengths[part], places[part] = event.strength, 2 * (moment - part) - 1
    parts, within = (values.reshape(frames, SUBFRAMES) for values in (strengths, places))
    strongest = np.take_along_axis(within, parts.argmax(1)[:, None], 1)
    return torch.from_numpy(np.concatenate([parts, strongest], 1).T).float().contiguous()


def compress(relative: Tensor) -> Tensor:
    """Levels in units of the loudest, 0..1, on a logarithmic scale that ends at -60 dB."""
    scale = float(np.log1p(1 / _ENVELOPE_KNEE))
    return torch.log1p(relative.clamp(0, 1) / _ENVELOPE_KNEE) / scale
