"""The whole generative model: transformer, control branch, spatial conditions and timbre, and what goes into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..conditioning.aligned import AlignedConditions
from ..conditioning.features import SUBFRAMES, SceneFeatures, Spoken
from ..conditioning.paper import PaperConditions
from ..errors import StereoSyncError
from .backbone import Backbone
from .control import ControlBranch

FORMS = ("aligned", "paper")


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


class StereoSync(nn.Module):
    """Velocity of latents under conditions.

    :param config: ``backbone`` (arguments of the transformer), ``control`` (``blocks``, and ``envelopes``: 1 for that of the
        mono mix; 2, one a channel, exists to show what it leaks), ``conditions`` (``form`` and the arguments of that form),
        ``timbre`` (width of the embedding), ``latent_rate`` (latent frames a second).
    :ivar mean: of the autoencoder's latents, ``[C]``, as ``spread``; the model works on latents of mean 0 and spread 1.
    :raises StereoSyncError: for a form that is not known.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.config = dict(config)
        self.backbone = Backbone(config["backbone"])
        tokens = config["backbone"]["cond_token_dim"]
        options = dict(config["conditions"])
        form = options.pop("form")
        if form == "aligned":
            self.space: nn.Module = AlignedConditions(self.backbone.width, len(self.backbone.blocks), **options)
        elif form == "paper":
            self.space = PaperConditions(tokens, config["latent_rate"], **options)
        else:
            raise StereoSyncError(f"Model: the form of conditions '{form}' is not known; it must be one of {FORMS}.")
        envelopes = config["control"].get("envelopes", 1)
        self.control = ControlBranch(self.backbone, config["control"]["blocks"], envelopes * SUBFRAMES + 1)
        self.timbre = nn.Linear(config["timbre"], tokens, bias=False)
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

    def spoken(self, conditions: Conditions) -> Spoken:
        """What timbre and space have to say: needed once a clip, not once a step."""
        said = self.space(conditions.scene, conditions.mono_envelope)
        timbre = self.timbre(conditions.timbre)[:, None]
        return replace(said, tokens=timbre if said.tokens is None else torch.cat([timbre, said.tokens], dim=1))

    def forward(
        self, x: Tensor, t: Tensor, conditions: Conditions, control_scale: float = 1.0, spoken: Spoken | None = None
    ) -> Tensor:
        """Velocity ``[B, C, T]`` at ``t [B]``.

        :param control_scale: of the control branch's residuals; 0 leaves the envelope out.
        :param spoken: what :meth:`spoken` gave for the same conditions.
        """
        spoken = self.spoken(conditions) if spoken is None else spoken
        residuals = list(spoken.residuals)
        if control_scale:
            present = conditions.has_envelope[:, :, None].expand(-1, -1, x.shape[-1])
            heard = self.control(x, t, torch.cat([conditions.envelope, present], dim=1), spoken.tokens, None)
            residuals += [None] * (len(heard) - len(residuals))
            for n, residual in enumerate(heard):
                other = residuals[n]
                residual = control_scale * residual
                if other is not None:
                    residual = residual + nn.functional.pad(other, (0, 0, residual.shape[1] - other.shape[1], 0))
                residuals[n] = residual
        return self.backbone(x, t, spoken.tokens, None, residuals)
