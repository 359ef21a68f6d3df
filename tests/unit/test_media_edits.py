"""Edit lists, as phones, editors and lossless cutters write them: what they show is what is kept."""

import av
import pytest

from stereosync_core import mux
from stereosync_core.media.trim import trim
from stereosync_core.media.video import frames, probe
from tests import clips
from tests.boxes import with_edits
from tests.errors import refused

GROUPS = {
    "closed": {"preset": "ultrafast", "bf": "2", "g": "8", "b_strategy": "0", "sc_threshold": "0"},
    "open": {"preset": "ultrafast", "bf": "3", "g": "8", "b_strategy": "0", "x264-params": "open-gop=1:scenecut=0"},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A second of pictures by kind of group."""
    folder = tmp_path_factory.mktemp("whole")
    return {name: clips.make_clip(folder / f"{name}.mp4", options=options) for name, options in GROUPS.items()}


@pytest.mark.parametrize("first", range(3, 14))
@pytest.mark.parametrize("kind", GROUPS)
def test_all_pictures_behind_a_start_are_kept(tmp_path, whole, kind, first):
    """Also those that lean on a group before theirs."""
    source = with_edits(whole[kind], tmp_path / "in.mp4", [((30 - first) / 30, first / 30)])
    out = mux(source, clips.click_sound(), tmp_path / "out.mp4")
    assert clips.numbers(frames(out.path)) == clips.numbers(frames(source)) == list(range(first, 30))
    assert probe(out.path).duration == pytest.approx(1 - first / 30)
    assert out.notes == ()


def test_a_start_is_cut_off_by_encoding_where_nothing_can_be_hidden(tmp_path, whole):
    """In Matroska the pictures that others need would be seen."""
    for first in (5, 6, 7):
        source = with_edits(whole["open"], tmp_path / "in.mp4", [((30 - first) / 30, first / 30)])
        out = mux(source, clips.click_sound(), tmp_path / "out.mkv")
        assert clips.numbers(frames(out.path)) == list(range(first, 30))
        assert "encoded anew" in out.notes[0]
        assert ".mkv cannot hide any" in out.notes[0]
        refused("cannot hold H.264", mux, source, clips.click_sound(), tmp_path / "out.webm")


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv"])
@pytest.mark.parametrize(
    ("edits", "rate", "shown"),
    [
        ([(0.3, 0), (0.4, 0.6)], 1, [*range(9), *range(18, 30)]),
        ([(0.43, 0)], 1, [*range(13)]),
        ([(0.4, 0), (0.4, 0)], 1, [*range(12), *range(12)]),
        ([(0.4, 0), (0.3, None), (0.3, 0.7)], 1, None),
        ([(0.4, 0), (0.4, 0.4)], 0.5, None),
    ],
    ids=["middle", "end", "repeated", "pause", "slow"],
)
def test_what_copying_cannot_cut_is_encoded_anew(tmp_path, whole, name, edits, rate, shown):
    source = with_edits(whole["closed"], tmp_path / "in.mp4", edits, rate)
    with av.open(str(source)) as container:
        native = clips.numbers((0, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0))
    out = mux(source, clips.click_sound(), tmp_path / name)
    assert clips.numbers(frames(out.path)) == native == (shown or native)
    assert probe(out.path).duration == pytest.approx(probe(source).duration, abs=2e-3)
    assert "edit list" in out.notes[0]
    assert "encoded anew" in out.notes[0]
    assert clips.numbers(frames(trim(source, 0, 0, tmp_path / "trimmed.mp4"))) == native


def test_what_no_codec_of_the_container_can_encode_is_refused(tmp_path, whole):
    source = with_edits(whole["closed"], tmp_path / "in.mp4", [(0.3, 0), (0.4, 0.6)])
    refused(r"write \.mp4, \.mov or \.mkv", mux, source, clips.click_sound(), tmp_path / "out.webm")
    assert list(tmp_path.iterdir()) == [source]
