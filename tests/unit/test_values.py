"""Numbers of a track, frame by frame."""

import csv
import json

import numpy as np
import pytest

from stereosync_core import Sound, Track, Tracks
from stereosync_core.rendering.values import chosen_track, track_values
from tests.errors import refused

TIMES = np.linspace(0, 2, 61)


def box(x, height):
    return np.stack([x - 0.05, 0.9 - height + 0 * x, x + 0.05, 0.9 + 0 * x], 1)


NEAR = Track(4, "person", TIMES, box(0.1 + 0.4 * TIMES, 0.6 + 0 * TIMES))
GONE = Track(-2, "dog", TIMES[:30], box(0.9 - 0 * TIMES[:30], 0.3 + 0 * TIMES[:30]))
SCENE = Tracks((NEAR, GONE), 2.0)


def test_values_are_those_of_the_boxes():
    found = track_values(SCENE, NEAR, 30)
    assert len(found.times) == 60
    middle = slice(10, 50)
    np.testing.assert_allclose(found.azimuth[middle], 0.2 + 0.8 * found.times[middle] - 1, atol=1e-3)
    other = track_values(SCENE, GONE, 30)
    assert other.distance[0] / found.distance[0] == pytest.approx(2, rel=1e-3)
    assert found.level[0] / other.level[0] > 1.7
    assert other.visibility[5] == 1
    assert other.visibility[45] == 0 == other.level[45]


def test_a_unit_range():
    found = track_values(SCENE, NEAR, 30)
    assert found.of("azimuth", unit=True)[30] == pytest.approx(0.5, abs=1e-2)
    level = track_values(SCENE, GONE, 30).of("level", unit=True)
    assert (level.min(), level.max()) == (0, 1)
    refused("no 'size'; choose one of azimuth", found.of, "size")


def test_the_level_of_a_sound():
    samples = np.zeros((1, 96000), np.float32)
    samples[0, 48000:72000] = 0.25
    level = track_values(SCENE, NEAR, 25, sound=Sound(samples, 48000)).level
    np.testing.assert_allclose(level[:24], 0, atol=1e-6)
    np.testing.assert_allclose(level[26:36], 1, atol=1e-6)


def test_texts_hold_all():
    found = track_values(SCENE, NEAR, 30)
    data = json.loads(found.text("json"))
    rows = list(csv.DictReader(found.text("csv").splitlines()))
    assert set(data) == {"times", "azimuth", "distance", "level", "visibility"} == set(rows[0])
    np.testing.assert_allclose(data["azimuth"], found.azimuth, atol=1e-6)
    np.testing.assert_allclose([float(row["level"]) for row in rows], found.level, atol=1e-6)


def test_tracks_are_chosen_by_id():
    assert chosen_track(SCENE, " -2 ") is GONE
    assert chosen_track(SCENE, "").id == 4
    refused(r"no track '9'.*4 \(person\), -2 \(dog\)", chosen_track, SCENE, "9")
    refused("none to go along", chosen_track, Tracks((), 1.0), "")
    refused("give that of the frames", track_values, SCENE, NEAR, 0)
