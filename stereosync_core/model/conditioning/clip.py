"""All conditions of a clip but text: scene, envelope and timbre, as the networks take them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ...errors import StereoSyncError
from ...scene import DepthSequence, Envelope, Tracks
from .features import (
    SUBFRAMES,
    SceneFeatures,
    envelope_features,
    event_features,
    latent_count,
    map_tensors,
    scene_features,
)


@dataclass(frozen=True)
class ClipConditions:
    """Conditions of a batch of B clips of T latent frames.

    :param scene: boxes and depth.
    :param envelope: ``[B, SUBFRAMES, T]`` in 0..1; zeros where ``has_envelope`` is 0.
    :param has_envelope: ``[B, 1]``.
    :param timbre: ``[B, E]``; zeros stand for none.
    :param events: ``[B, SUBFRAMES + 1, T]``, of :func:`.features.event_features`; zeros where ``has_events [B, 1]`` is 0.
    """

    scene: SceneFeatures
    envelope: Tensor
    has_envelope: Tensor
    timbre: Tensor
    events: Tensor = field(default=None)  # type: ignore[assignment]
    has_events: Tensor = field(default=None)  # type: ignore[assignment]

    def __post_init__(self):
        if self.events is None:
            batch, _, frames = self.envelope.shape
            object.__setattr__(self, "events", self.envelope.new_zeros((batch, SUBFRAMES + 1, frames)))
            object.__setattr__(self, "has_events", torch.zeros_like(self.has_envelope))

    def control_signal(self, channels: int) -> Tensor:
        """What a control branch of so many ``channels`` is given, ``[B, channels, T]``: the envelope and whether there is one,
        and the same of the events where the branch was trained on them."""
        signal = [self.envelope, self.has_envelope[:, :, None].expand(-1, -1, self.envelope.shape[-1])]
        if channels > SUBFRAMES + 1:
            signal += [self.events, self.has_events[:, :, None].expand(-1, -1, self.envelope.shape[-1])]
        return torch.cat(signal, dim=1)

    @property
    def has_space(self) -> bool:
        """Whether there is a track or a depth map at all."""
        return bool(self.scene.seen.any() or self.scene.has_depth.any())

    def without_space(self) -> ClipConditions:
        return replace(self, scene=self.scene.without_space())

    def without_timbre(self) -> ClipConditions:
        return replace(self, timbre=torch.zeros_like(self.timbre))

    def window(self, start: int, length: int) -> ClipConditions:
        """The latent frames from ``start`` on."""
        scene, part = self.scene.window(start, length), slice(start, start + length)
        return replace(self, scene=scene, envelope=self.envelope[..., part], events=self.events[..., part])

    def to(self, *arguments) -> ClipConditions:
        """On another device or of another dtype."""
        return map_tensors(lambda value: value.to(*arguments), self)

    @staticmethod
    def join(several: list[ClipConditions]) -> ClipConditions:
        """One batch of several of the same number of tracks and frames."""
        return map_tensors(lambda *parts: torch.cat(parts), *several)


def clip_conditions(
    tracks: Tracks,
    depth: DepthSequence | None,
    envelope: Envelope | None,
    timbre: Tensor | None,
    *,
    latent_rate: float,
    timbre_size: int,
) -> ClipConditions:
    """Conditions of one clip.

    :param timbre: ``[E]`` (:class:`.sound_timbre.SoundTimbre`); None leaves the timbre to the model.
    :raises StereoSyncError: for a timbre of another size than ``timbre_size``, which the model takes.
    """
    frames = latent_count(tracks.duration, latent_rate)
    curve = torch.zeros((SUBFRAMES, frames)) if envelope is None else envelope_features(envelope, frames, latent_rate)[0]
    vector = torch.zeros(timbre_size) if timbre is None else timbre.detach().float().cpu()
    if vector.shape != (timbre_size,):
        raise StereoSyncError(f"Timbre: a vector of {tuple(vector.shape)} was given, this model takes [{timbre_size}].")
    scene = SceneFeatures.stack([scene_features(tracks, depth, frames, latent_rate, envelope)])
    conditions = ClipConditions(scene, curve[None], torch.full((1, 1), float(envelope is not None)), vector[None])
    if envelope is None or envelope.events is None:
        return conditions
    events = event_features(envelope.events, frames, latent_rate)
    return replace(conditions, events=events[None], has_events=torch.ones((1, 1)))
