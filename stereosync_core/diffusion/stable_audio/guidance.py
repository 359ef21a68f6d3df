"""Classifier-free guidance by the text, and by what an adapter is told of a scene."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from ...conditioning.features import Spoken
from ..model import Conditions
from ..samplers import Velocity
from .conditioners import Told
from .model import StableAudio


def guided(
    model: StableAudio,
    told: Told,
    cfg: float,
    conditions: Conditions | None = None,
    *,
    space: float | None = None,
    envelope: float = 1.0,
) -> Velocity:
    """A model's velocity under classifier-free guidance (Ho and Salimans, 2022), composed as by Liu et al. (2022), in one call.

    Text and seconds are taken from the cross-attention of the part that guidance leads away from; the global condition speaks
    to every part, and so does the envelope, as in Stable-V2A (arXiv 2412.15023). Latents stay in single precision whatever
    the network computes in.

    :param cfg: scale of what text and timbre add.
    :param conditions: of a scene, for the model's adapter.
    :param space: scale of what boxes and depth add to that; ``cfg`` when left out.
    :param envelope: scale of the adapter's control branch.
    """
    device, dtype = model.place
    nothing = Told(torch.zeros_like(told.tokens) if told.against is None else told.against, told.globally)
    levels: list[tuple[float, Told, Conditions | None]]
    if conditions is None:
        levels = [(cfg, told, None), (1.0, nothing, None)]
    else:
        seeing = space is not None and conditions.tells_space
        blind = conditions.without_space()
        levels = [(space if seeing and space is not None else cfg, told, conditions)]
        levels += [(cfg, told, blind), (1.0, nothing, blind.without_timbre())]
    # each level adds its scale times what it knows more than the next; where both have one scale, the next cancels out
    levels = levels[:1] + [level for above, level in pairwise(levels) if level[0] != above[0]]
    scales = [scale for scale, _, _ in levels]
    joined = Told(*(torch.cat([getattr(one, name) for _, one, _ in levels]) for name in ("tokens", "globally")))
    scenes = [one for _, _, one in levels if one is not None]
    scene = Conditions.join(scenes).to(device) if scenes else None
    spoken: list[Spoken] = []  # made at the first step, where the caller is in inference mode or keeps gradients

    def velocity(x: Tensor, t: float) -> Tensor:
        if scene is not None and model.adapter is not None and not spoken:
            spoken.append(model.adapter.spoken(scene))
        every = x.repeat(len(levels), 1, 1).to(device, dtype)
        times = torch.full((len(every),), t, device=device, dtype=dtype)
        said = model(every, times, joined, scene, envelope, *spoken).to(x).chunk(len(levels))
        made = said[-1]
        for scale, knowing, other in reversed(list(zip(scales, said, said[1:], strict=False))):
            made = made + scale * (knowing - other)
        return made

    return velocity
