"""Impacts of things along paths that are known: bounces, drops, kicks; and what is none."""

from __future__ import annotations

import numpy as np

from stereosync_core.events.things import chains, impacts
from stereosync_core.scene import Track

TIMES = np.arange(0, 3, 1 / 30)


def track(x: np.ndarray, y: np.ndarray, size: float = 0.05, times: np.ndarray = TIMES) -> Track:
    return Track(4, "sports ball", times, np.stack([x - size / 2, y - size / 2, x + size / 2, y + size / 2], axis=1))


def bouncing(period: float = 0.6) -> np.ndarray:
    phase = (TIMES / period) % 1
    return 0.8 - 4 * 0.4 * phase * (1 - phase)


def test_a_ball_bounces_where_it_turns():
    events = impacts(track(np.full(len(TIMES), 0.5), bouncing()))
    assert np.allclose([event.time for event in events], [0.6, 1.2, 1.8, 2.4], atol=0.02)
    assert all(event.kind == "impact" and event.track == 4 and event.confidence > 0.8 for event in events)


def test_the_bounce_is_found_between_boxes_that_are_missing():
    there = np.abs((TIMES + 0.3) % 0.6 - 0.3) > 0.05
    events = impacts(track(np.full(there.sum(), 0.5), bouncing()[there], times=TIMES[there]))
    assert np.allclose([event.time for event in events], [0.6, 1.2, 1.8, 2.4], atol=0.03)


def test_a_drop_ends_where_the_thing_stops():
    y = np.minimum(0.2 + 0.5 * 3.0 * np.clip(TIMES - 1, 0, None) ** 2, 0.7)
    events = impacts(track(np.full(len(TIMES), 0.5), y))
    assert len(events) == 1
    assert abs(events[0].time - (1 + np.sqrt(2 * 0.5 / 3.0))) < 0.03


def test_a_kick_sideways_counts():
    x = np.where(TIMES < 1.5, 0.8 - 0.3 * TIMES, 0.35 + 0.4 * (TIMES - 1.5))
    events = impacts(track(x, np.full(len(TIMES), 0.6)))
    assert len(events) == 1
    assert abs(events[0].time - 1.5) < 0.03


def test_free_flight_rolling_and_rest_are_no_impacts():
    assert impacts(track(0.1 + 0.25 * TIMES, 0.9 - 0.9 * TIMES + 0.4 * TIMES**2)) == []
    assert impacts(track(0.1 + 0.25 * TIMES, np.full(len(TIMES), 0.8))) == []
    random = np.random.default_rng(0)
    assert impacts(track(0.5 + 0.003 * random.standard_normal(90), 0.5 + 0.003 * random.standard_normal(90))) == []


def test_boxes_too_few_a_second_say_nothing():
    assert impacts(track(np.full(18, 0.5), bouncing()[::5], times=TIMES[::5])) == []


def test_a_chain_follows_the_ball_through_its_turns_and_leaves_the_shoe():
    found = []
    for time, y in zip(TIMES, bouncing(), strict=True):
        found.append((float(time), np.array([0.48, y - 0.02, 0.52, y + 0.02]), 0.5, "sports ball"))
        if round(time * 30) % 3 == 0:
            found.append((float(time), np.array([0.6, 0.78, 0.64, 0.82]), 0.3, "sports ball"))
    first = chains(found, 16 / 9)[0]
    assert len(first.times) == len(TIMES)
    assert np.allclose(first.boxes[:, 0], 0.48)
