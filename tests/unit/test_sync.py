"""Attacks of a sound against events."""

import numpy as np
import pytest

from stereosync_core.metrics.sync import attacks, sync_by_chance, sync_score

RATE = 48000


def bursts(times, decay=0.03, duration=4.0):
    since = np.arange(round(duration * RATE)) / RATE
    noise = np.random.default_rng(0).standard_normal(len(since))
    return np.tile(sum((since >= t) * np.exp(-np.clip(since - t, 0, None) / decay) for t in times) * noise, (2, 1))


@pytest.mark.parametrize("decay", [0.01, 0.03, 0.08])
def test_attacks_are_found_where_they_are(decay):
    times = np.array([0.3, 0.9, 1.7, 2.2, 3.5])
    np.testing.assert_allclose(attacks(bursts(times, decay), RATE), times, atol=0.006)


def test_silence_and_what_lasts_have_no_attacks_of_their_own():
    assert len(attacks(np.zeros((2, RATE)), RATE)) == 0
    assert len(attacks(bursts([0.0], 1e9), RATE)) <= 1


@pytest.mark.parametrize(
    ("times", "true", "expected"),
    [
        ([1.0, 2.0], [1.02, 2.04], (2, 0, 0)),
        ([1.0], [1.06], (0, 1, 1)),
        ([1.0, 1.01], [1.0], (1, 0, 1)),
        ([0.97, 1.03], [1.0, 1.06], (2, 0, 0)),
        ([], [1.0], (0, 1, 0)),
        ([1.0], [], (0, 0, 1)),
    ],
)
def test_each_is_paired_once(times, true, expected):
    score = sync_score(np.array(times), np.array(true))
    assert (score.hits, score.misses, score.others) == expected


def test_offsets_are_positive_where_the_sound_is_late():
    assert sync_score(np.array([1.02, 2.03]), np.array([1.0, 2.0])).offset == pytest.approx(0.025)
    assert sync_score(np.zeros(0), np.array([1.0])).offset is None
    assert sync_score(np.zeros(0), np.zeros(0)).f1 == 1.0


def test_chance_is_what_equally_many_would_hit():
    times = np.linspace(0.1, 9.9, 20)
    assert 0.05 < sync_by_chance(times, np.array([2.0, 4.5, 7.0, 9.0]), 10.0) < 0.2
