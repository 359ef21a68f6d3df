"""Attacks of generated sound fall on their events to the sample."""

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from stereosync_core.metrics.sync import attacks
from stereosync_core.model.attacks import with_even_tails, with_sharp_attacks
from stereosync_core.scene import Envelope
from stereosync_core.scene_events import Event, Events

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


def scene(at: float = 0.5, seconds: float = 1.0, swell: float = 0.0) -> Envelope:
    """An event and its decay, and ``swell`` dB more from 0.8 s on."""
    times = np.arange(0.0, seconds, 0.005)
    values = np.where(times < at, 0.0, np.exp(-(times - at) / 0.2)) * np.where(times < 0.8, 1.0, 10 ** (swell / 20))
    return Envelope(values, times, events=Events((Event(at),), seconds))


def tail(seed: int = 3, swell: float = 0.0) -> np.ndarray:
    """Noise of a narrow band, which has attacks of its own, under such an envelope."""
    noise = sosfilt(butter(2, (250, 700), "bandpass", fs=RATE, output="sos"), np.random.default_rng(seed).standard_normal(RATE))
    return (np.stack([2 * noise, noise]) * scene(swell=swell).at(np.arange(RATE) / RATE)).astype(np.float32)


@pytest.mark.parametrize("seed", range(4))
def test_a_tail_has_no_attacks_and_keeps_its_place(seed):
    before = tail(seed)
    after = with_even_tails(before, RATE, scene())
    assert len(attacks(before, RATE)) > 1
    assert attacks(after, RATE) == pytest.approx([0.5], abs=0.02)
    np.testing.assert_allclose(after[0], 2 * after[1], rtol=1e-4)
    assert (np.abs(after) <= np.abs(before) + 1e-9).all(), "brought down, never up"
    assert np.square(after).sum() > 0.5 * np.square(before).sum()
    near = slice(round(0.48 * RATE), round(0.525 * RATE))
    np.testing.assert_array_equal(after[:, near], before[:, near])


def test_what_the_envelope_swells_by_is_heard():
    before = tail(swell=12.0)
    after = with_even_tails(before, RATE, scene(swell=12.0))
    late, early = (np.square(after[:, round(first * RATE) : round((first + 0.1) * RATE)]).mean() for first in (0.82, 0.68))
    assert 10 * np.log10(late / early) > 3


def test_no_events_no_sound_and_a_very_short_sound_are_no_fault():
    silent = Envelope(np.zeros(2), np.array([0.0, 1.0]), events=Events((), 1.0))
    assert not with_even_tails(np.zeros((2, 1000), dtype=np.float32), RATE, silent).any()
    assert with_even_tails(np.ones((2, 7), dtype=np.float32), RATE, scene(0.0)).shape == (2, 7)
    at_ends = Envelope(np.ones(2), np.array([0.0, 1.0]), events=Events((Event(0.001), Event(0.01), Event(0.999)), 1.0))
    assert np.isfinite(with_even_tails(tail(), RATE, at_ends)).all()
