"""All that tells a transformer of a scene: where things are, when they sound, and what like.

The same three parts speak to the pack's own backbone (:class:`.model.StereoSync`) and to a frozen release
(:class:`.stable_audio.adapter.SpatialAdapter`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..errors import StereoSyncError
from .attended import Attended
from .backbone import Backbone, add_residual
from .conditioning.aligned import AlignedConditions
from .conditioning.features import SUBFRAMES, Spoken
from .conditioning.paper import PaperConditions
from .control import ControlBranch

if TYPE_CHECKING:
    from .model import Conditions

FORMS = ("aligned", "paper")


class SpatialControl(nn.Module):
    """Spatial conditions, control branch and timbre of a backbone that is somebody else's, or a subclass's own.

    :ivar space: :class:`AlignedConditions` or :class:`PaperConditions`.
    :ivar control: for the envelope.
    :ivar timbre: from an embedding to a token.
    """

    space: AlignedConditions | PaperConditions
    control: ControlBranch
    timbre: nn.Linear

    def speak_to(self, backbone: Backbone, config: Mapping[str, Any], latent_rate: float) -> None:
        """Make the parts; to be called once, in the constructor of a subclass.

        :param config: ``control`` (``blocks``, and ``envelopes``: 1 for that of the mono mix; 2, one a channel, exists to show
            what it leaks), ``conditions`` (``form`` and the arguments of that form), ``timbre`` (width of the embedding).
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
        blocks, envelopes = config["control"]["blocks"], config["control"].get("envelopes", 1)
        if not 1 <= blocks <= len(backbone.blocks):
            raise StereoSyncError(
                f"Model: the control branch is to copy {blocks} blocks of a backbone that has {len(backbone.blocks)}; "
                "set 'blocks' of 'control' to a fifth of them."
            )
        self.control = ControlBranch(backbone, blocks, envelopes * SUBFRAMES + 1)
        self.timbre = nn.Linear(config["timbre"], tokens, bias=False)

    def spoken(self, conditions: Conditions) -> Spoken:
        """What timbre and space have to say: needed once a clip, not once a step."""
        said = self.space(conditions.scene, conditions.mono_envelope)
        timbre = self.timbre(conditions.timbre)[:, None]
        return replace(said, tokens=timbre if said.tokens is None else torch.cat([timbre, said.tokens], dim=1))

    def step_residuals(
        self,
        x: Tensor,
        t: Tensor,
        conditions: Conditions,
        said: Spoken,
        scale: float = 1.0,
        **told: Tensor | Attended | None,
    ) -> list[Tensor | None]:
        """What is added to the inputs of the backbone's blocks at a step: space, and the control branch times ``scale``.

        :param said: what :meth:`spoken` gave for the same conditions.
        :param told: what the blocks of the control branch are told beside the envelope, see :class:`ControlBranch`.
        """
        residuals = list(said.residuals)
        if not scale:
            return residuals
        present = conditions.has_envelope[:, :, None].expand(-1, -1, x.shape[-1])
        heard = self.control(x, t, torch.cat([conditions.envelope, present], dim=1), **told)
        residuals += [None] * (len(heard) - len(residuals))
        for n, residual in enumerate(heard):
            other = residuals[n]
            residual = scale * residual
            residuals[n] = residual if other is None else add_residual(residual, other)
        return residuals
