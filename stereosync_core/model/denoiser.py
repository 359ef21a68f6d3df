"""A backbone under all its conditions: what guidance evaluates and samplers integrate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .backbone import Backbone
from .conditioning.clip import ClipConditions
from .control import ControlOutput
from .cross_attention import CachedTokens
from .spatial_control import SpatialControl
from .speedups import ResidualCache, Residuals


@dataclass(frozen=True)
class Conditioning:
    """A prompt and the seconds of a batch, as Stable Audio Open takes them.

    :param cross_attn_tokens: ``[B, N, D]`` for cross-attention, or what is cached of them from step to step.
    :param global_cond: ``[B, G]``, prepended to the latents together with the timestep.
    :param negative_tokens: tokens of the unconditional half of guidance; zeros, as in training, where None.
    :param local_cond: ``[B, 1 + C, T]``: where the sound stays, 1, and its latents there; for a model that was trained with it.
    """

    cross_attn_tokens: Tensor | CachedTokens
    global_cond: Tensor
    negative_tokens: Tensor | None = None
    local_cond: Tensor | None = None

    def unconditional(self) -> Conditioning:
        """What guidance moves away from."""
        assert isinstance(self.cross_attn_tokens, Tensor)
        negative = self.negative_tokens
        tokens = torch.zeros_like(self.cross_attn_tokens) if negative is None else negative
        return Conditioning(tokens, self.global_cond, local_cond=self.local_cond)


class Denoiser(nn.Module):
    """Velocity of latents under a prompt, and under a clip's conditions where there is an ``adapter``."""

    def __init__(self, backbone: Backbone):
        super().__init__()
        self.backbone = backbone
        self.adapter: SpatialControl | None = None

    def cached(self, tokens: Tensor | CachedTokens | None) -> Tensor | CachedTokens | None:
        """Tokens for many steps, with what of them is the same in all."""
        return self.backbone.cached(tokens) if isinstance(tokens, Tensor) else tokens

    @property
    def spatial_control(self) -> SpatialControl | None:
        return self.adapter

    @property
    def objective(self) -> str:
        return self.backbone.objective

    def normalised(self, latents: Tensor) -> Tensor:
        """The autoencoder's latents ``[B, C, T]`` with mean 0 and spread 1, as a release's are."""
        return latents

    def restored(self, latents: Tensor) -> Tensor:
        """The inverse of :meth:`normalised`."""
        return latents

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        conditions: ClipConditions | None = None,
        conditioning: Conditioning | None = None,
        control_scale: float = 1.0,
        control_output: ControlOutput | None = None,
        residual_cache: ResidualCache | None = None,
    ) -> Tensor:
        """Velocity ``[B, C, T]`` at ``t [B]`` without guidance, in the precision of ``x`` whatever the networks compute in.

        :param conditions: of the clip; without them, or without spatial control, the backbone sees the prompt alone.
        :param control_scale: of the control branch's residuals; 0 leaves the envelope out.
        :param control_output: of the spatial control's ``encode``, and ``residual_cache`` residuals of steps before, both for
            the same conditions.
        """
        like, spatial = next(self.backbone.parameters()), self.spatial_control
        latents, more = x.to(like), {}
        tokens = global_cond = extra_context = None
        if conditioning is not None:
            tokens, global_cond = conditioning.cross_attn_tokens.to(like), conditioning.global_cond.to(like)
            if conditioning.local_cond is not None:
                more = {"local_cond": conditioning.local_cond.to(like)}
        if spatial is None or conditions is None:
            return self.backbone(latents, t, tokens, global_cond, **more).to(x)
        output = spatial.encode(conditions) if control_output is None else control_output
        own = None if output.cross_attn_tokens is None else output.cross_attn_tokens.to(like)
        # next to a prompt, the spatial tokens are attended to in a softmax of their own
        tokens, extra_context = (own, None) if tokens is None else (tokens, own)

        def residuals() -> Residuals:
            context = {"tokens": tokens, "global_cond": global_cond, "extra_context": extra_context}
            return spatial.residuals(latents, t, conditions, output, control_scale, **context)

        made = residuals() if residual_cache is None else residual_cache(residuals)
        return self.backbone(latents, t, tokens, global_cond, made, extra_context, **more).to(x)


class StereoSync(Denoiser, SpatialControl):
    """The pack's own network: backbone and spatial control, trained together, on latents of mean 0 and spread 1.

    :param config: ``backbone`` (arguments of the transformer), ``latent_rate`` (latent frames a second), ``mid_side`` (whether
        the network sees the channels' sum and difference, each of spread 1, and not left and right), and what
        :meth:`SpatialControl.build` takes.
    :raises StereoSyncError: for a form that is not known.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, config: Mapping[str, Any]):
        super().__init__(Backbone(config["backbone"]))
        self.config = dict(config)
        self.build(self.backbone, config, config["latent_rate"])
        channels = config["backbone"]["io_channels"]
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("spread", torch.ones(channels))

    @property
    def spatial_control(self) -> SpatialControl:
        return self

    def normalised(self, latents: Tensor) -> Tensor:
        """The autoencoder's latents ``[B, C, T]`` with mean 0 and spread 1."""
        return (self.turned(latents) - self.mean[:, None]) / self.spread[:, None]

    def restored(self, latents: Tensor) -> Tensor:
        # of copies, for tensors that were made in inference mode, as in ComfyUI's nodes, can take no part in a gradient
        return self.turned(latents * self.spread.clone()[:, None] + self.mean.clone()[:, None])

    def turned(self, latents: Tensor) -> Tensor:
        """Left and right as mid and side where the network works on those, or back: the turn is its own inverse. The levels'
        difference, which is small next to the level, then weighs as much as it."""
        if not self.config.get("mid_side"):
            return latents
        left, right = latents.chunk(2, dim=1)
        return torch.cat([left + right, left - right], dim=1) * 0.5**0.5
