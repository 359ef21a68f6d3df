"""Contacts of simulated people, whose true moments are known: steps, landings, claps, left and right set right."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from research.training.contacts import rotation
from research.training.walker_simulation import RATE as FINE
from research.training.walker_simulation import Walk, simulate
from stereosync_core.events.body import RATE, bodies, swaps
from stereosync_core.events.detect import contacts, own_landmarks
from stereosync_core.events.landmarks import Landmarks
from stereosync_core.events.steps import regular

#: Where the simulated joints lie among the pose network's landmarks.
PLACES = [11, 12, 15, 16, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32]


def seen(walk: Walk, axes: np.ndarray, height: float = 0.6, noise: float = 0.002, seed: int = 0) -> Landmarks:
    """A walk's landmarks from afar, with a camera that follows smoothly, half the way."""
    joints = walk.joints[:: round(FINE / RATE)]
    random = np.random.default_rng(seed)
    hips = joints[:, 4:6].mean(1, keepdims=True)
    path = gaussian_filter1d(hips, 0.4 * RATE, axis=0, mode="nearest")
    flat = (joints - 0.5 * path) @ axes.T
    points, world = np.zeros((len(joints), 33, 2)), np.zeros((len(joints), 33, 3))
    points[:, PLACES] = flat[..., :2] * height + 0.5 + height * noise * random.standard_normal(flat[..., :2].shape)
    world[:, PLACES] = (joints - hips) @ axes.T * 1.7
    points[:, [19, 20]], world[:, [19, 20]] = points[:, [15, 16]], world[:, [15, 16]]
    times, sure = np.arange(len(joints)) / RATE, np.ones(len(joints))
    return Landmarks(1, times, points, world, np.ones((len(joints), 33)), sure, sure * height)


def f1(true: np.ndarray, found: np.ndarray, reach: float = 0.05) -> float:
    hits = sum(bool(len(found)) and np.abs(found - moment).min() <= reach for moment in true)
    return 2 * hits / max(len(true) + len(found), 1)


def view(seed: int) -> np.ndarray:
    return rotation(np.random.default_rng(seed))[0]


@pytest.mark.parametrize("gait", ["walk", "run", "march", "stairs"])
def test_steps_are_found_from_any_side(gait):
    scores, sides = [], []
    for seed in range(6):
        walk = simulate(np.random.default_rng(100 + seed), gait)
        events = [event for event in contacts(seen(walk, view(seed))) if event.kind == "step" and event.confidence > 0.4]
        true = np.sort(np.concatenate(walk.contacts))
        scores.append(f1(true, np.array([event.time for event in events])))
        for side, name in enumerate(("left", "right")):
            sides += [
                event.foot == name
                for event in events
                if len(walk.contacts[side]) and np.abs(walk.contacts[side] - event.time).min() < 0.05
            ]
    assert np.mean(scores) > 0.75, scores
    assert np.mean(sides) > 0.8


def test_who_stands_and_sways_makes_no_step():
    for seed in range(6):
        walk = simulate(np.random.default_rng(200 + seed), "stand")
        assert not [event for event in contacts(seen(walk, view(seed))) if event.confidence > 0.5]


def test_jumps_end_in_landings_and_not_in_steps():
    scores = []
    for seed in range(6):
        walk = simulate(np.random.default_rng(300 + seed), "jump")
        events = [event for event in contacts(seen(walk, view(3))) if event.confidence > 0.5]
        scores.append(f1(walk.landings, np.array([event.time for event in events if event.kind == "landing"]), 0.06))
    assert np.mean(scores) > 0.7, scores


def clapping(closing: float) -> Landmarks:
    """Somebody who stands and brings the hands together at 1 s and at 2 s, ``closing`` seconds long."""
    landmarks = seen(simulate(np.random.default_rng(5), "stand"), rotation_front())
    points, world = landmarks.points, landmarks.world
    away = np.full(len(landmarks.times), 0.3)
    for moment in (1.0, 2.0):
        near = (landmarks.times > moment - closing) & (landmarks.times <= moment + 0.3)
        away[near] = np.clip(0.3 * (moment - landmarks.times[near]) / closing, 0.02, 0.3)
    for places, sign in (((15, 19), 1), ((16, 20), -1)):
        for place in places:
            points[:, place] = points[:, 11:13].mean(1) + np.stack([sign * away * 0.3, np.full(len(away), 0.1)], axis=1)
            world[:, place] = world[:, 11:13].mean(1)
            world[:, place, 0] += sign * away * 0.8
    return landmarks


def rotation_front() -> np.ndarray:
    return np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])


def test_hands_that_close_abruptly_clap():
    events = [event for event in contacts(clapping(0.12)) if event.kind == "clap"]
    assert np.allclose([event.time for event in events], [1.0, 2.0], atol=0.04)


def test_hands_that_close_slowly_do_not_clap():
    assert not [event for event in contacts(clapping(0.8)) if event.kind == "clap"]


def test_left_and_right_are_set_right():
    walk = simulate(np.random.default_rng(8), "walk")
    good = seen(walk, view(1))
    points, world = good.points / 0.6, good.world.copy()
    wrong = np.zeros(len(points), dtype=bool)
    wrong[40:44] = wrong[90:91] = True
    for left in (23, 25, 27, 29, 31):
        for values in (points, world):
            values[wrong, left], values[wrong, left + 1] = values[wrong, left + 1], values[wrong, left].copy()
    assert (swaps(points, world) == wrong).mean() > 0.98


def test_nobody_in_the_crop_gives_nothing():
    walk = simulate(np.random.default_rng(9), "walk")
    landmarks = seen(walk, view(1))
    landmarks.presence[:] = 0.1
    assert bodies(landmarks) == []
    assert contacts(landmarks) == []


def test_a_single_frame_gives_nothing():
    landmarks = seen(simulate(np.random.default_rng(9), "walk"), view(1))
    one = Landmarks(*(value[:1] if isinstance(value, np.ndarray) else value for value in vars(landmarks).values()))
    assert contacts(one) == []


def test_two_tracks_of_one_person_count_once():
    landmarks = seen(simulate(np.random.default_rng(9), "walk"), view(1))
    twin = Landmarks(2, *(value for name, value in vars(landmarks).items() if name != "id"))
    kept = own_landmarks([landmarks, twin])
    assert [one.id for one in kept] == [1]


def test_ten_minutes_of_steps_are_put_in_order_at_once():
    """The time that the chain takes goes with the number of steps, not with its cube."""
    random = np.random.default_rng(0)
    true = np.cumsum(random.normal(0.5, 0.01, 1200))
    stray = true[::7] + 0.17
    moments = np.sort(np.concatenate([true, stray]))
    likely = np.where(np.isin(moments, true), 0.8, 0.35)
    began = time.process_time()
    chosen = regular(moments, likely)
    assert time.process_time() - began < 2
    assert np.array_equal(moments[chosen], true)
