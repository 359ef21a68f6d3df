"""The diffusion transformer: stable-audio-tools' network, run block by block so that others may speak into it.

The network, its names and its numbers are stable-audio-tools' ``DiffusionTransformer``; only the loop over the blocks is ours.
It lets residuals in before any block (control branch, spatial conditions) and gives the same output as the original without.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..errors import StereoSyncError
from .attended import Attended, Embedded, through

OBJECTIVES = ("rectified_flow", "v")


def transformer_class() -> type[nn.Module]:
    """stable-audio-tools' ``DiffusionTransformer``, imported when first needed.

    :raises StereoSyncError: when the package is not installed.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints that flash_attn is not there
            from stable_audio_tools.models.dit import DiffusionTransformer
    except ImportError as error:
        raise StereoSyncError(
            f"Model: stable-audio-tools cannot be imported ({error}); run the pack's install.py with the host's Python."
        ) from error
    return DiffusionTransformer


@dataclass
class Running:
    """What the blocks need of a step: ``hidden [B, P + T, D]``, with P tokens before the latents, and what goes with it.

    :ivar beside: tokens that are attended to by themselves; see :meth:`Backbone.forward`.
    """

    hidden: Tensor
    context: Tensor | Embedded | None
    rotary: Any
    modulation: Tensor | None
    prepended: int
    beside: Tensor | Embedded | None = None

    def through(self, block: nn.Module, checkpointed: bool = False) -> None:
        """Take the hidden state through a block.

        :param checkpointed: forget what the block computes inside, and compute it again for the gradients.
        """
        if checkpointed and torch.is_grad_enabled():
            self.hidden = checkpoint(self._after, block, self.hidden, use_reentrant=False)
        else:
            self.hidden = self._after(block, self.hidden)

    def _after(self, block: nn.Module, hidden: Tensor) -> Tensor:
        if isinstance(self.beside, Embedded):
            hidden = self.beside.add(block, hidden)
        elif self.beside is not None:
            hidden = hidden + block.cross_attn(block.cross_attend_norm(hidden), context=self.beside)
        if isinstance(self.context, Embedded):
            return through(block, hidden, self.context, self.rotary, self.modulation)
        return block(hidden, context=self.context, rotary_pos_emb=self.rotary, global_cond=self.modulation)


class Backbone(nn.Module):
    """The transformer over latents ``[B, C, T]``.

    :param config: arguments of ``DiffusionTransformer``; ``objective`` of :data:`OBJECTIVES` is ``diffusion_objective`` there.
    :ivar checkpointed: in training, compute the blocks' insides a second time instead of keeping them (Chen et al., "Training
        Deep Nets with Sublinear Memory Cost", 2016).
    """

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.config, self.checkpointed = dict(config), False
        self.objective = self.config.get("diffusion_objective", "v")
        if self.objective not in OBJECTIVES:
            raise StereoSyncError(f"Model: the objective '{self.objective}' is not known; it must be one of {OBJECTIVES}.")
        try:
            self.dit = transformer_class()(**self.config)
        except TypeError as error:
            raise StereoSyncError(f"Model: the backbone's config has an entry that is not understood ({error}).") from error

    @property
    def width(self) -> int:
        """Of the hidden state."""
        return self.dit.transformer.dim

    @property
    def blocks(self) -> nn.ModuleList:
        return self.dit.transformer.layers

    def compile_blocks(self, **options: Any) -> None:
        """Have torch compile the blocks' self-attention and feed-forward layers when they are first called; some minutes then,
        and less for each step after.

        :param options: of ``torch.compile``.
        """
        for block in self.blocks:
            for layer in (block.self_attn, block.ff):
                layer.compile(**options)

    def end(self, running: Running) -> Tensor:
        """What comes after the last block: the network's output ``[B, C, T]``."""
        output = self.dit.transformer.project_out(running.hidden).mT[:, :, running.prepended :]
        return self.dit.postprocess_conv(output) + output

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        tokens: Tensor | Attended | None = None,
        global_condition: Tensor | None = None,
        residuals: Sequence[Tensor | None] = (),
        beside: Tensor | Attended | None = None,
    ) -> Tensor:
        """Velocity ``[B, C, T]``.

        :param t: ``[B]``, 0 = sound, 1 = noise.
        :param tokens: ``[B, N, cond_token_dim]`` for cross-attention; :class:`.attended.Attended` where they stay the same for
            many steps.
        :param global_condition: ``[B, global_cond_dim]``.
        :param residuals: for the first blocks, what is added to the block's input: ``[B, P + T, D]`` or ``[B, T, D]``, or None.
        :param beside: more tokens ``[B, M, cond_token_dim]``, which each block's cross-attention sees before the block, in a
            softmax of their own: tokens of zeros then say nothing, where among ``tokens`` they would take attention from the
            others. (Ye et al., "IP-Adapter", 2023, with the keys and values that are there.)
        """
        running = begin(self.dit, x, t, tokens, global_condition, beside)
        for n, block in enumerate(self.blocks):
            if n < len(residuals) and residuals[n] is not None:
                running.hidden = add_residual(running.hidden, residuals[n])
            running.through(block, self.checkpointed)
        return self.end(running)


