"""Attacks of generated sound fall on their events to the sample."""

import numpy as np
import pytest

from stereosync_core.metrics.sync import attacks
from stereosync_core.model.attacks import with_sharp_attacks

RATE = 44100


def burst_with_rise(at: float, rise: float = 0.015, seconds: float = 1.0) -> np.ndarray:
    """Noise in both channels, the left one twice as loud, over a bed at -60 dB, that swells before ``at`` and then decays."""
    random, times = np.random.default_rng(0), np.arange(round(seconds * RATE)) / RATE
    shape = np.where(times < at, np.clip(1 - (at - times) / rise, 0, None), np.exp(-(times - at) / 0.05)) + 1e-3
    noise = random.standard_normal(len(times)) * shape
    return np.stack([2 * noise, noise]).astype(np.float32) * 0.1


@pytest.mark.parametrize("at", [0.0, 0.004, 0.3, 0.999])
def test_nothing_rises_ahead_of_an_event(at):
    before = burst_with_rise(at)
    after = with_sharp_attacks(before, RATE, [at])
    event = round(at * RATE)
    early, rest = slice(max(event - 600, 0), max(event - 40, 0)), slice(max(event - 4000, 0), max(event - 1200, 0))
    if event > 4000:
        assert np.abs(after[:, early]).max() < 2 * np.abs(before[:, rest]).max()
        assert np.abs(before[:, early]).max() > 20 * np.abs(before[:, rest]).max()
    np.testing.assert_array_equal(after[:, event + 40 :], before[:, event + 40 :])
    np.testing.assert_allclose(after[0], 2 * after[1], rtol=1e-5)
    assert after.dtype == np.float32
    assert np.isfinite(after).all()


def test_the_attack_is_found_at_the_event():
    before = burst_with_rise(0.5)
    assert attacks(before, RATE)[0] < 0.493
    assert attacks(with_sharp_attacks(before, RATE, [0.5]), RATE) == pytest.approx([0.5], abs=0.005)


def test_what_still_sounds_goes_on_up_to_the_next_event():
    """Two events 30 ms apart: the first one's decay is held, not cut."""
    both = burst_with_rise(0.5) + burst_with_rise(0.53)
    after = with_sharp_attacks(both, RATE, [0.5, 0.53])
    between = slice(round(0.51 * RATE), round(0.529 * RATE))
    assert np.square(after[:, between]).mean() > 0.3 * np.square(burst_with_rise(0.5)[:, between]).mean()


@pytest.mark.parametrize("apart", [0.001, 0.01, 0.02])
def test_two_events_at_nearly_one_time_both_sound(apart):
    first, second = burst_with_rise(0.5), burst_with_rise(0.5 + apart)
    after = with_sharp_attacks(first + second, RATE, [0.5 + apart, 0.5])
    alone = with_sharp_attacks(first + second, RATE, [0.5])
    np.testing.assert_array_equal(after, alone)


def test_sound_without_events_and_silence_stay():
    sound = burst_with_rise(0.5)
    np.testing.assert_array_equal(with_sharp_attacks(sound, RATE, []), sound)
    silence = np.zeros((2, 1000), dtype=np.float32)
    np.testing.assert_array_equal(with_sharp_attacks(silence, RATE, [0.01]), silence)
