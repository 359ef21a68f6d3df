"""When the feet hit the ground."""

import numpy as np
import pytest

from stereosync_core.rendering.gait import (
    BODY_HEIGHT,
    DOUBLE_SUPPORT,
    WALK_RATIO,
    Steps,
    cadence_from_speed,
    steps_from_cadence,
    steps_from_envelope,
    steps_from_track,
)
from stereosync_core.scene import Envelope, Track
from tests.errors import refused

ASPECT = 16 / 9
REAL_BOXES = """
810,540,891,980 812,536,873,980 787,532,882,1000 767,532,871,1000 724,540,880,1000 719,540,880,1000 722,536,869,1000
722,524,844,1000 701,520,796,1000 665,520,787,1000 638,520,785,1000 620,524,776,1000 613,524,758,992 618,516,695,944
611,512,665,944 584,512,652,944 552,516,661,944 525,516,654,944 511,520,647,940 509,516,620,940 509,508,581,940
477,504,568,935 443,508,570,940 416,512,566,1000 416,512,548,940 412,508,516,944 407,500,475,944 380,500,459,944
337,500,462,944 301,508,457,944 290,508,443,940 281,504,425,935 287,496,378,935 278,496,342,940 238,500,346,948
195,504,353,948 192,512,342,960 186,508,317,960 201,504,287,960 179,504,249,960 131,508,238,960 90,512,238,960
77,516,238,960 75,516,217,956 75,512,170,956 61,508,143,944 23,508,127,956 0,516,127,956 0,520,122,952 0,516,111,956
0,524,75,915 0,528,36,895
"""


def walker(cadence: float, fps: float, view: str = "side", jitter: float = 0.0, seconds: float = 8.0, seed: int = 0):
    """A walker's track and the true heel strikes. The box opens and closes and bobs once a step, widest and lowest in the
    middle of double support; the cadence wavers a little. Seen from the side the walker crosses the frame, seen from the front
    it comes nearer; the speed fits the cadence."""
    generator = np.random.default_rng(seed)
    offset = generator.random()
    fine = np.linspace(0, seconds, 20001)
    speed = cadence**2 * 60 * WALK_RATIO / BODY_HEIGHT  # body heights a second

    def phase(t):
        return cadence * t + 0.15 * np.sin(2 * np.pi * 0.2 * t) + offset

    steps = np.interp(np.arange(1, int(phase(seconds)) + 1) - DOUBLE_SUPPORT, phase(fine), fine)
    times = np.arange(0, seconds, 1 / fps)
    swing = np.cos(2 * np.pi * phase(times))
    if view == "side":
        height = np.full_like(times, 0.5)
        width = (0.45 + 0.2 * swing + 0.04 * np.cos(4 * np.pi * phase(times))) * height / ASPECT
        x = 0.05 + speed * height / ASPECT * times
    else:
        height = 1.5 / np.maximum(9 - speed * times, 1.8)
        width = (0.35 + 0.03 * np.cos(np.pi * phase(times))) * height / ASPECT
        x = np.full_like(times, 0.5)
    boxes = np.stack([x - width / 2, 0.9 - height + 0.012 * height * swing, x + width / 2, np.full_like(times, 0.9)], axis=1)
    boxes += jitter * height[:, None] * generator.standard_normal(boxes.shape) * [1 / ASPECT, 1, 1 / ASPECT, 1]
    seen = (x < 1) & (height < 0.83)
    return Track(1, "person", times[seen], np.clip(boxes[seen], -1, 2)), steps[steps < times[seen][-1]]


def standing(fps: float, jitter: float, seed: int = 0, height: float = 0.5) -> Track:
    times = np.arange(0, 20, 1 / fps)
    box = np.array([0.5 - 0.17 * height / ASPECT, 0.9 - height, 0.5 + 0.17 * height / ASPECT, 0.9])
    noise = np.random.default_rng(seed).standard_normal((len(times), 4)) * [1 / ASPECT, 1, 1 / ASPECT, 1]
    return Track(1, "person", times, box + jitter * height * noise)


def f1(found: np.ndarray, true: np.ndarray, tolerance: float = 0.08) -> float:
    free, hits = list(true), 0
    for time in found:
        near = min(free, key=lambda other: abs(other - time), default=None)
        if near is not None and abs(near - time) <= tolerance:
            free.remove(near)
            hits += 1
    return 2 * hits / max(len(found) + len(true), 1)


@pytest.mark.parametrize("view", ["side", "front"])
@pytest.mark.parametrize("fps", [10, 15, 30])
@pytest.mark.parametrize(("jitter", "least"), [(0.0, 0.9), (0.01, 0.75)], ids=["steady", "jittering"])
def test_steps_fall_on_the_walkers_heel_strikes(fps, view, jitter, least):
    walks = [walker(cadence, fps, view, jitter, seed=seed) for cadence in (1.4, 1.65, 1.9, 2.3, 2.7) for seed in range(3)]
    assert np.mean([f1(steps_from_track(track, 8.0).times, true) for track, true in walks]) >= least


def test_steps_of_a_filmed_walker():
    """The bundled clip: boxes by background difference ten times a second (left, top, right, bottom, in thousandths), heel
    strikes read off the single frames by eye."""
    rows = REAL_BOXES.split()
    boxes = np.array([[int(value) for value in row.split(",")] for row in rows]) / 1000
    track = Track(0, "person", 1.567 + 0.1 * np.arange(len(rows)), boxes)
    found = steps_from_track(track, 7.67, aspect=1768 / 994).times
    true = np.array([1.97, 2.60, 3.23, 3.83, 4.43, 5.05, 5.68, 6.27])
    assert f1(found, true, tolerance=0.08) >= 0.9
    assert abs(np.median([found[np.abs(found - time).argmin()] - time for time in true])) < 0.045


