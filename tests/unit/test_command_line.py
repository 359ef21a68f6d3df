"""The command line does the whole path, reports what it did, and gives one clear line for what is wrong."""

import json

import av
import numpy as np
import pytest

from stereosync_core.__main__ import main
from stereosync_core.assets import WALKING_CLIP, asset_path
from stereosync_core.media.video import probe
from tests.clips import sound_in, video_packet_digest

CLIP = str(asset_path(WALKING_CLIP))


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Tracks and depth of the sample clip, saved by a first run, and what that run printed."""
    folder = tmp_path_factory.mktemp("scene")
    options = ["--save-tracks", str(folder / "tracks.json"), "--save-depth", str(folder / "depth.npz")]
    assert main(["render", CLIP, "-o", str(folder / "out.mkv"), "--surface", "grass", "--quiet", *options]) == 0
    return folder


def again(scene):
    return ["--tracks", str(scene / "tracks.json"), "--depth", str(scene / "depth.npz")]


@pytest.mark.slow
def test_the_picture_is_untouched_and_the_sound_has_its_length_and_its_place(scene, capsys):
    assert main(["render", CLIP, "-o", str(scene / "again.mkv"), "--surface", "grass", "--json", *again(scene)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["level_difference_correlation"] >= 0.9
    assert [track["label"] for track in report["tracks"]] == ["person"]
    assert 7 <= len(report["steps"][0]) <= 11
    assert video_packet_digest(report["output"]) == video_packet_digest(CLIP)
    assert sound_in(report["output"], align_to_video=False).length == report["samples"] == round(probe(CLIP).duration * 48000)


@pytest.mark.slow
def test_saved_tracks_and_depth_give_the_same_sound(scene):
    assert main(["render", CLIP, "-o", str(scene / "own.mkv"), "--surface", "grass", "--quiet", *again(scene)]) == 0
    first, second = sound_in(scene / "out.mkv"), sound_in(scene / "own.mkv")
    assert np.abs(first.samples - second.samples).max() < 2e-3, "boxes are saved to six digits"


@pytest.mark.parametrize(("name", "rate"), [("out.wav", 48000), ("out.flac", 44100)])
def test_a_sound_file_is_exact_to_the_sample(scene, name, rate):
    assert main(["render", CLIP, "-o", str(scene / name), "--rate", str(rate), "--quiet", *again(scene)]) == 0
    sound = sound_in(scene / name, align_to_video=False)
    assert (sound.rate, sound.length, sound.channels) == (rate, round(probe(CLIP).duration * rate), 2)


def test_a_sound_of_ones_own_is_placed(scene):
    assert main(["render", CLIP, "-o", str(scene / "steps.wav"), "--quiet", *again(scene)]) == 0
    options = ["--sound", str(scene / "steps.wav"), "--mode", "binaural", "--quiet", *again(scene)]
    assert main(["render", CLIP, "-o", str(scene / "placed.mp4"), *options]) == 0
    with av.open(str(scene / "placed.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["missing.mp4"], "missing.mp4"),
        ([CLIP, "--no-depth", "--depth", "x.npz"], "--no-depth"),
        ([CLIP, "--classes", "unicorn"], "unicorn"),
        ([CLIP, "--tracks", "none.json"], "none.json"),
        ([CLIP, "--classes", "giraffe", "--if-nothing", "error", "--no-depth"], "Nothing is tracked"),
        ([CLIP, "--timing", "envelope", "--no-depth"], "envelope"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_left(tmp_path, monkeypatch, capsys, options, word):
    monkeypatch.chdir(tmp_path)
    assert main(["render", *options, "-o", "out.mp4", "--quiet"]) == 1
    error = capsys.readouterr().err.strip()
    assert word in error
    assert error.splitlines()[-1].startswith("error: ")
    assert list(tmp_path.iterdir()) == []
