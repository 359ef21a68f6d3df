"""Edits on top of what was found: applied, found again after another detection, and refused."""

import json

import numpy as np
import pytest

from stereosync_core.errors import StereoSyncError
from stereosync_core.files import load_tracks, save_tracks
from stereosync_core.rendering.spatialize import SpatializeSettings, spatialize
from stereosync_core.scene import DepthSequence, Envelope, Track, Tracks
from stereosync_core.scene_edits import check_edits, edit_scene
from stereosync_core.scene_events import Event, Events

DURATION = 4.0
TIMES = np.linspace(0, DURATION, 41)


def walker(number=1, x=0.2, height=0.5):
    box = [x - 0.05, 0.8 - height, x + 0.05, 0.8]
    return Track(number, "person", TIMES, np.tile(box, (len(TIMES), 1)))


TRACKS = Tracks((walker(), walker(2, 0.7, 0.25)), DURATION)
EVENTS = Events((Event(1.0, "step", 1, "left", 0.6), Event(2.0, "step", 1, "right", 0.7, 0.8), Event(3.0, "impact")), DURATION)


def edit(edits, tracks=TRACKS, events=EVENTS, envelope=None):
    return edit_scene(json.dumps({"version": 1} | edits), tracks, events, envelope)


def found(time, kind="step", track=1):
    return {"time": time, "kind": kind, "track": track}


MOVED = {"found": found(2.0), "time": 2.2, "strength": 1.0}


def test_without_edits_everything_is_as_it_was_found():
    scene = edit_scene("", TRACKS, EVENTS)
    assert scene.events == EVENTS
    assert [one is other for one, other in zip(scene.tracks, TRACKS, strict=True)] == [True, True]
    assert scene.lost == ()


def test_events_are_moved_changed_deleted_and_added():
    gone = {"found": found(3.0, "impact", None), "deleted": True}
    scene = edit({"events": [MOVED, gone, {"time": 0.5, "kind": "clap", "track": 2}]})
    expected = [Event(0.5, "clap", 2), Event(1.0, "step", 1, "left", 0.6), Event(2.2, "step", 1, "right", 1.0, 0.8)]
    assert list(scene.events) == expected
    assert scene.lost == ()


def test_an_edit_finds_its_event_again_after_another_detection():
    again = Events((Event(1.05, "step", 1), Event(2.1, "step", 1), Event(2.03, "step", 2)), DURATION)
    assert [event.time for event in edit({"events": [MOVED]}, events=again).events] == [1.05, 2.03, 2.2]


def test_two_edits_never_take_the_same_event():
    near = {"found": found(1.9), "deleted": True}
    scene = edit({"events": [near, MOVED]})
    assert [event.time for event in scene.events] == [1.0, 2.2, 3.0]
    assert len(scene.lost) == 1
    assert "1.900 s" in scene.lost[0]


@pytest.mark.parametrize(
    "again",
    [Event(2.2, "step", 1), Event(2.0, "step", 2), Event(2.0, "landing", 1)],
    ids=["elsewhere", "another track", "another kind"],
)
def test_an_edit_whose_event_is_gone_is_named_and_left_out(again):
    scene = edit({"events": [MOVED]}, events=Events((again,), DURATION))
    assert list(scene.events) == [again]
    assert "2.000 s (step)" in scene.lost[0]


def test_events_beyond_the_end_of_a_shorter_clip_are_named_and_left_out():
    scene = edit({"events": [{"time": 9.0, "kind": "clap"}, MOVED]})
    assert len(scene.events) == 3
    assert "beyond the end" in scene.lost[0]


def test_a_path_to_the_other_side_moves_the_boxes_and_keeps_their_size():
    scene = edit({"tracks": [{"track": 1, "azimuth": [[0, 0.6], [4, 0.2]]}]})
    one, two = scene.tracks
    assert one.azimuth([0.0, 2.0, 4.0]) == pytest.approx([0.6, 0.4, 0.2])
    assert np.diff(one.boxes[:, [1, 3]], axis=1) == pytest.approx(0.5)
    assert two is TRACKS.tracks[1]


def test_the_distance_of_an_edited_track_goes_before_boxes_and_depth():
    depth = DepthSequence(np.random.default_rng(1).random((3, 8, 8)), [0.0, 2.0, 4.0])
    scene = edit({"tracks": [{"track": 1, "distance": [[0, 1], [4, 3]]}]})
    one, two = scene.tracks
    assert scene.tracks.distance(one, [0.0, 2.0, 4.0], depth) == pytest.approx([1.0, 2.0, 3.0])
    assert scene.tracks.distance(two, [1.0]) == pytest.approx(TRACKS.distance(two, [1.0]))