@pytest.mark.parametrize("fps", [10, 30])
@pytest.mark.parametrize("jitter", [0.0, 0.01])
def test_who_stands_still_makes_no_steps(fps, jitter):
    counts = [len(steps_from_track(standing(fps, jitter, seed, height), 20.0)) for seed in range(4) for height in (0.2, 0.5)]
    assert sum(counts) == 0


def test_who_walks_in_place_of_the_frame_still_steps():
    """A camera that follows the walker shows no translation; the legs show the steps."""
    track, true = walker(1.8, 30)
    boxes = track.boxes - (track.boxes[:, [0]] + track.boxes[:, [2]]) / 2 * [1, 0, 1, 0] + [0.5, 0, 0.5, 0]
    assert f1(steps_from_track(Track(1, "person", track.times, boxes), 8.0).times, true) >= 0.9


def test_without_a_bob_the_speed_sets_the_cadence():
    times = np.arange(0, 6, 1 / 15)
    x = 0.1 + 0.82 * 0.5 / ASPECT * times  # 1.4 m/s at a height of 1.7 m
    track = Track(1, "person", times, np.stack([x - 0.05, 0 * x + 0.4, x + 0.05, 0 * x + 0.9], axis=1))
    steps = steps_from_track(track, 6.0)
    assert 1 / np.median(np.diff(steps.times)) == pytest.approx(1.9, abs=0.1)


def test_cadence_grows_with_the_root_of_speed():
    assert cadence_from_speed(0.82) == pytest.approx(1.9, abs=0.05)
    assert cadence_from_speed(4 * 0.4) == pytest.approx(2 * cadence_from_speed(0.4), rel=1e-6)
    assert cadence_from_speed(0.0) == 1.2
    assert cadence_from_speed(99.0) == 3.2


def test_no_steps_while_out_of_the_picture():
    track, _ = walker(1.9, 30)
    hidden = (track.times > 1.5) & (track.times < 3.0)
    split = Track(1, "person", track.times[~hidden], track.boxes[~hidden])
    times = steps_from_track(split, 8.0, max_gap=0.5).times
    assert not ((times > 1.55) & (times < 2.95)).any()
    assert times[0] < 1.5 < 3.0 < times[-1]


def test_steps_end_with_the_clip_and_feet_alternate():
    track, _ = walker(1.9, 30)
    steps = steps_from_track(track, 2.0)
    assert steps.times.max() < 2.0
    assert (np.diff(steps.feet) != 0).all()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_handful_of_boxes_is_no_error(count):
    track, _ = walker(1.9, 10)
    steps_from_track(Track(1, "person", track.times[:count], track.boxes[:count]), 8.0)


def test_envelope_peaks_become_steps():
    true, heights = np.array([0.0, 0.5, 1.02, 1.6]), np.array([1.0, 0.5, 0.8, 0.3])
    times = np.arange(0, 2, 0.01)
    values = (heights * np.exp(-np.maximum(times[:, None] - true, 0) / 0.06) * (times[:, None] >= true)).sum(1)
    values += 0.02 * np.random.default_rng(0).random(len(times))
    steps = steps_from_envelope(Envelope(values, times))
    np.testing.assert_allclose(steps.times, true, atol=0.02)
    np.testing.assert_allclose(steps.strengths, heights, atol=0.06)


def test_envelope_peaks_closer_than_feet_can_go_are_one_step():
    times = np.arange(0, 1, 0.01)
    values = np.exp(-(((times - 0.4) / 0.02) ** 2)) + 0.9 * np.exp(-(((times - 0.5) / 0.02) ** 2))
    assert len(steps_from_envelope(Envelope(values, times))) == 1


def test_a_flat_envelope_has_no_steps():
    assert len(steps_from_envelope(Envelope(np.ones(50), np.arange(50) / 50))) == 0


def test_cadence_gives_steps_at_that_rate_and_the_seed_repeats_them():
    steps = steps_from_cadence(1.8, 60.0, start=0.3, seed=4)
    assert steps.times[0] == 0.3
    assert len(steps) == pytest.approx(1.8 * 59.7, abs=4)
    assert np.diff(steps.times).std() * 1.8 == pytest.approx(0.03, abs=0.01)
    np.testing.assert_array_equal(steps.times, steps_from_cadence(1.8, 60.0, start=0.3, seed=4).times)
    assert not np.array_equal(steps.times, steps_from_cadence(1.8, 60.0, start=0.3, seed=5).times)
    np.testing.assert_allclose(np.diff(steps_from_cadence(2.0, 3.0, variation=0.0).times), 0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Steps(np.array([0.0, 1.0]), np.array([0.5]), np.array([0, 1])), "equal length"),
        (lambda: Steps(np.array([1.0, 0.0]), np.array([0.5, 0.5]), np.array([0, 1])), "rise"),
        (lambda: Steps(np.array([0.0]), np.array([1.5]), np.array([0])), "0..1"),
        (lambda: Steps(np.array([0.0]), np.array([np.nan]), np.array([0])), "0..1"),
        (lambda: Steps(np.array([0.0]), np.array([0.5]), np.array([2])), "left"),
        (lambda: steps_from_cadence(0.0, 1.0), "rate"),
        (lambda: steps_from_cadence(2.0, float("nan")), "duration"),
        (lambda: steps_from_track(standing(10, 0), 0.0), "duration"),
    ],
)
def test_bad_inputs_are_named(make, message):
    refused(message, make)
