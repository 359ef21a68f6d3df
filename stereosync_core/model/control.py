"""The control branch: residuals by which the loudness envelope conditions the transformer.

A copy of the front end and of the first blocks sees the noisy latents plus the control signal; what each of its blocks gives is
added, through a convolution that begins at zero, to the input of the backbone's block of that number. (Zhang et al., "Adding
Conditional Control to Text-to-Image Diffusion Models", 2023; for this transformer Stable-V2A, arXiv 2412.15023.)
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .backbone import Backbone
from .cross_attention import CachedTokens


@dataclass(frozen=True)
class ControlOutput:
    """What spatial conditions and timbre give the backbone; the same at every step of the sampler.

    :param cross_attn_tokens: for cross-attention, ``[B, N, token width]`` (or what is cached of them), or None.
    :param block_residuals: for the inputs of the first blocks, ``[B, T, width]`` or None each.
    :param track_log_probs: of no track and of each in each moment ``[B, 1 + K, M]``; None without a track assignment.
    """

    cross_attn_tokens: Tensor | CachedTokens | None
    block_residuals: tuple[Tensor | None, ...] = ()
    track_log_probs: Tensor | None = None


class ControlBranch(nn.Module):
    """Copies of the first ``blocks`` of a backbone, a fifth of them in the paper, for a control signal of so many channels."""

    def __init__(self, backbone: Backbone, blocks: int, channels: int):
        super().__init__()
        self.checkpointed = False
        self.kind, self.dit = type(backbone), backbone.first_blocks(blocks)
        width, latent = backbone.width, backbone.dit.postprocess_conv.out_channels
        self.enter = zero_module(nn.Conv1d(channels, latent, 1))
        self.leave = nn.ModuleList(zero_module(nn.Conv1d(width, width, 1)) for _ in range(blocks))

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        control: Tensor,
        tokens: Tensor | CachedTokens | None,
        global_cond: Tensor | None,
        extra_context: Tensor | CachedTokens | None = None,
    ) -> list[Tensor]:
        """Residuals ``[B, P + T, D]`` for the backbone's first blocks, of ``control [B, channels, T]``; the others as in
        :meth:`.backbone.Backbone.forward`."""
        state = self.kind.begin(self.dit, x + self.enter(control), t, tokens, global_cond, extra_context)
        residuals = []
        for block, leave in zip(self.kind.blocks_of(self.dit), self.leave, strict=True):
            state.apply(block, self.checkpointed)
            residuals.append(leave(state.hidden.mT).mT)
        return residuals


def zero_module(module: nn.Module) -> nn.Module:
    """The module with all its weights at zero: it changes nothing until it is trained."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    return module