def test_an_edited_azimuth_alone_keeps_the_distance_of_the_boxes_as_they_were_found():
    depth = DepthSequence(np.random.default_rng(1).random((3, 8, 8)), [0.0, 2.0, 4.0])
    scene = edit({"tracks": [{"track": 1, "azimuth": [[0, 0.6]]}]})
    assert scene.tracks.distance(scene.tracks.tracks[0], [1.0], depth) == pytest.approx(TRACKS.distance(walker(), [1.0]))


def test_edited_distances_survive_a_file_and_in_turn(tmp_path):
    tracks = edit({"tracks": [{"track": 1, "distance": [[0, 1], [4, 3]]}]}).tracks
    again = load_tracks(save_tracks(tmp_path / "tracks.json", tracks), DURATION)
    assert again.tracks[0].distances == pytest.approx(tracks.tracks[0].distances, abs=1e-4)
    assert again.tracks[1].distances is None
    alone = Tracks(tuple(track for track in tracks if track.id == 1), DURATION)
    assert alone.in_turn().distances == pytest.approx(tracks.tracks[0].distances)


def test_an_edited_path_changes_the_side_that_is_louder():
    tone = np.sin(np.arange(4 * 48000) / 20)[None, None].astype(np.float32)

    def left_over_right(tracks):
        sound = spatialize(tone, 48000, tracks, SpatializeSettings(room=0.0), duration=DURATION)
        return float(np.log10((sound[0] ** 2).sum() / (sound[1] ** 2).sum()))

    alone = Tracks((walker(),), DURATION)
    there = edit({"tracks": [{"track": 1, "azimuth": [[0, 0.6]]}]}, alone).tracks
    assert left_over_right(alone) > 0.3
    assert left_over_right(there) < -0.3


def test_a_track_that_is_gone_is_named_and_left_out():
    scene = edit({"tracks": [{"track": 7, "azimuth": [[0, 0.6]]}]})
    assert "Track 7" in scene.lost[0]


def test_the_envelope_is_that_of_the_edited_events_and_then_of_its_points():
    assert edit({"events": [MOVED]}).envelope.at([2.25]) > 10 * edit({}).envelope.at([0.95])
    drawn = edit({"envelope": [[1, 0.0], [2, 0.1], [3, 0.0]]})
    assert drawn.envelope.at([0.5, 1.5, 2.0, 3.5]) == pytest.approx([0.0, 0.05, 0.1, 0.0])
    assert drawn.unshaped.at([2.02]) != pytest.approx(drawn.envelope.at([2.02]))
    assert all(len(shares) == len(drawn.envelope.times) for shares in drawn.envelope.owners.values())


def test_a_connected_envelope_keeps_its_times_and_takes_the_edited_events():
    guide = Envelope([0.1, 0.1], [0.0, 4.0], events=EVENTS)
    scene = edit({"events": [MOVED]}, envelope=guide)
    assert scene.envelope.at([1.0]) == pytest.approx([0.1])
    assert scene.envelope.events == scene.events
    assert "before they were edited" in scene.lost[0]
    assert edit({}, envelope=guide).lost == ()


def test_without_events_all_are_placed_by_hand():
    scene = edit_scene('{"version": 1, "events": [{"time": 1.5, "kind": "impact"}]}', TRACKS)
    assert list(scene.events) == [Event(1.5, "impact")]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "version 1"),
        ('{"version": 2}', "version 1"),
        ('{"version": 1, "event": []}', "'event'"),
        ('{"version": 1, "events": [{"kind": "step"}]}', "time"),
        ('{"version": 1, "events": [{"time": 1, "kind": "splash"}]}', "splash"),
        ('{"version": 1, "events": [{"time": 1, "loud": 2}]}', "'loud'"),
        ('{"version": 1, "events": [{"time": 1, "strength": 2}]}', "strength"),
        ('{"version": 1, "events": [{"time": 1, "strength": "much"}]}', "TypeError"),
        ('{"version": 1, "events": [{"found": {"kind": "step"}, "time": 1}]}', "time"),
        ('{"version": 1, "events": 5}', "int"),
        ('{"version": 1, "tracks": [{"azimuth": [[0, 0]]}]}', "track"),
        ('{"version": 1, "tracks": [{"track": 1, "azimuth": [[0, 2]]}]}', "-1..1"),
        ('{"version": 1, "tracks": [{"track": 1, "azimuth": [[1, 0], [0, 0]]}]}', "rise"),
        ('{"version": 1, "tracks": [{"track": 1, "azimuth": [0, 0]}]}', "points"),
        ('{"version": 1, "tracks": [{"track": 1, "distance": [[0, NaN]]}]}', "0.05..20"),
        ('{"version": 1, "envelope": [[0, -1]]}', "0..1"),
    ],
)
def test_edits_that_make_no_sense_are_one_error_before_the_work(text, word):
    for attempt in (check_edits, lambda text: edit_scene(text, TRACKS, EVENTS)):
        with pytest.raises(StereoSyncError, match="reset the edits") as error:
            attempt(text)
        assert word in str(error.value)
