"""All conditions of a clip but text: scene, envelope and timbre, as the networks take them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...errors import StereoSyncError
from ...scene import DepthSequence, Envelope, Tracks
from .features import SUBFRAMES, SceneFeatures, envelope_features, latent_count, map_tensors, scene_features


@dataclass(frozen=True)
class ClipConditions:
    """Conditions of a batch of B clips of T latent frames.

    :param scene: boxes and depth.
    :param envelope: ``[B, SUBFRAMES, T]`` in 0..1; zeros where ``has_envelope`` is 0.
    :param has_envelope: ``[B, 1]``.
    :param timbre: ``[B, E]``; zeros stand for none.
    """

    scene: SceneFeatures
    envelope: Tensor
    has_envelope: Tensor
    timbre: Tensor

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
        return replace(self, scene=self.scene.window(start, length), envelope=self.envelope[..., start : start + length])

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

    :param timbre: ``[E]`` (:class:`.timbre.TimbreEncoder`); None leaves the timbre to the model.
    :raises StereoSyncError: for a timbre of another size than ``timbre_size``, which the model takes.
    """
    frames = latent_count(tracks.duration, latent_rate)
    curve = torch.zeros((SUBFRAMES, frames)) if envelope is None else envelope_features(envelope, frames, latent_rate)[0]
    vector = torch.zeros(timbre_size) if timbre is None else timbre.detach().float().cpu()
    if vector.shape != (timbre_size,):
        raise StereoSyncError(f"Timbre: a vector of {tuple(vector.shape)} was given, this model takes [{timbre_size}].")
    scene = SceneFeatures.stack([scene_features(tracks, depth, frames, latent_rate, envelope)])
    return ClipConditions(scene, curve[None], torch.full((1, 1), float(envelope is not None)), vector[None])
