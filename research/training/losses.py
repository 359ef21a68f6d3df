"""Losses between short-time magnitudes ``[B, 2, bins, T]`` of sounds; both are in nepers of power."""

from __future__ import annotations

import torch
from torch import Tensor

#: Power of a bin that counts as silence; a full-scale sine has 65,536.
FLOOR = 1e-5
#: Nepers of power by which what is wanted may exceed what is made before the likelihood's loss goes on as a straight line.
STEEPEST = 3.0


def likelihood_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Itakura-Saito divergence of powers: how unlikely the wanted ones are for noise of the made ones.

    Each bin counts alike, soft or loud, and the least is reached by the noise's true power, not by its median: what sounds is
    noise to a codec without phases, and this is what noise is judged by (Fevotte et al., "Nonnegative Matrix Factorization with
    the Itakura-Saito Divergence", 2009). 0.58 is the least that is possible for noise.
    """
    powers = [sizes.square() + FLOOR for sizes in (made, wanted)]
    ratio = powers[1].log() - powers[0].log()
    # straight on from where the divergence grows beyond all bounds
    near = ratio.clamp(max=STEEPEST)
    return _weighted((near.exp() * (1 + ratio - near) - ratio - 1).mean(2), powers[1])


def level_loss(made: Tensor, wanted: Tensor, frames: int = 4) -> Tensor:
    """Difference of the logarithmic level over windows of a few frames, of each channel by itself."""
    levels = [sizes.square().mean(2).unfold(-1, frames, frames).mean(-1) + FLOOR for sizes in (made, wanted)]
    return _weighted((levels[0].log() - levels[1].log()).abs(), levels[1][:, :, None])


def _weighted(values: Tensor, powers: Tensor) -> Tensor:
    """Mean of ``values [B, 2, T]``: half of it over all moments, half over them weighted by the fourth root of their power.
    The few loud ones, which a step's level hangs on, would drown among the silent ones."""
    weights = powers.mean(2) ** 0.25
    return values.mean() / 2 + (values * weights).sum() / torch.clamp(weights.sum(), min=1e-6) / 2
