"""What a diffusion model predicts at a timestep ``t``, which falls from 1, noise, to 0, clean: of latents ``alpha * x0 + sigma
* noise`` a velocity, ``alpha * noise - sigma * x0`` (``v``, Salimans and Ho, 2022) or ``noise - x0`` (``rectified_flow``, Liu
et al., 2022)."""

import math

import torch
from torch import Tensor

from ..errors import StereoSyncError

OBJECTIVES = ("rectified_flow", "v")


def check_objective(objective: object) -> str:
    """The objective. Raises StereoSyncError where it is not known."""
    if objective not in OBJECTIVES:
        raise StereoSyncError(f"Model: the objective '{objective}' is not known; it must be one of {OBJECTIVES}.")
    return str(objective)


def alpha_sigma(t: Tensor | float, objective: str) -> tuple[Tensor, Tensor]:
    """The scale of the clean latents and that of the noise at ``t``; a number is computed with in double precision."""
    t = torch.as_tensor(t, dtype=None if isinstance(t, Tensor) else torch.float64)
    if objective == "v":
        return torch.cos(t * math.pi / 2), torch.sin(t * math.pi / 2)
    return 1 - t, t


def add_noise(x0: Tensor, noise: Tensor, t: Tensor, objective: str) -> tuple[Tensor, Tensor]:
    """The latents at ``t [B]`` and the velocity that is to be predicted there, both as ``x0 [B, C, T]``."""
    alpha, sigma = (value[:, None, None] for value in alpha_sigma(t, objective))
    velocity = alpha * noise - sigma * x0 if objective == "v" else noise - x0
    return alpha * x0 + sigma * noise, velocity


def predict_x0(x: Tensor, velocity: Tensor, t: Tensor, objective: str) -> Tensor:
    """The clean latents that a velocity at ``t [B]`` points to."""
    alpha, sigma = (value[:, None, None] for value in alpha_sigma(t, objective))
    return alpha * x - sigma * velocity if objective == "v" else x - sigma * velocity
