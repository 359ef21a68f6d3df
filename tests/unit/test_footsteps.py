"""The footstep voice."""

import itertools

import numpy as np
import pytest

from stereosync_core.rendering.footsteps import render_footsteps
from stereosync_core.rendering.gait import Steps, steps_from_cadence
from stereosync_core.rendering.surfaces import SHOES, SURFACES
from tests.errors import refused

RATE = 48000


def stride(times, strength: float = 1.0) -> Steps:
    times = np.asarray(times, dtype=float)
    return Steps(times, np.full(len(times), strength), np.arange(len(times)) % 2)


def one(surface: str, seed: int = 0, strength: float = 1.0, **options) -> np.ndarray:
    step = Steps(np.array([0.1]), np.array([strength]), np.array([seed % 2]))
    return render_footsteps(step, surface, 1.2, RATE, seed=seed, **options)[0]


def octaves(sound: np.ndarray) -> np.ndarray:
    """Energy in third-octave-like bands, dB of the whole."""
    power = np.abs(np.fft.rfft(sound)) ** 2
    frequency = np.fft.rfftfreq(len(sound), 1 / RATE)
    edges = np.geomspace(60, 16000, 13)
    bands = np.array([power[(frequency >= a) & (frequency < b)].sum() for a, b in itertools.pairwise(edges)])
    return 10 * np.log10(bands / bands.sum() + 1e-4)


def centroid(sound: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(sound)) ** 2
    return float((np.fft.rfftfreq(len(sound), 1 / RATE) * power).sum() / power.sum())


def fall(sound: np.ndarray, decibels: float) -> float:
    """Seconds from the loudest moment until the level stays ``decibels`` below."""
    level = np.convolve(sound**2, np.ones(480), "same")
    return float(np.flatnonzero(level > 10 ** (-decibels / 10) * level.max())[-1] - level.argmax()) / RATE


each_surface = pytest.mark.parametrize("surface", SURFACES)


@each_surface
def test_a_full_step_peaks_near_minus_six_decibels_and_has_no_dc(surface):
    sound = one(surface)
    assert 0.38 <= np.abs(sound).max() <= 0.502
    assert abs(sound.mean()) < 1e-5
    assert np.isfinite(sound).all()


@each_surface
def test_a_step_begins_on_time_and_ends_both_without_a_click(surface):
    sound = one(surface)
    start, peak, audible = round(0.1 * RATE), np.abs(sound).max(), np.flatnonzero(sound)
    assert audible[0] >= start - 1
    assert np.abs(sound[start : start + RATE // 20]).max() > 0.1 * peak
    assert np.abs(sound[-RATE // 20 :]).max() < 1e-3
    assert abs(sound[audible[0]]) < 0.1 * peak
    assert abs(sound[audible[-1]]) < 1e-3 * peak


def test_strength_sets_the_level():
    levels = [np.abs(one("wood", strength=strength, variation=0.0)).max() for strength in (0.25, 0.5, 1.0)]
    np.testing.assert_allclose(levels, [0.125, 0.25, 0.5], rtol=0.02)


@each_surface
def test_the_seed_decides_every_sample(surface):
    steps = steps_from_cadence(2.0, 2.0)
    first, again = (render_footsteps(steps, surface, 2.0, RATE, seed=7) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, render_footsteps(steps, surface, 2.0, RATE, seed=8))


@each_surface
def test_no_two_steps_are_the_same(surface):
    steps = stride(np.arange(6), 0.8)
    sounds = render_footsteps(steps, surface, 6.0, RATE)[0].reshape(6, RATE)
    for a, b in itertools.combinations(sounds, 2):
        assert np.abs(np.corrcoef(a, b)[0, 1]) < 0.98


def test_surfaces_differ_more_from_each_other_than_steps_on_one():
    shapes = {surface: np.stack([octaves(one(surface, seed)) for seed in range(6)]) for surface in SURFACES}
    within = {surface: np.sqrt(((s - s.mean(0)) ** 2).mean()) for surface, s in shapes.items()}
    for a, b in itertools.combinations(SURFACES, 2):
        between = np.sqrt(((shapes[a].mean(0) - shapes[b].mean(0)) ** 2).mean())
        assert between > 1.2 * max(within[a], within[b]), (a, b, between, within[a], within[b])


@pytest.mark.parametrize(
    ("surface", "low", "high"),
    # spectral centroids of Minetest's CC0 recordings (docs/footsteps.md), a tenth of room on either side
    [("metal", 510, 740), ("snow", 212, 603), ("sand", 1288, 1658), ("gravel", 4218, 8604), ("wood", 480, 847)],
)
def test_brightness_is_that_of_the_recorded_surface(surface, low, high):
    assert low < np.mean([centroid(one(surface, seed)) for seed in range(8)]) < high


def test_metal_rings_longest_of_the_solid_floors_and_water_lasts():
    mean = {surface: np.mean([fall(one(surface, seed), 45) for seed in range(6)]) for surface in SURFACES}
    assert mean["metal"] > 1.2 * max(mean[surface] for surface in ("concrete", "tile", "wood"))
    assert mean["water"] > mean["gravel"] > 0.1


def test_shoes_change_the_brightness_and_weight_the_bass():
    bright = {shoe: np.mean([centroid(one("concrete", seed, shoe=shoe)) for seed in range(6)]) for shoe in SHOES}
    assert bright["heel"] > bright["sneaker"] > bright["barefoot"]
    light, heavy = (np.mean([octaves(one("concrete", seed, weight=weight))[:2] for seed in range(6)]) for weight in (0, 1))
    assert heavy > light + 3


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 96000])
def test_any_rate_gives_the_exact_length(rate):
    sound = render_footsteps(steps_from_cadence(2.0, 1.333), "gravel", 1.333, rate)
    assert (sound.shape, sound.dtype) == ((1, round(1.333 * rate)), np.float32)
    assert np.abs(sound).max() > 0.2


def test_steps_on_top_of_each_other_do_not_clip():
    crowd = stride(np.arange(200) * 0.003)
    assert np.abs(render_footsteps(crowd, "gravel", 1.0, RATE)).max() < 1.0


def test_no_steps_are_silence():
    assert not render_footsteps(stride([]), "snow", 1.0, RATE).any()
    assert not render_footsteps(stride([5.0]), "snow", 1.0, RATE).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"surface": "lava"}, "lava.*concrete"),
        ({"shoe": "ski"}, "ski.*boot"),
        ({"duration": 0.0}, "duration"),
        ({"duration": float("nan")}, "duration"),
        ({"rate": 100}, "rate"),
        ({"weight": 2.0}, "weight"),
        ({"variation": float("nan")}, "variation"),
    ],
)
def test_bad_inputs_are_named(options, message):
    settings = {"surface": "wood", "duration": 1.0, **options}
    refused(message, render_footsteps, steps_from_cadence(2, 1), settings.pop("surface"), settings.pop("duration"), **settings)
