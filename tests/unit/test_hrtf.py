"""Head-related impulse responses of the bundled KEMAR set."""

import numpy as np
import pytest

from stereosync_core.rendering.hrtf import hrirs, minimum_phase, time_differences
from tests.errors import refused

RATES = [8000, 44100, 48000, 96000]


each_rate = pytest.mark.parametrize("rate", RATES)


def level(response: np.ndarray, low: float, high: float, rate: int) -> np.ndarray:
    """Mean level in dB between two frequencies."""
    spectrum = np.abs(np.fft.rfft(response, 8192)) ** 2
    frequency = np.fft.rfftfreq(8192, 1 / rate)
    return 10 * np.log10(spectrum[..., (frequency >= low) & (frequency < high)].mean(-1))


@each_rate
def test_ahead_both_ears_hear_the_same(rate):
    left, right, itd = hrirs(0.0, 0.0, rate)
    np.testing.assert_allclose(left, right, atol=1e-3)
    assert abs(itd[0]) < 2e-5


@each_rate
def test_the_nearer_ear_hears_louder_and_earlier(rate):
    azimuth = np.array([15.0, 30.0, 60.0, 90.0, 120.0])
    left, right, itd = hrirs(azimuth, 0.0, rate)
    assert (level(right, 500, 3500, rate) > level(left, 500, 3500, rate) + 2).all()
    assert (itd > 1e-4).all()
    mirrored_left, mirrored_right, mirrored_itd = hrirs(-azimuth, 0.0, rate)
    np.testing.assert_allclose(mirrored_left, right, atol=1e-6)
    np.testing.assert_allclose(mirrored_right, left, atol=1e-6)
    np.testing.assert_allclose(mirrored_itd, -itd, atol=1e-6)


def test_the_time_difference_grows_to_the_side_up_to_that_of_a_head():
    itd = time_differences(np.arange(0, 91, 5), 0.0, 48000)
    assert (np.diff(itd) > 0).all()
    assert 0.0006 < itd[-1] < 0.0007


def test_bass_passes_unchanged_and_is_the_same_at_every_rate():
    azimuth = np.arange(-90, 91, 15)
    reference = None
    for rate in RATES:
        left, right, _ = hrirs(azimuth, 0.0, rate)
        levels = np.stack([level(left, 60, 200, rate), level(right, 60, 200, rate), level(left, 500, 3000, rate)])
        assert (np.abs(levels[:2]) < 3.5).all()
        reference = levels if reference is None else reference
        np.testing.assert_allclose(levels, reference, atol=0.7)


def test_responses_change_smoothly_with_direction():
    azimuth = np.arange(-180, 180, 1.0)
    for elevation in (-40, -5, 0, 33, 88):
        left, right, itd = hrirs(azimuth, elevation, 44100)
        for ear in (left, right):
            step = np.linalg.norm(np.diff(ear, axis=0), axis=1) / np.linalg.norm(ear, axis=1)[:-1]
            assert step.max() < 0.2
        assert np.abs(np.diff(itd)).max() < 2e-5


def test_measured_directions_come_back_as_measured_and_turns_do_not_matter():
    for offset in (-360, 360, 720):
        for first, second in zip(hrirs(25.0, 10.0, 44100), hrirs(25.0 + offset, 10.0, 44100), strict=True):
            np.testing.assert_allclose(first, second, atol=1e-9)
    np.testing.assert_allclose(hrirs(10.0, -60.0, 44100)[0], hrirs(10.0, -40.0, 44100)[0])
    np.testing.assert_allclose(hrirs(10.0, 90.0, 44100)[0], hrirs(170.0, 90.0, 44100)[0], atol=1e-9)


def test_responses_are_minimum_phase():
    """Their energy comes at once: half of it within the first millisecond, the bulk within two."""
    left, right, _ = hrirs(np.arange(-90, 91, 10), 0.0, 44100)
    for ear in (left, right):
        energy = np.cumsum(ear**2, axis=1) / (ear**2).sum(1, keepdims=True)
        assert energy[:, 44].min() > 0.5
        assert energy[:, 88].min() > 0.9


def test_minimum_phase_keeps_the_magnitude():
    frequency = np.linspace(0, 1, 513)
    magnitude = 1 / (1 + (frequency / 0.2) ** 2)
    response = minimum_phase(magnitude, 256)
    np.testing.assert_allclose(np.abs(np.fft.rfft(response, 1024)), magnitude, atol=2e-3)
    assert np.argmax(np.abs(response)) <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((float("nan"), 0.0, 48000), "NaN"), ((0.0, float("inf"), 48000), "infinite"), ((0.0, 0.0, 100), "rate")],
)
def test_bad_inputs_are_named(arguments, message):
    refused(message, hrirs, *arguments)