def begin(
    dit: nn.Module,
    x: Tensor,
    t: Tensor,
    tokens: Tensor | Attended | None,
    global_condition: Tensor | None,
    beside: Tensor | Attended | None = None,
) -> Running:
    """The front end of a ``DiffusionTransformer``: embeddings, first convolution, projection, prepended token."""
    timestep = dit.to_timestep_embed(dit.timestep_features(t[:, None].to(x.dtype)))
    summed = timestep if global_condition is None else timestep + dit.to_global_embed(global_condition)
    x = dit.preprocess_conv(x) + x
    transformer = dit.transformer
    hidden = transformer.project_in(x.mT)
    modulation, prepended = None, 0
    if dit.global_cond_type == "prepend":
        hidden, prepended = torch.cat([summed[:, None], hidden], dim=1), 1
    else:
        modulation = transformer.global_cond_embedder(summed)
    context, beside = (
        given.of(dit) if isinstance(given, Attended) else None if given is None else dit.to_cond_embed(given)
        for given in (tokens, beside)
    )
    rotary = transformer.rotary_pos_emb.forward_from_seq_len(hidden.shape[1])
    return Running(hidden, context, rotary, modulation, prepended, beside)


def add_residual(hidden: Tensor, residual: Tensor) -> Tensor:
    """``hidden [B, P + T, D]`` plus a residual of its length, or of the latents' length alone."""
    missing = hidden.shape[1] - residual.shape[1]
    if missing:
        residual = nn.functional.pad(residual, (0, 0, missing, 0))
    return hidden + residual


def angles(t: Tensor, objective: str) -> tuple[Tensor, Tensor]:
    """How much of the sound and of the noise is in the latents at ``t``: ``(alpha, sigma)``."""
    if objective == "v":
        return torch.cos(t * math.pi / 2), torch.sin(t * math.pi / 2)
    return 1 - t, t


def noised(x0: Tensor, noise: Tensor, t: Tensor, objective: str) -> tuple[Tensor, Tensor]:
    """The latents at ``t [B]`` and the velocity that the network is to say there, both as ``x0 [B, C, T]``."""
    alpha, sigma = (value[:, None, None] for value in angles(t, objective))
    velocity = alpha * noise - sigma * x0 if objective == "v" else noise - x0
    return alpha * x0 + sigma * noise, velocity


def sound_of(x: Tensor, velocity: Tensor, t: Tensor, objective: str) -> Tensor:
    """The sound's latents that a velocity at ``t [B]`` points to."""
    alpha, sigma = (value[:, None, None] for value in angles(t, objective))
    return alpha * x - sigma * velocity if objective == "v" else x - sigma * velocity
