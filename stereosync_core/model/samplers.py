"""Samplers: plain functions from noise to latents along the probability flow, and the timesteps that they take.

Each takes ``velocity(x, t)`` (``x [B, C, T]``, ``t`` a number from 1, noise, to 0, clean), the latents to begin with, falling
timesteps, and the model's ``objective``. Those that add fresh noise take it from ``noise(sigma, sigma_next)``.

diffusers' schedulers do not serve: the one of its StableAudioPipeline stops at second order and draws its noise inside,
DPMSolverMultistepScheduler knows integer times of its own schedules alone, and none takes the few steps of a distilled flow.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from ..errors import StereoSyncError
from .objectives import alpha_sigma

Velocity = Callable[[Tensor, float], Tensor]
Progress = Callable[[int, int], None]
#: ``noise(sigma, sigma_next)`` gives noise of unit variance for a step between two noise levels.
Noise = Callable[[float, float], Tensor]


def linear_times(steps: int, start: float = 1.0) -> list[float]:
    """``steps + 1`` even timesteps from ``start`` to 0."""
    _check(steps)
    return torch.linspace(start, 0, steps + 1, dtype=torch.float64).tolist()


def log_sigma_times(steps: int, start: float = 1.0, sigma_min: float = 0.3, sigma_max: float = 500.0) -> list[float]:
    """``steps + 1`` falling timesteps from ``start`` for the objective ``v``, the last one 0: Stable Audio Open's. Noise levels
    ``sigma`` (noise over clean latents) are spread evenly in their logarithm and stand at ``t = 2 / pi atan(sigma)``."""
    _check(steps)
    sigma_max = min(sigma_max, math.tan(start * math.pi / 2)) if start < 1 else sigma_max
    logs = torch.linspace(math.log(sigma_max), math.log(min(sigma_min, sigma_max / 2)), steps, dtype=torch.float64)
    return [*(logs.exp().atan() * 2 / math.pi).tolist(), 0.0]


def log_snr_times(steps: int, start: float = 1.0, lowest: float = -6.0, highest: float = 2.0) -> list[float]:
    """``steps + 1`` timesteps from ``start`` to 0 for rectified flow, spread evenly in the logarithm of the signal-to-noise
    ratio."""
    _check(steps)
    lowest = max(lowest, math.log((1 - start) / start)) if start < 1 else lowest
    times = torch.sigmoid(-torch.linspace(lowest, max(highest, lowest + 1), steps + 1, dtype=torch.float64)).tolist()
    return [start, *times[1:-1], 0.0]


#: ``schedule(steps, start)``.
Schedule = Callable[..., list[float]]
SCHEDULES: dict[str, Schedule] = {
    "linear": linear_times,
    "log_sigma": log_sigma_times,
    "log_snr": log_snr_times,
    "stable_audio_3": partial(log_snr_times, lowest=-6.2),
}


def initial_latents(noise: Tensor, t: float, objective: str, source: Tensor | None = None) -> Tensor:
    """Latents before the first step at ``t``: noise, as much as there is of it, over ``source`` where there is one (Meng et
    al., "SDEdit", 2022)."""
    alpha, sigma = _mixture(t, objective)
    return sigma * noise if source is None else alpha * source + sigma * noise


def seeded_noise(like: Tensor, *generators: torch.Generator) -> Noise:
    """Noise of the shape and on the device of ``like``, an equal part of its batch from each generator, drawn on the CPU so
    that a seed means the same on every device."""
    shape = (len(like) // len(generators), *like.shape[1:])
    return lambda *_: torch.cat([torch.randn(shape, generator=generator) for generator in generators]).to(like)


def euler(velocity: Velocity, x: Tensor, times: list[float], progress: Progress | None = None, **_: object) -> Tensor:
    """First order; one evaluation a step. For rectified flow: ``dx/dt`` is the velocity."""
    for t, t_next in _steps(times, progress):
        x = x + (t_next - t) * velocity(x, t)
    return x


def heun(velocity: Velocity, x: Tensor, times: list[float], progress: Progress | None = None, **_: object) -> Tensor:
    """Second order; two evaluations a step, one in the last. For rectified flow."""
    for t, t_next in _steps(times, progress):
        slope = velocity(x, t)
        if t_next > 0:
            slope = (slope + velocity(x + (t_next - t) * slope, t_next)) / 2
        x = x + (t_next - t) * slope
    return x


def dpmpp_2m(
    velocity: Velocity, x: Tensor, times: list[float], progress: Progress | None = None, *, objective: str, **_: object
) -> Tensor:
    """Second order, multistep; one evaluation a step (Lu et al., "DPM-Solver++", 2022, algorithm 2), for either objective.

    In terms of ``alpha``, ``sigma`` and half the log signal-to-noise ratio ``lambda``.
    """
    before: Tensor | None = None
    width_before = 0.0
    for t, t_next in _steps(times, progress):
        (alpha, sigma), (alpha_next, sigma_next) = _mixture(t, objective), _mixture(t_next, objective)
        denoised = (alpha if objective == "v" else 1) * x - sigma * velocity(x, t)
        if sigma_next < 1e-9:
            x, width = denoised, 0.0
        else:
            # at pure noise lambda is infinite: there the step is the first-order one
            width = _log_ratio(alpha_next, sigma_next) - _log_ratio(alpha, sigma)
            extrapolated = denoised
            if before is not None and width_before < 1e3 and width > 0:
                extrapolated = denoised + (denoised - before) * (width / (2 * width_before))
            decay = sigma_next / sigma
            x = decay * x + (alpha_next - alpha * decay) * extrapolated
        before, width_before = denoised, width
    return x


def dpmpp_3m_sde(
    velocity: Velocity,
    x: Tensor,
    times: list[float],
    progress: Progress | None = None,
    *,
    noise: Noise,
    eta: float = 1.0,
    **_: object,
) -> Tensor:
    """Third order, multistep, with fresh noise in each step; one evaluation a step. For the objective ``v``.

    DPM-Solver++ (Lu et al., 2022) for the reverse stochastic equation, in the form of k-diffusion's ``sample_dpmpp_3m_sde``:
    the predicted x0 of two steps before gives first and second differences over ``h``, the step in the logarithm of the
    signal-to-noise ratio, and ``phi`` are the integrals of an exponential against powers that go with them.

    :param eta: share of the noise; 0 follows the probability flow.
    """
    # the equation is simplest where the clean latents keep their scale: latents are x0 + sigma * noise
    x = x / _mixture(times[0], "v")[0]
    denoised: list[Tensor] = []
    widths: list[float] = []
    for t, t_next in _steps(times, progress):
        (alpha, share), (alpha_next, share_next) = _mixture(t, "v"), _mixture(t_next, "v")
        mixed = alpha * x
        denoised = [alpha * mixed - share * velocity(mixed, t), *denoised[:2]]
        if share_next == 0:
            x = denoised[0]
        else:
            sigma, sigma_next = share / alpha, share_next / alpha_next
            widths = [math.log(sigma / sigma_next), *widths[:2]]
            x = _multistep(x, denoised, widths, eta)
            if eta:
                x = x + sigma_next * math.sqrt(-math.expm1(-2 * eta * widths[0])) * noise(sigma, sigma_next)
    return x


def _multistep(x: Tensor, denoised: list[Tensor], widths: list[float], eta: float) -> Tensor:
    """The part of a step that is not noise: ``denoised`` and ``widths`` begin with the newest."""
    h = widths[0] * (1 + eta)
    x = math.exp(-h) * x - math.expm1(-h) * denoised[0]
    if len(denoised) == 1:
        return x
    first = (denoised[0] - denoised[1]) * (widths[0] / widths[1])
    phi_2 = math.expm1(-h) / h + 1
    if len(denoised) == 2:
        return x + phi_2 * first
    before = (denoised[1] - denoised[2]) * (widths[0] / widths[2])
    near, far = widths[1] / widths[0], widths[2] / widths[0]
    second = (first - before) / (near + far)
    phi_3 = phi_2 / h - 0.5
    return x + phi_2 * (first + near * second) - phi_3 * second


def pingpong(
    velocity: Velocity, x: Tensor, times: list[float], progress: Progress | None = None, *, noise: Noise, **_: object
) -> Tensor:
    """To the x0 that the velocity points to and back to the next, smaller noise level. For distilled rectified flow
    (Novack et al., "Fast Text-to-Audio Generation with Adversarial Post-Training", 2025)."""
    for t, t_next in _steps(times, progress):
        x = x - t * velocity(x, t)
        if t_next:
            x = (1 - t_next) * x + t_next * noise(t, t_next)
    return x


#: By objective, what can be sampled with.
SAMPLERS: dict[str, dict[str, Callable[..., Tensor]]] = {
    "v": {"dpmpp_3m_sde": dpmpp_3m_sde, "dpmpp_2m": dpmpp_2m},
    "rectified_flow": {"pingpong": pingpong, "euler": euler, "heun": heun, "dpmpp_2m": dpmpp_2m},
}
#: Of every objective, each once.
SAMPLER_NAMES = list(dict.fromkeys(name for known in SAMPLERS.values() for name in known))


def check_sampler(sampler: str, objective: str) -> None:
    """Raise StereoSyncError where a sampler is not for models of that objective."""
    if sampler not in SAMPLERS[objective]:
        raise StereoSyncError(f"Sampler: '{sampler}' is not for this model; choose one of {', '.join(SAMPLERS[objective])}.")


def _mixture(t: float, objective: str) -> tuple[float, float]:
    alpha, sigma = alpha_sigma(t, objective)
    return float(alpha), float(sigma)


def _log_ratio(alpha: float, sigma: float) -> float:
    return math.log(max(alpha, 1e-9) / sigma)


def _steps(times: list[float], progress: Progress | None) -> Iterator[tuple[float, float]]:
    for done, step in enumerate(pairwise(times), 1):
        yield step
        if progress is not None:
            progress(done, len(times) - 1)


def _check(steps: int) -> None:
    if steps < 1:
        raise StereoSyncError(f"Sampler: {steps} steps; give one or more.")
