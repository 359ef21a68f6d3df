"""MASA's rules, one by one, in both forms; and the choice among finished tracks."""

from dataclasses import replace

import numpy as np
import pytest

from stereosync_core.scene import Track, Tracks
from stereosync_core.tracking.masa.pipeline import adapted, remove_giants, runs, smooth, tracklets_of
from stereosync_core.tracking.masa.tracker import BddSettings, BddTracker, TaoSettings, TaoTracker, TrackedBoxes
from stereosync_core.tracking.tracklets import parse_ids, select_tracks
from tests.errors import refused


def box(x, y=100.0, width=40.0, height=80.0):
    return [x, y, x + width, y + height]


def looks(*kinds):
    """Embeddings as different as can be, one for each kind."""
    return np.eye(256, dtype=np.float32)[list(kinds)] * 8


def step(tracker, time, boxes, kinds, scores=None, labels=None):
    count = len(boxes)
    array = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    return tracker.update(time, array, scores or [0.9] * count, labels or ["person"] * count, looks(*kinds))


def test_appearance_keeps_identities_where_objects_cross():
    tracker = TaoTracker()
    for n in range(20):
        found = step(tracker, n / 30, [box(100 + 10 * n), box(300 - 10 * n)], [0, 1], scores=[0.9, 0.8])
        assert found.ids.tolist() == [0, 1]


def test_output_is_ordered_by_score_and_keeps_the_row_of_each_box():
    found = step(TaoTracker(), 0.0, [box(0), box(200), box(400)], [0, 1, 2], scores=[0.3, 0.05, 0.9])
    assert found.rows.tolist() == [2, 0], "the weakest begins no track"
    assert found.ids.tolist() == [0, 1]
    assert found.scores.tolist() == pytest.approx([0.9, 0.3])


def test_boxes_without_scores_are_certain():
    found = TaoTracker().update(0.0, np.array([box(0)]), None, ["a"], looks(0))
    assert found.scores.tolist() == [1.0]
    refused("2 labels", TaoTracker().update, 0.0, np.array([box(0)]), None, ["a", "b"], looks(0))


def test_a_frame_without_boxes_forgets_nothing_and_memory_counts_in_seconds():
    tracker = TaoTracker(TaoSettings(memory=0.5))
    step(tracker, 0.0, [box(0)], [0])
    assert len(step(tracker, 0.4, [], []).ids) == 0
    assert step(tracker, 10.0, [box(0)], [0]).ids.tolist() == [0], "nothing has been forgotten in between"
    step(tracker, 10.4, [box(900)], [1])
    assert list(tracker.memory) == [0, 1]
    step(tracker, 10.5, [box(900)], [1])
    assert list(tracker.memory) == [1]
    assert step(tracker, 10.6, [box(0)], [0]).ids.tolist() == [2]


def test_a_weak_box_on_a_stronger_one_is_a_distractor_whatever_its_class():
    boxes = [box(0), box(5), box(10)]
    found = step(TaoTracker(), 0.0, boxes, [0, 1, 2], scores=[0.9, 0.45, 0.6], labels=["a", "b", "c"])
    assert found.rows.tolist() == [0, 2]


def test_the_gate_keeps_a_look_alike_far_away_from_taking_the_number():
    tracker = TaoTracker()
    step(tracker, 0.0, [box(0), box(600)], [0, 1])
    assert step(tracker, 1 / 30, [box(500)], [0]).ids.tolist() == [2]
    free = TaoTracker(TaoSettings(max_distance=None))
    step(free, 0.0, [box(0)], [0])
    assert step(free, 1 / 30, [box(500)], [0]).ids.tolist() == [0]


