"""Guidance, and windows for clips longer than what the model was trained on: both make one velocity out of several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from .attended import attended
from .conditioning.features import SceneFeatures, Spoken
from .economy import Economy, Reused
from .model import Conditions, StereoSync
from .samplers import Velocity


def guided(
    model: StereoSync,
    conditions: Conditions,
    *,
    cfg: float = 1.0,
    space: float | None = None,
    envelope: float = 1.0,
    economy: Economy | None = None,
) -> Velocity:
    """A model's velocity under classifier-free guidance (Ho and Salimans, 2022), composed as by Liu et al. (2022).

    :param cfg: scale of what timbre adds to knowing nothing but the envelope.
    :param space: scale of what boxes and depth add to that; ``cfg`` when left out.
    :param envelope: scale of the control branch, which speaks to all parts alike.
    :param economy: what is left out; nothing when not given.
    """
    economy = economy or Economy()
    space = cfg if space is None else space
    timbre_told, space_told = bool(conditions.timbre.any()), conditions.tells_space
    weighted: dict[tuple[bool, bool], tuple[float, Conditions]] = {}
    # what is the same for want of a timbre, or of anything to see, is asked once
    for weight, told, key in (
        (1 - cfg, conditions.without_space().without_timbre(), (False, False)),
        (cfg - space, conditions.without_space(), (timbre_told, False)),
        (space, conditions, (timbre_told, space_told)),
    ):
        weighted[key] = (weighted.get(key, (0.0, told))[0] + weight, told)
    several = _Asked(model, [part for part in weighted.values() if part[0] != 0], envelope, economy)
    alone = _Asked(model, [(1.0, conditions)], envelope, economy)

    def velocity(x: Tensor, t: float) -> Tensor:
        return (several if economy.guides(t) else alone)(x, t)

    return velocity


class _Asked:
    """The network asked about several sets of conditions in one call, and the weighted sum of what it says."""

    def __init__(self, model: StereoSync, parts: list[tuple[float, Conditions]], envelope: float, economy: Economy):
        self.model, self.envelope, self.reused = model, envelope, Reused(economy.control_every)
        self.weights = [weight for weight, _ in parts]
        self.conditions = Conditions.join([told for _, told in parts])
        self.spoken: Spoken | None = None  # made at the first step, where the caller is in inference mode or keeps gradients

    def __call__(self, x: Tensor, t: float) -> Tensor:
        if self.spoken is None:
            said = self.model.spoken(self.conditions)
            self.spoken = replace(said, tokens=attended(self.model.backbone.blocks, said.tokens))
        several = x.repeat(len(self.weights), 1, 1)
        times = x.new_full((len(several),), t)
        every = self.model(several, times, self.conditions, self.envelope, self.spoken, self.reused).split(len(x))
        return torch.stack([weight * part for weight, part in zip(self.weights, every, strict=True)]).sum(0)


def windows(frames: int, length: int, overlap: int) -> list[int]:
    """Starts of windows of ``length`` that cover ``frames`` and overlap by at least ``overlap``, evenly spread."""
    if frames <= length:
        return [0]
    count = -(-(frames - overlap) // (length - overlap))
    return [round(n * (frames - length) / (count - 1)) for n in range(count)]


def in_windows(make: Callable[[Conditions], Velocity], conditions: Conditions, length: int, overlap: int) -> Velocity:
    """A velocity for one clip of any length; see :func:`faded`.

    :param make: gives the velocity for a batch of windows.
    :param conditions: of one clip.
    """
    starts = windows(conditions.envelope.shape[-1], length, overlap)
    if len(starts) == 1:
        return make(conditions)
    return faded(make(Conditions.join([cut(conditions, start, length) for start in starts])), starts, length, overlap)


def faded(velocity: Velocity, starts: list[int], length: int, overlap: int) -> Velocity:
    """The velocity of one clip out of that of a batch of its windows, at every step faded into each other.

    All windows walk down together and agree where they overlap at each step (Bar-Tal et al., "MultiDiffusion", 2023), so that
    there is no seam to hear. One window stays as it is.
    """
    if len(starts) == 1:
        return velocity
    ramp = torch.minimum(torch.arange(1, length + 1), torch.arange(length, 0, -1)).clamp(max=max(overlap, 1)).float()

    def whole(x: Tensor, t: float) -> Tensor:
        parts = velocity(torch.cat([x[..., start : start + length] for start in starts]), t)
        total, weight, fade = torch.zeros_like(x), x.new_zeros(x.shape[-1]), ramp.to(x)
        for start, part in zip(starts, parts, strict=True):
            total[0, :, start : start + length] += part * fade
            weight[start : start + length] += fade
        return total / weight

    return whole


def cut(conditions: Conditions, start: int, length: int) -> Conditions:
    """A window of one clip's conditions."""
    scene, part = conditions.scene, slice(start, start + length)
    return Conditions(
        SceneFeatures(scene.boxes[:, :, part], scene.seen[:, :, part], scene.depth[:, part], scene.has_depth),
        conditions.envelope[..., part],
        conditions.has_envelope,
        conditions.timbre,
    )
