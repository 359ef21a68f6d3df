"""Classifier-free guidance by the text, and by what an adapter is told of a scene."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from ..attended import attended
from ..conditioning.features import Spoken
from ..economy import Economy, Reused
from ..model import Conditions
from ..samplers import Velocity
from .conditioners import Told
from .model import StableAudio

#: Scale, and what the model is told.
Level = tuple[float, Told, Conditions | None]


def guided(
    model: StableAudio,
    told: Told,
    cfg: float,
    conditions: Conditions | None = None,
    *,
    space: float | None = None,
    envelope: float = 1.0,
    economy: Economy | None = None,
) -> Velocity:
    """A model's velocity under classifier-free guidance (Ho and Salimans, 2022), composed as by Liu et al. (2022), in one call.

    Text and seconds are taken from the cross-attention of the part that guidance leads away from; the global condition speaks
    to every part, and so does the envelope, as in Stable-V2A (arXiv 2412.15023). Latents stay in single precision whatever
    the network computes in.

    :param cfg: scale of what text and timbre add.
    :param conditions: of a scene, for the model's adapter.
    :param space: scale of what boxes and depth add to that; ``cfg`` when left out.
    :param envelope: scale of the adapter's control branch.
    :param economy: what is left out; nothing when not given.
    """
    economy = economy or Economy()
    nothing = Told(torch.zeros_like(told.tokens) if told.against is None else told.against, told.globally)
    levels: list[Level]
    if conditions is None:
        levels = [(cfg, told, None), (1.0, nothing, None)]
    else:
        seeing = space is not None and conditions.tells_space
        blind = conditions.without_space()
        levels = [(space if seeing and space is not None else cfg, told, conditions)]
        levels += [(cfg, told, blind), (1.0, nothing, blind.without_timbre())]
    # each level adds its scale times what it knows more than the next; where both have one scale, the next cancels out
    levels = levels[:1] + [level for above, level in pairwise(levels) if level[0] != above[0]]
    several, alone = (_Asked(model, part, envelope, economy) for part in (levels, levels[:1]))

    def velocity(x: Tensor, t: float) -> Tensor:
        if not economy.guides(t):
            return alone(x, t)[0]
        said = several(x, t)
        made = said[-1]
        for (scale, _, _), knowing, other in reversed(list(zip(levels, said, said[1:], strict=False))):
            made = made + scale * (knowing - other)
        return made

    return velocity


class _Asked:
    """The model asked about several levels of conditions in one call."""

    def __init__(self, model: StableAudio, levels: list[Level], envelope: float, economy: Economy):
        self.model, self.count, self.envelope = model, len(levels), envelope
        tokens, globally = (torch.cat([getattr(told, name) for _, told, _ in levels]) for name in ("tokens", "globally"))
        self.told = Told(attended(model.backbone.blocks, tokens), globally)
        scenes = [scene for _, _, scene in levels if scene is not None]
        self.scene = Conditions.join(scenes).to(model.place[0]) if scenes else None
        self.spoken: Spoken | None = None  # made at the first step, where the caller is in inference mode or keeps gradients
        self.reused = Reused(economy.control_every)

    def __call__(self, x: Tensor, t: float) -> tuple[Tensor, ...]:
        """What each level says, in single precision."""
        device, dtype = self.model.place
        if self.spoken is None and self.scene is not None and self.model.adapter is not None:
            said = self.model.adapter.spoken(self.scene)
            self.spoken = replace(said, tokens=attended(self.model.backbone.blocks, said.tokens))
        every = x.repeat(self.count, 1, 1).to(device, dtype)
        times = torch.full((len(every),), t, device=device, dtype=dtype)
        made = self.model(every, times, self.told, self.scene, self.envelope, self.spoken, self.reused)
        return made.to(x).chunk(self.count)
