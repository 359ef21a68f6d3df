"""Samplers, guidance and windows, where the answer is known."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from stereosync_core.model.objectives import add_noise, predict_x0
from stereosync_core.model.samplers import SAMPLERS, dpmpp_2m, euler, heun, linear_times
from stereosync_core.model.windows import window_starts
from tests.errors import refused, stopped

SPREAD = 0.5


def gaussian_velocity(x, t):
    """The true velocity of rectified flow where x0 is normal around 0 with SPREAD: noise minus x0, as expected at x."""
    variance = ((1 - t) * SPREAD) ** 2 + t**2
    return x * (t - (1 - t) * SPREAD**2) / variance


def exact(x):
    """Where the flow takes a noise: the same quantile of the sounds."""
    return x * SPREAD


@pytest.mark.parametrize(("name", "steps", "error"), [("euler", 400, 4e-3), ("heun", 60, 1e-3), ("dpmpp_2m", 120, 1e-3)])
def test_samplers_follow_the_flow_to_its_end(name, steps, error):
    noise = torch.linspace(-2, 2, 9, dtype=torch.float64).view(1, 1, 9)
    made = SAMPLERS["rectified_flow"][name](gaussian_velocity, noise, linear_times(steps), objective="rectified_flow")
    assert (made - exact(noise)).abs().max() < error


def test_heun_is_of_second_order():
    noise = torch.full((1, 1, 1), 1.5, dtype=torch.float64)
    errors = [float((heun(gaussian_velocity, noise, linear_times(steps)) - exact(noise)).abs()) for steps in (20, 40)]
    assert errors[0] / errors[1] > 3, "half the step, a quarter of the error"


def test_dpmpp_is_nearer_than_euler_at_the_same_cost():
    noise = torch.full((1, 1, 1), 1.5, dtype=torch.float64)
    for steps in (8, 16, 32):
        near, far = (
            float((sampler(gaussian_velocity, noise, linear_times(steps), objective="rectified_flow") - exact(noise)).abs())
            for sampler in (dpmpp_2m, euler)
        )
        assert near < 0.5 * far


def test_both_objectives_predict_the_same_x0():
    generator = torch.Generator().manual_seed(0)
    sound, noise = (torch.randn((3, 4, 5), generator=generator) for _ in range(2))
    t = torch.tensor([0.1, 0.5, 0.9])
    for objective in ("rectified_flow", "v"):
        x, velocity = add_noise(sound, noise, t, objective)
        torch.testing.assert_close(predict_x0(x, velocity, t, objective), sound)


def test_dpmpp_takes_the_objective_v_too():
    def velocity(x, t):
        alpha, sigma = math.cos(t * math.pi / 2), math.sin(t * math.pi / 2)
        variance = (alpha * SPREAD) ** 2 + sigma**2
        return x * (alpha * sigma - sigma * alpha * SPREAD**2) / variance

    noise = torch.linspace(-2, 2, 5, dtype=torch.float64).view(1, 1, 5)
    made = dpmpp_2m(velocity, noise, linear_times(120), objective="v")
    assert (made - exact(noise)).abs().max() < 2e-3


def test_a_schedule_falls_from_noise_to_clean():
    times = linear_times(8)
    assert (times[0], times[-1]) == (1.0, 0.0)
    assert np.diff(times) == pytest.approx(-1 / 8)
    refused("one or more", linear_times, 0)


def test_progress_comes_after_each_step_and_may_stop_it():
    seen = stopped(euler, gaussian_velocity, torch.ones(1, 1, 1), linear_times(8), after=2)
    assert seen == [(1, 8), (2, 8), (3, 8)]


@pytest.mark.parametrize(
    ("frames", "length", "overlap"), [(50, 80, 16), (80, 80, 16), (81, 80, 16), (500, 80, 16), (999, 86, 20)]
)
def test_windows_cover_all_and_overlap(frames, length, overlap):
    starts = window_starts(frames, length, overlap)
    assert (starts[0], starts[-1]) == (0, max(0, frames - length))
    assert all(b - a <= length - overlap for a, b in pairwise(starts))
