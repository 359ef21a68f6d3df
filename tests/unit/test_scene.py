"""The scene types: what they check, and how they are read at other times."""

import numpy as np
import pytest

from stereosync_core.scene import DepthSequence, Envelope, Track, Tracks
from tests.errors import refused


def box(x, height=0.4, width=0.1):
    return [x - width / 2, 0.3, x + width / 2, 0.3 + height]


def walker(number=1, start=0.0, end=4.0, rate=10, left=0.1, right=0.9, height=0.4):
    times = np.arange(start, end + 1e-9, 1 / rate)
    return Track(number, "person", times, [box(x, height) for x in np.linspace(left, right, len(times))])


def test_depth_between_two_maps_is_their_mixture_and_ends_are_held():
    depth = DepthSequence(np.stack([np.zeros((2, 3)), np.ones((2, 3))]), [1.0, 3.0])
    assert np.allclose(depth.at([0.0, 1.0, 1.5, 3.0, 9.0])[:, 0, 0], [0, 0, 0.25, 1, 1])


def test_scene_data_cannot_be_written_into():
    depth = DepthSequence(np.zeros((1, 2, 2)), [0.0])
    with pytest.raises(ValueError, match="read-only"):
        depth.maps[0, 0, 0] = 1


def test_nearness_of_a_box_is_that_of_the_object_in_it():
    maps = np.full((1, 90, 160), 0.2, dtype=np.float32)
    maps[0, 27:63, 76:84] = 0.9
    nearness = DepthSequence(maps, [0.0]).nearness(np.array([0.0]), np.array([box(0.5)]))
    assert nearness[0] == pytest.approx(0.9, abs=0.01)


def test_azimuth_and_elevation_follow_the_box():
    track = walker()
    assert track.azimuth([0.0, 2.0, 4.0]) == pytest.approx([-0.8, 0.0, 0.8], abs=1e-6)
    assert Track(1, "bird", [0.0], [[0.4, 0.0, 0.6, 0.2]]).elevation([0.0])[0] == pytest.approx(0.8)


def test_an_object_is_off_screen_before_after_and_in_long_gaps():
    track = Track(1, "person", [1.0, 1.1, 1.2, 3.0, 3.1], [box(x) for x in (0.1, 0.2, 0.3, 0.8, 0.9)])
    boxes, visible = track.at([0.5, 1.05, 1.15, 2.0, 3.05, 4.0], max_gap=0.5)
    assert visible.tolist() == [False, True, True, False, True, False]
    assert boxes[3, 0] == pytest.approx(boxes[2, 0] + 0.05, abs=1e-6), "in the gap the nearest box is held"


def test_short_gaps_are_walked_through():
    track = Track(1, "person", [0.0, 0.4], [box(0.2), box(0.6)])
    boxes, visible = track.at([0.2], max_gap=0.5)
    assert visible[0]
    assert boxes[0].mean() == pytest.approx(np.mean(box(0.4)))


@pytest.mark.parametrize(
    ("kind", "values", "word"),
    [
        (DepthSequence, (np.zeros((2, 3)), [0, 1]), "shape"),
        (DepthSequence, (np.zeros((2, 3, 3)), [0.0]), "one time for each"),
        (DepthSequence, (np.full((1, 2, 2), np.nan), [0.0]), "NaN"),
        (DepthSequence, (np.full((1, 2, 2), 255.0), [0.0]), "0..1"),
        (DepthSequence, (np.zeros((2, 2, 2)), [1.0, 1.0]), "rise"),
        (DepthSequence, (np.zeros((2, 2, 2)), [0.0, np.nan]), "NaN"),
        (Track, (7, "person", [], []), "no boxes"),
        (Track, (7, "person", [0.0], [[0.5, 0.5, 0.4, 0.6]]), "ends before it begins"),
        (Track, (7, "person", [0.0], [[100.0, 50.0, 300.0, 400.0]]), "divide pixels"),
        (Track, (7, "person", [0.0, 1.0], [[0, 0, 1, 1]]), "equal numbers"),
        (Track, (7, "person", [0.0], [[0, 0, np.nan, 1]]), "NaN"),
        (Tracks, ((walker(1), walker(1)), 4.0), "ids repeat"),
        (Tracks, ((), 0.0), "duration"),
        (Envelope, ([-1.0], [0.0]), "not negative"),
    ],
)
def test_what_they_cannot_be_is_refused(kind, values, word):
    refused(word, kind, *values)


def test_a_walker_is_more_prominent_than_one_who_stands_and_than_one_far_away():
    walking, standing = walker(1), walker(2, left=0.5, right=0.5)
    far = walker(3, left=0.5, right=0.6, height=0.1)
    assert [track.id for track in Tracks((standing, far, walking), 4.0).most_prominent(2)] == [1, 2]


def test_distance_is_relative_to_the_median_and_falls_with_the_boxes_height():
    times = np.linspace(0, 4, 41)
    track = Track(1, "person", times, [box(0.5, height) for height in np.linspace(0.2, 0.6, 41)])
    distance = Tracks((track,), 4.0).distance(track, times)
    assert np.median(distance) == pytest.approx(1.0, rel=1e-6)
    assert distance[0] / distance[-1] == pytest.approx(3.0)


def test_distance_follows_depth_where_depth_is_given():
    times = np.linspace(0, 4, 41)
    track = Track(1, "person", times, [box(0.5)] * 41)
    maps = np.broadcast_to(np.linspace(0, 1, 41)[:, None, None], (41, 9, 16))
    tracks, depth = Tracks((track,), 4.0), DepthSequence(maps, times)
    for cue, ratio in (("depth", 4.0), ("both", 2.0), ("boxes", 1.0)):
        distance = tracks.distance(track, times, depth, cue)
        assert distance[0] / distance[-1] == pytest.approx(ratio, rel=1e-3)
    refused("choose both", tracks.distance, track, times, depth, "smell")


def test_an_envelope_is_read_by_time():
    envelope = Envelope([0.0, 1.0], [0.0, 2.0])
    assert envelope.at([-1.0, 1.0, 5.0]).tolist() == [0.0, 0.5, 1.0]


def test_depth_is_measured_once_for_all_tracks(monkeypatch):
    """Not for each track over the boxes of all: that would be the square of their number."""
    measured = []
    real = DepthSequence.nearness

    def nearness(self, times, boxes):
        measured.append(len(boxes))
        return real(self, times, boxes)

    monkeypatch.setattr(DepthSequence, "nearness", nearness)
    depth = DepthSequence(np.linspace(0, 1, 4 * 9 * 16, dtype=np.float32).reshape(4, 9, 16), np.arange(4.0))
    many = [Track(n, "person", np.arange(4.0), np.tile([0.1 * n, 0.2, 0.1 * n + 0.1, 0.8], (4, 1))) for n in range(6)]
    tracks = Tracks(tuple(many), 4.0)
    first = [tracks.distance(track, np.arange(4.0), depth, "depth") for track in tracks]
    assert sum(measured) == 2 * 6 * 4
    again = Tracks(tuple(many), 4.0)
    np.testing.assert_array_equal(first[3], again.distance(many[3], np.arange(4.0), depth, "depth"))
