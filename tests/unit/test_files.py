"""Tracks and depth on disk: what was written is read, and what is wrong is named."""

import json
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from stereosync_core import DepthSequence, Track, Tracks, load_depth, load_tracks, save_depth, save_tracks
from stereosync_core.events.files import events_from_text, load_events
from stereosync_core.files import read_object
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


ROW = {"id": 1, "times": [0, 1], "boxes": [[0.1, 0.2, 0.3, 0.8]] * 2}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_text_is_read_as_windows_and_spreadsheets_write_it(tmp_path, encoding):
    path = tmp_path / "tracks.json"
    path.write_bytes(json.dumps({"tracks": [ROW | {"label": "Fußgänger"}]}, ensure_ascii=False).encode(encoding))
    assert load_tracks(path, 4.0).tracks[0].label == "Fußgänger"
    path.write_bytes("time,kind\n1.25,step\n".encode(encoding))
    assert load_events(path, 4.0).times.tolist() == [1.25]
    assert events_from_text("\ufefftime\n2.5", 4.0).times.tolist() == [2.5]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100000,
        '{"tracks": ' + "[" * 100000,
        json.dumps({"tracks": [ROW | {"id": 1e999}]}),
        json.dumps({"tracks": [ROW | {"times": [0, 10**400]}]}),
        json.dumps({"tracks": [ROW | {"boxes": [[0.1, 0.2, 0.3, float("nan")]] * 2}]}),
        json.dumps({"tracks": [ROW | {"times": [-1e15, 1]}]}),
        json.dumps({"tracks": [ROW], "cuts": {"a": 1}}),
        json.dumps({"tracks": [ROW], "camera": {"times": [0, 1e9], "steps": [np.eye(3).tolist()] * 2, "confidence": [1, 1]}}),
        "\xff\xfe\x00\xd8",
    ],
    ids=["deep", "deep inside", "id", "time", "nan", "long ago", "cuts", "camera", "bytes"],
)
def test_a_tracks_file_that_is_none_is_one_error(tmp_path, text):
    path = tmp_path / "tracks.json"
    path.write_bytes(text.encode("latin-1"))
    refused("Tracks|Camera", load_tracks, path, 4.0)
    refused("Events file", load_events, path, 4.0)
    if text.startswith("["):
        refused("Config", read_object, path, "Config", "copy it again")


def array_file(shape, content=b"", kind="<f4"):
    """An ``.npy`` file by its header alone."""
    header = repr({"descr": kind, "fortran_order": False, "shape": shape}).ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + content


@pytest.mark.parametrize(
    ("maps", "times"),
    [
        (array_file((9, 10**6, 10**6)), array_file((9,))),
        (array_file((10**9, 10**6, 10**6)), array_file((10**18,))),
        (array_file((16, 4, 6), bytes(100)), array_file((16,), bytes(64))),
        (array_file((16, -4, 6), bytes(2000)), array_file((16,), bytes(64))),
        (array_file((16, 4), bytes(2000)), array_file((16,), bytes(64))),
        (array_file((1, 1, 1), bytes(4), "<c8"), array_file((1,), bytes(4))),
        (array_file((1, 1, 1), bytes(4), "|O"), array_file((1,), bytes(4))),
        (array_file("(" * 5000), array_file((1,))),
        (b"\x93NUMPY\x09\x00", b""),
        (b"", b""),
    ],
    ids=["33 TB", "more than bytes", "cut short", "negative", "flat", "complex", "objects", "deep", "version", "empty"],
)
def test_sizes_that_a_depth_file_claims_are_checked_before_memory_is_taken(tmp_path, maps, times):
    path = tmp_path / "depth.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("maps.npy", maps)
        archive.writestr("times.npy", times)
    tracemalloc.start()
    refused("Depth", load_depth, path, 4.0)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_a_depth_file_whose_zeros_are_more_than_a_clip_can_need_is_refused_by_its_size(tmp_path, monkeypatch):
    """Zeros shrink to a thousandth."""
    monkeypatch.setattr("stereosync_core.files._DEPTH_OF_ANY", 2**20)
    path, count = tmp_path / "depth.npz", 2**12
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("maps.npy", "w") as entry:
        entry.write(array_file((count, 32, 32)))
        entry.write(bytes(count * 4 * 32 * 32))
    assert path.stat().st_size < 2**16
    tracemalloc.start()
    refused("room for 1;", load_depth, path, 0.01)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


@pytest.mark.parametrize(
    "content", [b"", array_file((1, 1, 1), bytes(4)), b"PK\x03\x04" + bytes(40)], ids=["empty", "npy", "zip"]
)
def test_what_is_no_archive_is_no_depth(tmp_path, content):
    path = tmp_path / "depth.npz"
    path.write_bytes(content)
    refused("not an NPZ", load_depth, path, 4.0)


def test_depth_of_whole_numbers_and_in_fortran_order_is_read(tmp_path):
    path, maps = tmp_path / "depth.npz", np.asfortranarray(np.random.default_rng(0).integers(0, 2, (3, 4, 5)))
    np.savez(path, maps=maps.astype(np.uint8), times=np.arange(3))
    assert np.array_equal(load_depth(path, 2.5).maps, maps)
    np.savez(path, maps=maps.astype(float), times=np.arange(3))
    assert np.array_equal(load_depth(path, 2.5).maps, maps)
