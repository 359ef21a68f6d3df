"""Samplers: plain functions from noise to latents along the probability flow.

Each takes ``velocity(x, t)`` (``x [B, C, T]``, ``t`` a number from 1, noise, to 0, sound), starting noise and falling times,
and calls ``progress(done, total)`` after every step; what that raises ends the sampling.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import StereoSyncError
from .backbone import angles

Velocity = Callable[[Tensor, float], Tensor]
Progress = Callable[[int, int], None]


def schedule(steps: int, shift: float = 1.0) -> list[float]:
    """``steps + 1`` times from 1 to 0; a ``shift`` above 1 spends more of them near the noise.

    (Esser et al., "Scaling Rectified Flow Transformers for High-Resolution Image Synthesis", 2024, eq. 23.)
    """
    if steps < 1:
        raise StereoSyncError(f"Sampler: {steps} steps; give one or more.")
    even = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    return (shift * even / (1 + (shift - 1) * even)).tolist()


def euler(velocity: Velocity, x: Tensor, times: list[float], progress: Progress | None = None) -> Tensor:
    """First order; one evaluation a step. For rectified flow: ``dx/dt`` is the velocity."""
    for n in range(len(times) - 1):
        x = x + (times[n + 1] - times[n]) * velocity(x, times[n])
        stepped(progress, n, times)
    return x


def heun(velocity: Velocity, x: Tensor, times: list[float], progress: Progress | None = None) -> Tensor:
    """Second order; two evaluations a step, one in the last. For rectified flow."""
    for n in range(len(times) - 1):
        span = times[n + 1] - times[n]
        slope = velocity(x, times[n])
        ahead = x + span * slope
        if times[n + 1] > 0:
            slope = (slope + velocity(ahead, times[n + 1])) / 2
            ahead = x + span * slope
        x = ahead
        stepped(progress, n, times)
    return x


def dpmpp_2m(
    velocity: Velocity, x: Tensor, times: list[float], progress: Progress | None = None, objective: str = "rectified_flow"
) -> Tensor:
    """Second order, multistep; one evaluation a step (Lu et al., "DPM-Solver++", 2022, algorithm 2), for either objective.

    In terms of ``alpha``, ``sigma`` and half the log signal-to-noise ratio ``lambda``; the predicted sound of the step before
    gives the second order.
    """
    before: Tensor | None = None
    width_before = 0.0
    for n in range(len(times) - 1):
        (alpha, sigma), (alpha_next, sigma_next) = (_mixture(times[k], objective) for k in (n, n + 1))
        speed = velocity(x, times[n])
        sound = alpha * x - sigma * speed if objective == "v" else x - sigma * speed
        if sigma_next < 1e-9:
            x, width = sound, 0.0
        else:
            # at pure noise lambda is infinite: there the step is the first-order one
            width = _log_ratio(alpha_next, sigma_next) - _log_ratio(alpha, sigma)
            pointed = sound
            if before is not None and width_before < 1e3 and width > 0:
                pointed = sound + (sound - before) * (width / (2 * width_before))
            decay = sigma_next / sigma
            x = decay * x + (alpha_next - alpha * decay) * pointed
        before, width_before = sound, width
        stepped(progress, n, times)
    return x


def _mixture(t: float, objective: str) -> tuple[float, float]:
    alpha, sigma = angles(torch.tensor(t, dtype=torch.float64), objective)
    return float(alpha), float(sigma)


def _log_ratio(alpha: float, sigma: float) -> float:
    return float(torch.log(torch.tensor(max(alpha, 1e-9) / sigma, dtype=torch.float64)))


def stepped(progress: Progress | None, n: int, times: list[float]) -> None:
    """Tell that step ``n``, from 0, of a walk over ``times`` is done."""
    if progress is not None:
        progress(n + 1, len(times) - 1)


SAMPLERS: dict[str, Callable[..., Tensor]] = {"euler": euler, "heun": heun, "dpmpp_2m": dpmpp_2m}