def test_the_gate_scales_with_the_frames_size_and_the_rate():
    settings = adapted(TaoSettings(), 3840, 2160, 30)
    assert isinstance(settings, TaoSettings)
    assert (settings.max_distance, settings.decay) == (pytest.approx(300), pytest.approx(10))
    assert settings.furthest == 1920
    assert adapted(TaoSettings(), 1280, 720, 30) == replace(TaoSettings(), furthest=640)
    for size in (1, 3):
        tracker = TaoTracker(adapted(TaoSettings(), 1280 * size, 720 * size, 30))  # type: ignore[arg-type]
        step(tracker, 0.0, [np.array(box(0)) * size], [0])
        assert step(tracker, 1 / 30, [np.array(box(110)) * size], [0]).ids.tolist() == [0]
        assert step(tracker, 2 / 30, [np.array(box(400)) * size], [0]).ids.tolist() == [1]


def test_after_a_long_absence_the_gate_does_not_overflow():
    tracker = TaoTracker(TaoSettings(memory=1e6))
    step(tracker, 0.0, [box(0)], [0])
    assert step(tracker, 1e5, [box(900)], [0]).ids.tolist() == [0]


@pytest.mark.parametrize(
    ("tracker", "expected"),
    [
        (TaoTracker(TaoSettings(per_class=False)), 0),
        (TaoTracker(TaoSettings(per_class=True)), 1),
        (BddTracker(BddSettings(per_class=True)), 1),
    ],
)
def test_per_class_is_our_own_option(tracker, expected):
    step(tracker, 0.0, [box(0)], [0], labels=["cat"])
    assert step(tracker, 1 / 30, [box(0)], [0], labels=["dog"]).ids.tolist() == [expected]


def test_the_running_mean_of_an_embedding_weighs_the_newest_most():
    tracker = TaoTracker(TaoSettings(momentum=0.75))
    step(tracker, 0.0, [box(0)], [0])
    mixed = looks(0) + 0.1 * looks(1)
    tracker.update(1 / 30, np.array([box(0)]), None, ["person"], mixed)
    np.testing.assert_allclose(tracker.memory[0].embedding, 0.25 * looks(0)[0] + 0.75 * mixed[0])


def test_bdd_drops_repeats_by_the_score():
    boxes = [box(0), box(4), box(200), box(208)]
    found = step(BddTracker(), 0.0, boxes, [0, 1, 2, 3], scores=[0.9, 0.8, 0.7, 0.25])
    assert found.rows.tolist() == [0, 2], "overlaps of 0.82 and 0.67: above 0.7, and above 0.3 for the uncertain one"


def test_bdd_keeps_boxes_without_identity_as_backdrop_for_one_frame():
    tracker = BddTracker()
    step(tracker, 0.0, [box(0), box(300)], [0, 1], scores=[0.9, 0.4])
    assert len(tracker.backdrop) == 1
    found = step(tracker, 1 / 30, [box(0), box(300)], [0, 1], scores=[0.9, 0.6])
    assert found.ids.tolist() == [0, 1], "what looks like backdrop may still begin a track"
    assert tracker.match is not None
    assert tracker.match.shape == (2, 2)
    assert tracker.backdrop == []


def test_bdd_discards_an_uncertain_box_that_looks_like_an_object():
    tracker = BddTracker()
    step(tracker, 0.0, [box(0), box(300)], [0, 1])
    found = step(tracker, 1 / 30, [box(500)], [0], scores=[0.2])
    assert len(found.ids) == 0
    assert tracker.backdrop == [], "neither a new object nor backdrop"


def test_bdd_has_no_gate():
    tracker = BddTracker()
    step(tracker, 0.0, [box(0), box(900)], [0, 1])
    assert step(tracker, 1 / 30, [box(900), box(0)], [0, 1]).ids.tolist() == [0, 1]


def frame(*rows):
    """A finished frame out of (id, box, score)."""
    ids, boxes, scores = (list(part) for part in zip(*rows, strict=True)) if rows else ([], [], [])
    count = len(ids)
    return TrackedBoxes(
        np.arange(count),
        np.array(boxes, dtype=np.float32).reshape(-1, 4),
        np.array(scores),
        np.array(["a"] * count),
        np.array(ids),
    )


