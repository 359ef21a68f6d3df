"""The whole generative model: transformer, control branch, spatial conditions and timbre, and what goes into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .backbone import Backbone
from .conditioning.features import SUBFRAMES, SceneFeatures, Spoken
from .economy import Residuals, Reused
from .spatial_control import SpatialControl


@dataclass(frozen=True)
class Conditions:
    """What the model is told, for a batch of B clips of T latent frames.

    :param scene: boxes and depth.
    :param envelope: ``[B, SUBFRAMES, T]`` in 0..1 (``[B, 2 * SUBFRAMES, T]`` where the model hears one for each channel); zeros
        where ``has_envelope`` is 0.
    :param has_envelope: ``[B, 1]``.
    :param timbre: ``[B, E]``; zeros stand for none.
    """

    scene: SceneFeatures
    envelope: Tensor
    has_envelope: Tensor
    timbre: Tensor

    @property
    def mono_envelope(self) -> Tensor:
        """``[B, SUBFRAMES, T]``, the louder channel where there are two."""
        return self.envelope.unflatten(1, (-1, SUBFRAMES)).amax(1)

    @property
    def tells_space(self) -> bool:
        """Whether there is a track or a depth map at all."""
        return bool(self.scene.seen.any() or self.scene.has_depth.any())

    def only(self, cues: str) -> Conditions:
        """See :meth:`SceneFeatures.only`."""
        return replace(self, scene=self.scene.only(cues))

    def without_space(self) -> Conditions:
        return replace(self, scene=self.scene.without_space())

    def without_timbre(self) -> Conditions:
        return replace(self, timbre=torch.zeros_like(self.timbre))

    def without_envelope(self) -> Conditions:
        return replace(self, envelope=torch.zeros_like(self.envelope), has_envelope=torch.zeros_like(self.has_envelope))

    def to(self, *arguments) -> Conditions:
        """On another device or of another dtype."""
        moved = (value.to(*arguments) for value in (self.envelope, self.has_envelope, self.timbre))
        return Conditions(self.scene.to(*arguments), *moved)

    @staticmethod
    def join(several: list[Conditions]) -> Conditions:
        """One batch of several of the same number of tracks and frames."""
        scene = SceneFeatures.combined(lambda *parts: torch.cat(parts), *(one.scene for one in several))
        others = (torch.cat([getattr(one, name) for one in several]) for name in ("envelope", "has_envelope", "timbre"))
        return Conditions(scene, *others)


class StereoSync(SpatialControl):
    """Velocity of latents under conditions.

    :param config: ``backbone`` (arguments of the transformer), ``latent_rate`` (latent frames a second), and what
        :meth:`SpatialControl.speak_to` takes.
    :ivar mean: of the autoencoder's latents, ``[C]``, as ``spread``; the model works on latents of mean 0 and spread 1.
    :raises StereoSyncError: for a form that is not known.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.config = dict(config)
        self.backbone = Backbone(config["backbone"])
        self.speak_to(self.backbone, config, config["latent_rate"])
        channels = config["backbone"]["io_channels"]
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("spread", torch.ones(channels))

    def normalised(self, latents: Tensor) -> Tensor:
        """The autoencoder's latents ``[B, C, T]`` as the model knows them."""
        return (latents - self.mean[:, None]) / self.spread[:, None]

    def restored(self, latents: Tensor) -> Tensor:
        """The inverse of :meth:`normalised`."""
        return latents * self.spread[:, None] + self.mean[:, None]

    @property
    def objective(self) -> str:
        return self.backbone.objective

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        conditions: Conditions,
        control_scale: float = 1.0,
        spoken: Spoken | None = None,
        reused: Reused | None = None,
    ) -> Tensor:
        """Velocity ``[B, C, T]`` at ``t [B]``, in the precision of ``x`` whatever backbone and control branch compute in.

        :param control_scale: of the control branch's residuals; 0 leaves the envelope out.
        :param spoken: what :meth:`SpatialControl.spoken` gave for the same conditions.
        :param reused: keeps residuals from step to step, for the same conditions.
        """
        said = self.spoken(conditions) if spoken is None else spoken
        like = self.control.enter.weight
        inner, times = x.to(like), t.to(like)
        tokens = None if said.tokens is None else said.tokens.to(like)

        def residuals() -> Residuals:
            told = {"tokens": tokens, "global_condition": None}
            made = self.step_residuals(inner, times, conditions.to(like), said, control_scale, **told)
            return [None if residual is None else residual.to(like) for residual in made]

        made = residuals() if reused is None else reused(residuals)
        return self.backbone(inner, times, tokens, None, made).to(x)
