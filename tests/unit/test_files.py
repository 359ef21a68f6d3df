"""Tracks and depth on disk: what was written is read, and what is wrong is named."""

import json

import numpy as np
import pytest

from stereosync_core import DepthSequence, Track, Tracks, load_depth, load_tracks, save_depth, save_tracks
from tests.errors import refused

TIMES = np.arange(0, 4, 0.1)
TRACKS = Tracks((Track(3, "person", TIMES, [[0.1, 0.2, 0.3, 0.8]] * 40, np.full(40, 0.7)),), 4.0, aspect=2.0)


def test_tracks_come_back_as_they_went(tmp_path):
    path = save_tracks(tmp_path / "tracks.json", TRACKS)
    back = load_tracks(path, 4.0)
    assert (back.duration, back.max_gap, back.aspect) == (4.0, 0.5, 2.0)
    assert np.allclose(back.tracks[0].boxes, TRACKS.tracks[0].boxes)
    assert back.tracks[0].id == 3


def test_the_form_in_the_help_is_enough(tmp_path):
    path = tmp_path / "tracks.json"
    path.write_text(json.dumps({"tracks": [{"id": 1, "label": "dog", "times": [0, 1], "boxes": [[0, 0, 1, 1], [0, 0, 1, 1]]}]}))
    assert load_tracks(path, 4.0).duration == 4.0


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "not JSON of the form"),
        ("[]", "not JSON of the form"),
        ('{"tracks": [{"id": 1}]}', "not JSON of the form"),
        ('{"tracks": [{"times": [0], "boxes": [[0, 0, 500, 400]]}]}', "divide pixels"),
        ('{"tracks": [{"times": [30], "boxes": [[0, 0, 1, 1]]}]}', "for a clip of 30.00 s"),
        ('{"duration": 9, "tracks": []}', "for a clip of 9.00 s"),
    ],
)
def test_wrong_tracks_files_are_named(tmp_path, text, word):
    path = tmp_path / "tracks.json"
    path.write_text(text)
    refused(word, load_tracks, path, 4.0)
    refused("cannot be read", load_tracks, tmp_path / "none.json", 4.0)


def test_depth_comes_back_as_it_went(tmp_path):
    depth = DepthSequence(np.random.default_rng(0).random((16, 4, 6)), np.arange(16) / 4)
    back = load_depth(save_depth(tmp_path / "depth.npz", depth), 4.0)
    assert np.array_equal(back.maps, depth.maps)
    assert np.array_equal(back.times, depth.times)


def test_wrong_depth_files_are_named(tmp_path):
    path = tmp_path / "depth.npz"
    path.write_bytes(b"nothing")
    refused("not an NPZ", load_depth, path, 4.0)
    np.savez(path, maps=np.zeros((1, 2, 2)))
    refused("not an NPZ", load_depth, path, 4.0)
    for count in (4, 60):
        np.savez(path, maps=np.zeros((count, 2, 2)), times=np.arange(count) / 4)
        refused("this clip lasts", load_depth, path, 8.0)
    np.savez(path, maps=np.array([object()]), times=np.zeros(1))
    refused("not an NPZ", load_depth, path, 4.0)


def test_nothing_half_written_stays_where_writing_fails(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for folder in ("file", "missing"):
        refused("does not exist", save_tracks, tmp_path / folder / "tracks.json", TRACKS)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