def test_a_box_around_four_stronger_ones_takes_its_whole_track_along():
    inside = [(n, box(20 + 60 * n, 20, 40, 60), 0.9) for n in range(4)]
    crowd = frame((9, [0, 0, 280, 100], 0.5), *inside)
    alone = frame((9, [0, 0, 50, 50], 0.5), (0, box(300), 0.9))
    assert [found.ids.tolist() for found in remove_giants([crowd, alone], 1000, 1000)] == [[0, 1, 2, 3], [0]]
    stronger = frame((9, [0, 0, 280, 100], 0.95), *inside)
    assert 9 in remove_giants([stronger], 1000, 1000)[0].ids
    whole = frame((9, [0, 0, 280, 100], 0.95), (0, box(20, 20), 0.9))
    assert 9 not in remove_giants([whole], 280, 100)[0].ids
    assert 9 in remove_giants([frame((9, [0, 0, 280, 100], 0.95))], 280, 100)[0].ids, "no other box to compare with"


def test_runs_end_at_gaps_and_short_ones_keep_their_boxes():
    frames = [frame((0, box(10.0 * n), 0.5 + 0.1 * (n % 2))) if n != 6 else frame() for n in range(10)]
    assert [len(run) for run in runs(frames)] == [6, 3]
    smoothed = smooth(frames)
    assert smoothed[2].boxes[0, 0] == pytest.approx(20)
    assert smoothed[0].boxes[0, 0] == pytest.approx(6), "the edge is repeated: (0 + 0 + 0 + 10 + 20) / 5"
    assert (smoothed[8].boxes[0, 0], smoothed[0].scores[0]) == (80, pytest.approx(0.55))


def test_the_class_of_a_track_is_the_one_it_had_most_often():
    frames = [replace(frame((3, box(0), 0.9)), labels=np.array([name])) for name in ("cat", "dog", "dog")]
    (found,) = tracklets_of([0.0, 0.1, 0.2], frames, np.array([100, 200, 100, 200]))
    assert (found.id, found.label) == (4, "dog")
    assert found.boxes[0].tolist() == pytest.approx([0.0, 0.5, 0.4, 0.9])


def tracks():
    times = np.arange(10) / 10
    made = []
    for number, name, x in ((1, "person", 0.2), (2, "dog", 0.8), (4, "person", 0.5)):
        path = np.array([[x - 0.05 + 0.01 * n, 0.4, x + 0.05 + 0.01 * n, 0.8] for n in range(10)])
        made.append(Track(number, name, times, path))
    return Tracks(tuple(made), 1.0)


def chosen(**conditions):
    return [track.id for track in select_tracks(tracks(), **conditions)]


def test_tracks_are_selected_by_number_class_and_region():
    assert chosen() == [1, 2, 4]
    assert chosen(ids="4, 1") == [1, 4]
    assert chosen(classes="Person") == [1, 4]
    assert chosen(classes="person", drop=True) == [2]
    assert chosen(region=(0, 0, 0.55, 1)) == [1, 4]
    assert chosen(region=(0, 0, 0.53, 1), share=0.9) == [1]
    assert chosen(region=(0, 0, 0.5, 1), share=0.0) == [1, 4]
    assert len(chosen(max_tracks=2)) == 2
    assert parse_ids("1, 5-7;1") == [1, 5, 6, 7]
    assert parse_ids("0, -3, -2--1") == [0, -3, -2, -1], "ids are any integers"
    for text in ("1-999999999999", "1" * 5000):
        refused("Ids", parse_ids, text)


@pytest.mark.parametrize(
    ("conditions", "word"),
    [
        ({"ids": "one"}, "'one' is no number"),
        ({"ids": "3"}, "no track 3"),
        ({"classes": "cat"}, "the clip has dog, person"),
        ({"region": (0.5, 0, 0.5, 1)}, "no extent"),
    ],
)
def test_conditions_that_make_no_sense_are_named(conditions, word):
    refused(word, chosen, **conditions)
