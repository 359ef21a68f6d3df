"""The trunk's rise and fall says when a walking person steps, from every side."""

from dataclasses import replace

import numpy as np
import pytest

from stereosync_core.events.body import RATE, Body
from stereosync_core.events.bounce import bounce_log_odds
from stereosync_core.events.landmarks import ANKLES, HEELS, HIPS, SHOULDERS, TOES

SECONDS = 6.0


def bouncing(
    moments: np.ndarray, depth: float = 0.012, climb: float = 0.0, after: float = 0.065, noise: float = 0.001, lift=0.03
) -> tuple[Body, np.ndarray]:
    """A body whose trunk is lowest ``after`` seconds after each moment and climbs so many body heights a second, whose feet are
    lifted in turn, and a curve of steps that says 0.4 all the time."""
    times = np.arange(round(SECONDS * RATE)) / RATE
    phase = np.interp(times, moments + after, 2 * np.pi * np.arange(len(moments)))
    height = 0.4 + depth * np.cos(phase) - climb * times + np.random.default_rng(0).normal(0, noise, len(times))
    points = np.zeros((len(times), 33, 2))
    points[:, [*HIPS, *SHOULDERS], 1] = height[:, None]
    points[:, [*ANKLES, *HEELS, *TOES], 1] = 0.9
    points[:, [pair[0] for pair in (ANKLES, HEELS, TOES)], 1] += lift * np.sin(phase / 2)[:, None]
    sure = np.ones((len(times), 33))
    return Body(times, points, np.zeros((len(times), 33, 3)), sure, sure[:, 0], 0.5), np.full(len(times), 0.4)


@pytest.mark.parametrize(("interval", "after"), [(0.7, 0.065), (0.55, 0.065), (0.36, 0.10)])
def test_the_odds_are_best_where_the_foot_comes_down(interval, after):
    moments = np.arange(0.3, SECONDS, interval)
    body, curve = bouncing(moments, after=after)
    odds = bounce_log_odds(body, curve)
    for moment in moments[2:-2]:
        near = np.flatnonzero(np.abs(body.times - moment) < interval / 2)
        best = near[odds[near].argmax()]
        assert odds[best] > 1
        assert abs(body.times[best] - moment) < 0.04
        assert odds[near].min() < -1


def test_nothing_is_added_where_the_feet_do_nothing():
    body, curve = bouncing(np.arange(0.3, SECONDS, 0.55))
    assert not bounce_log_odds(body, 0.2 * curve).any()
    curve[90:] = 0.05  # nor for five cycles around
    assert not bounce_log_odds(body, curve)[70:].any()


def test_a_dancer_on_both_feet_takes_no_step():
    moments = np.arange(0.3, SECONDS, 0.5)
    assert not bounce_log_odds(*bouncing(moments, lift=0.003)).any()


def test_nothing_is_added_on_stairs_or_without_a_rhythm():
    moments = np.arange(0.3, SECONDS, 0.6)
    assert np.abs(bounce_log_odds(*bouncing(moments, climb=0.18))).max() < 0.3
    uneven = np.cumsum(np.tile([0.3, 0.9], 6))
    even = bounce_log_odds(*bouncing(moments))
    assert np.abs(bounce_log_odds(*bouncing(uneven))).max() < 0.3 * np.abs(even).max()


@pytest.mark.parametrize("depth", [0.0, 0.001])
def test_a_still_body_adds_nothing(depth):
    assert not bounce_log_odds(*bouncing(np.arange(0.3, SECONDS, 0.55), depth=depth, noise=0.0002)).any()


def test_short_runs_are_let_be():
    body, curve = bouncing(np.arange(0.3, SECONDS, 0.55))
    names = ("times", "points", "world", "visibility", "presence")
    short = replace(body, **{name: getattr(body, name)[:14] for name in names})
    assert not bounce_log_odds(short, curve[:14]).any()
