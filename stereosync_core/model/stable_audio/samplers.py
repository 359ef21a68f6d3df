"""The samplers and schedules that the releases were made for, in the manner of :mod:`..samplers`.

diffusers' schedulers were looked at first. CosineDPMSolverMultistepScheduler, which its StableAudioPipeline uses, has the
release's schedule but stops at second order, and draws its noise inside; the third-order solver of DPMSolverMultistepScheduler
knows integer times of its own schedules alone. Nothing there walks the few steps of a flow with fresh noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ...errors import StereoSyncError
from .. import samplers as plain
from ..backbone import angles
from ..samplers import Progress, Velocity

#: ``noise(sigma, sigma_next)`` gives noise of unit variance for a step between two noise levels.
Noise = Callable[[float, float], Tensor]


def cosine_times(steps: int, sigma_min: float = 0.3, sigma_max: float = 500.0) -> list[float]:
    """``steps + 1`` falling times for the objective ``v``, the last one 0.

    Noise levels ``sigma`` (noise over sound) are spread evenly in their logarithm and stand at ``t = 2 / pi atan(sigma)``.
    """
    _check(steps)
    logs = torch.linspace(math.log(sigma_max), math.log(sigma_min), steps, dtype=torch.float64)
    return [*(logs.exp().atan() * 2 / math.pi).tolist(), 0.0]


def flow_times(steps: int, lowest: float = -6.0, highest: float = 2.0) -> list[float]:
    """``steps + 1`` times from 1 to 0 for rectified flow, spread evenly in the logarithm of the signal-to-noise ratio."""
    _check(steps)
    times = torch.sigmoid(-torch.linspace(lowest, highest, steps + 1, dtype=torch.float64)).tolist()
    return [1.0, *times[1:-1], 0.0]


def seeded_noise(like: Tensor, generator: torch.Generator) -> Noise:
    """Noise of the shape and in the place of ``like``, drawn on the CPU so that a seed means the same on every device."""

    def draw(*_: float) -> Tensor:
        return torch.randn(like.shape, generator=generator).to(like)

    return draw


def dpmpp_3m_sde(
    velocity: Velocity, x: Tensor, times: list[float], progress: Progress | None = None, *, noise: Noise, eta: float = 1.0
) -> Tensor:
    """Third order, multistep, with fresh noise in each step; one evaluation a step. For the objective ``v``.

    DPM-Solver++ (Lu et al., 2022) for the reverse stochastic equation, in the form of k-diffusion's ``sample_dpmpp_3m_sde``:
    the predicted sound of two steps before gives first and second differences over ``h``, the step in the logarithm of the
    signal-to-noise ratio, and ``phi`` are the integrals of an exponential against powers that go with them.

    :param x: latents at ``times[0]``, of the mixture's scale.
    :param eta: share of the noise; 0 walks the probability flow.
    """
    mixtures = [_mixture(t) for t in times]
    # the equation is simplest where the sound keeps its scale: latents are sound + sigma * noise
    x = x / mixtures[0][0]
    sounds: list[Tensor] = []
    widths: list[float] = []
    for n in range(len(times) - 1):
        (alpha, share), (alpha_next, share_next) = mixtures[n], mixtures[n + 1]
        mixed = alpha * x
        sounds = [alpha * mixed - share * velocity(mixed, times[n]), *sounds[:2]]
        if share_next == 0:
            x = sounds[0]
        else:
            sigma, sigma_next = share / alpha, share_next / alpha_next
            widths = [math.log(sigma / sigma_next), *widths[:2]]
            x = _step(x, sounds, widths, eta)
            if eta:
                x = x + sigma_next * math.sqrt(-math.expm1(-2 * eta * widths[0])) * noise(sigma, sigma_next)
        plain.stepped(progress, n, times)
    return x


def _step(x: Tensor, sounds: list[Tensor], widths: list[float], eta: float) -> Tensor:
    """The part of a step that is not noise: ``sounds`` and ``widths`` begin with the newest."""
    h = widths[0] * (1 + eta)
    x = math.exp(-h) * x - math.expm1(-h) * sounds[0]
    if len(sounds) == 1:
        return x
    first = (sounds[0] - sounds[1]) * (widths[0] / widths[1])
    phi_2 = math.expm1(-h) / h + 1
    if len(sounds) == 2:
        return x + phi_2 * first
    before = (sounds[1] - sounds[2]) * (widths[0] / widths[2])
    near, far = widths[1] / widths[0], widths[2] / widths[0]
    second = (first - before) / (near + far)
    phi_3 = phi_2 / h - 0.5
    return x + phi_2 * (first + near * second) - phi_3 * second


def pingpong(velocity: Velocity, x: Tensor, times: list[float], progress: Progress | None = None, *, noise: Noise) -> Tensor:
    """To the sound that the velocity points to and back to the next, smaller noise level. For distilled rectified flow
    (Novack et al., "Fast Text-to-Audio Generation with Adversarial Post-Training", 2025)."""
    for n in range(len(times) - 1):
        t, t_next = times[n], times[n + 1]
        x = x - t * velocity(x, t)
        if t_next:
            x = (1 - t_next) * x + t_next * noise(t, t_next)
        plain.stepped(progress, n, times)
    return x


def starting(noise: Tensor, t: float, objective: str) -> Tensor:
    """Latents before the first step at ``t``: nothing but noise, as much as there is of it."""
    return float(angles(torch.tensor(t, dtype=torch.float64), objective)[1]) * noise


def _mixture(t: float) -> tuple[float, float]:
    alpha, sigma = angles(torch.tensor(t, dtype=torch.float64), "v")
    return float(alpha), float(sigma)


def _check(steps: int) -> None:
    if steps < 1:
        raise StereoSyncError(f"Sampler: {steps} steps; give one or more.")


#: By objective, what can be sampled with; the first is the release's own.
SAMPLERS: dict[str, dict[str, Callable[..., Tensor]]] = {
    "v": {"dpmpp_3m_sde": dpmpp_3m_sde, "dpmpp_2m": plain.dpmpp_2m},
    "rectified_flow": {"pingpong": pingpong, "euler": plain.euler, "heun": plain.heun, "dpmpp_2m": plain.dpmpp_2m},
}
