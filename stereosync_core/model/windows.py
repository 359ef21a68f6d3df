"""Overlapping windows for clips longer than what a model was trained on: one velocity out of several."""

import torch
from torch import Tensor

from .samplers import Velocity


def window_starts(frames: int, length: int, overlap: int) -> list[int]:
    """Starts of windows of ``length`` that cover ``frames`` and overlap by at least ``overlap``, evenly spread."""
    if frames <= length:
        return [0]
    count = -(-(frames - overlap) // (length - overlap))
    return [round(n * (frames - length) / (count - 1)) for n in range(count)]


def blend_windows(velocity: Velocity, starts: list[int], length: int, overlap: int) -> Velocity:
    """The velocity of a clip, or of a batch of takes of it, out of that of a batch of its windows (the takes of the first
    window first), faded into each other at every step, so that there is no audible seam (Bar-Tal et al., "MultiDiffusion",
    2023). One window stays as it is."""
    if len(starts) == 1:
        return velocity
    ramp = torch.minimum(torch.arange(1, length + 1), torch.arange(length, 0, -1)).clamp(max=max(overlap, 1)).float()

    def blended(x: Tensor, t: float) -> Tensor:
        parts = velocity(torch.cat([x[..., start : start + length] for start in starts]), t).chunk(len(starts))
        total, weight, fade = torch.zeros_like(x), x.new_zeros(x.shape[-1]), ramp.to(x)
        for start, part in zip(starts, parts, strict=True):
            total[..., start : start + length] += part * fade
            weight[start : start + length] += fade
        return total / weight

    return blended
