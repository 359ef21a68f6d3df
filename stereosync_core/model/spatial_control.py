"""What conditions a transformer on a scene: where things are, when they sound, and with what timbre; the pack's own backbone
(:class:`.denoiser.StereoSync`) and a frozen release (:class:`.adapter.SpatialAdapter`) alike."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import StereoSyncError
from .backbone import Backbone, add_residual
from .conditioning.aligned import AlignedConditions
from .conditioning.clip import ClipConditions
from .conditioning.features import SUBFRAMES
from .conditioning.paper import PaperConditions
from .control import ControlBranch, ControlOutput
from .cross_attention import CachedTokens
from .speedups import Residuals

FORMS = ("aligned", "paper")


class SpatialControl(nn.Module):
    """Spatial conditions, control branch (for the envelope) and timbre (an embedding to a token) of a backbone that is somebody
    else's, or a subclass's own."""

    space: AlignedConditions | PaperConditions
    control: ControlBranch
    timbre: nn.Linear

    def build(self, backbone: Backbone, config: Mapping[str, Any], latent_rate: float) -> None:
        """Make the parts; to be called once, in the constructor of a subclass.

        :param config: ``control`` (``blocks``, and whether it is given ``events``), ``conditions`` (``form`` and the
            arguments of that form), ``timbre`` (width of the embedding).
        :param latent_rate: latent frames a second.
        :raises StereoSyncError: for a form that is not known, or more blocks than there are.
        """
        tokens = backbone.config["cond_token_dim"]
        options = dict(config["conditions"])
        form = options.pop("form")
        if form == "aligned":
            self.space = AlignedConditions(backbone.width, len(backbone.blocks), **options)
        elif form == "paper":
            self.space = PaperConditions(tokens, latent_rate, **options)
        else:
            raise StereoSyncError(f"Model: the form of conditions '{form}' is not known; it must be one of {FORMS}.")
        blocks, there = config["control"]["blocks"], len(backbone.blocks)
        if not 1 <= blocks <= there:
            wrong = f"the control branch is to copy {blocks} blocks of a backbone that has {there}"
            raise StereoSyncError(f"Model: {wrong}; set 'blocks' of 'control' to a fifth of them.")
        signal = SUBFRAMES + 1 + (SUBFRAMES + 2 if config["control"].get("events") else 0)
        self.control = ControlBranch(backbone, blocks, signal)
        self.timbre = nn.Linear(config["timbre"], tokens, bias=False)

    def encode(self, conditions: ClipConditions) -> ControlOutput:
        """Tokens and residuals of timbre and space: needed once a clip, not once a step."""
        # in the weights' own precision: half of it is too little for how a box moves
        conditions = conditions.to(self.timbre.weight)
        output = self.space(conditions.scene, conditions.envelope)
        timbre, tokens = self.timbre(conditions.timbre)[:, None], output.cross_attn_tokens
        return replace(output, cross_attn_tokens=timbre if tokens is None else torch.cat([timbre, tokens], dim=1))

    def residuals(
        self,
        x: Tensor,
        t: Tensor,
        conditions: ClipConditions,
        output: ControlOutput,
        scale: float = 1.0,
        *,
        tokens: Tensor | CachedTokens | None,
        global_cond: Tensor | None,
        extra_context: Tensor | CachedTokens | None = None,
    ) -> Residuals:
        """What is added to the inputs of the backbone's blocks at a step, in the precision of ``x``: space, and the control
        branch times ``scale``.

        :param output: of :meth:`encode` for the same conditions.
        :param tokens: as ``global_cond`` and ``extra_context``, what the backbone itself is conditioned on.
        """
        residuals = list(output.block_residuals)
        if scale:
            like = self.control.enter.weight
            context = (None if given is None else given.to(like) for given in (tokens, global_cond, extra_context))
            conditions = conditions.to(like)
            signal = conditions.control_signal(self.control.enter.in_channels)
            branch = self.control(x.to(like), t, signal, *context)
            residuals += [None] * (len(branch) - len(residuals))
            for n, residual in enumerate(branch):
                other, residual = residuals[n], scale * residual
                residuals[n] = residual if other is None else add_residual(residual, other)
        return [None if residual is None else residual.to(x) for residual in residuals]
