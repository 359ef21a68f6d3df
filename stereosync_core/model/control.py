"""The control branch: the loudness envelope tells the transformer when something sounds.

After Zhang et al., "Adding Conditional Control to Text-to-Image Diffusion Models" (2023), and its form for this transformer in
Stable-V2A (arXiv 2412.15023): a copy of the front end and of the first blocks sees the noisy latents plus the control signal;
what each of its blocks gives is added, through a convolution that begins at zero, to what the block of that number in the
backbone gets.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from .attended import Attended
from .backbone import Backbone, Running, begin


class ControlBranch(nn.Module):
    """Copies of the first blocks of a backbone.

    :param backbone: whose weights the copies begin with.
    :param blocks: how many are copied; the paper's choice is a fifth of them.
    :param channels: of the control signal.
    :ivar checkpointed: as the backbone's.
    """

    def __init__(self, backbone: Backbone, blocks: int, channels: int):
        super().__init__()
        self.checkpointed = False
        dit = copy.copy(backbone.dit)
        # copy what the front end needs, and the first blocks alone
        dit._modules = dict(backbone.dit._modules)
        transformer = copy.copy(backbone.dit.transformer)
        transformer._modules = dict(transformer._modules)
        transformer._modules["layers"] = nn.ModuleList(list(backbone.blocks)[:blocks])
        transformer._modules.pop("project_out", None)
        dit._modules["transformer"] = transformer
        dit._modules.pop("postprocess_conv", None)
        self.dit = copy.deepcopy(dit)
        width, latent = backbone.width, backbone.dit.postprocess_conv.out_channels
        self.enter = zero(nn.Conv1d(channels, latent, 1))
        self.leave = nn.ModuleList(zero(nn.Conv1d(width, width, 1)) for _ in range(blocks))

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        control: Tensor,
        tokens: Tensor | Attended | None,
        global_condition: Tensor | None,
        beside: Tensor | Attended | None = None,
    ) -> list[Tensor]:
        """Residuals ``[B, P + T, D]`` for the backbone's first blocks.

        :param control: ``[B, channels, T]``; the others as in :meth:`.backbone.Backbone.forward`.
        """
        running: Running = begin(self.dit, x + self.enter(control), t, tokens, global_condition, beside)
        residuals = []
        for block, leave in zip(self.dit.transformer.layers, self.leave, strict=True):
            running.through(block, self.checkpointed)
            residuals.append(leave(running.hidden.mT).mT)
        return residuals


def zero(module: nn.Module) -> nn.Module:
    """The module with all its weights at zero: it says nothing until it has learned something."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    return module
