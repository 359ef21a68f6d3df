"""Stems: the parts of a mix, which sum to it, as files and as named tracks of a video."""

import json

import av
import numpy as np
import pytest

from stereosync_core import SpatializeSettings, Track, Tracks, read_sound, spatialize
from stereosync_core.__main__ import main
from stereosync_core.media.mux import mux
from stereosync_core.rendering.spatialize import spatialize_stems
from stereosync_core.rendering.stems import Stem, save_stems, select_stem, stem_paths
from tests.clips import make_clip
from tests.errors import refused

RATE = 16000
TIMES = np.linspace(0, 1, 11)


def box(x, height=0.5):
    return np.stack([x - 0.05, 0.9 - height + 0 * x, x + 0.05, 0.9 + 0 * x], 1)


SCENE = Tracks((Track(3, "person", TIMES, box(0.2 + 0.6 * TIMES)), Track(7, "dog", TIMES, box(0.8 - 0 * TIMES, 0.3))), 1.0)


def noise(count=2, level=0.1):
    return (level * np.random.default_rng(1).standard_normal((count, 1, RATE))).astype(np.float32)


@pytest.mark.parametrize("mode", ["pan", "binaural"])
@pytest.mark.parametrize(("count", "level"), [(2, 0.1), (3, 0.1), (2, 3.0), (1, 0.1)])
def test_the_stems_sum_to_the_mix(mode, count, level):
    voices, settings = noise(count, level), SpatializeSettings(mode=mode, room=0.4)
    mix = spatialize(voices, RATE, SCENE, settings, duration=1.0)
    stems = spatialize_stems(voices, RATE, SCENE, settings, duration=1.0)
    assert np.abs(np.sum([stem.samples for stem in stems], axis=0) - mix).max() < 1e-6
    names = {1: ["person_3"], 2: ["person_3", "dog_7"], 3: ["person_3", "dog_7", "voice_3"]}[count]
    assert [stem.name for stem in stems] in ([*names, "room"], ["dog_7", "room"])
    assert all(np.abs(stem.samples).max() > 0 for stem in stems)


def test_a_stem_is_its_voice_alone_and_dry():
    voices = noise()
    stems = spatialize_stems(voices, RATE, SCENE, SpatializeSettings(room=0.4), duration=1.0)
    alone = np.stack([voices[0], 0 * voices[1]])
    expected = spatialize(alone, RATE, SCENE, SpatializeSettings(room=0.0), duration=1.0)
    np.testing.assert_allclose(stems[0].samples, expected, atol=1e-6)
    assert len(spatialize_stems(voices, RATE, SCENE, SpatializeSettings(room=0.0), duration=1.0)) == 2


def test_stems_are_chosen_by_name_and_number():
    names = ["person_3", "dog_7", "room"]
    assert [select_stem(names, wanted) for wanted in ("room", "DOG_7", " 1 ")] == [2, 1, 0]
    refused("cat.*person_3, dog_7, room", select_stem, names, "cat")


def test_names_make_safe_files_that_differ(tmp_path):
    paths = stem_paths(tmp_path, ["a/b", "a b", "..", "日本"], ".wav")
    assert [path.name for path in paths] == ["a_b.wav", "a_b-2.wav", "stem.wav", "日本.wav"]


@pytest.mark.parametrize(
    ("suffix", "codec", "step"), [(".wav", "float32", 0), (".wav", "pcm24", 2**-23), (".flac", "flac", 2**-23)]
)
def test_files_keep_the_sum(tmp_path, suffix, codec, step):
    stems = [Stem(name, samples[0] * [[1], [0.5]], RATE) for name, samples in zip("ab", noise(2, 0.2)[:, None], strict=True)]
    stems[0].samples[0, 5] = 1.6
    gain = 1 if codec == "float32" else 1 / 1.6
    for report, stem in zip(save_stems(tmp_path / "new", stems, suffix=suffix, codec=codec), stems, strict=True):
        assert report.path.name == f"{stem.name}{suffix}"
        sound = read_sound(report.path)
        assert sound is not None
        assert np.abs(sound.samples - gain * stem.samples).max() <= step * 1.01 + 1e-7
    refused("does not exist", save_stems, tmp_path / "no" / "where", stems)
    (tmp_path / "file").touch()
    refused("is no folder", save_stems, tmp_path / "file", stems)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_stems_are_named_tracks_of_the_video(tmp_path, suffix):
    clip = make_clip(tmp_path / "clip.mp4", count=30)
    stems = spatialize_stems(noise(), RATE, SCENE, duration=1.0)
    mix = Stem("mix", np.sum([stem.samples for stem in stems], axis=0), RATE).sound
    codec = "pcm24" if suffix == ".mov" else "flac"
    mux(clip, mix, tmp_path / f"out{suffix}", codec=codec, stems=[(stem.name, stem.sound) for stem in stems])
    for place, part in enumerate([mix, *(stem.sound for stem in stems)]):
        with av.open(str(tmp_path / f"out{suffix}")) as container:
            title = container.streams.audio[place].metadata
            assert place == 0 or stems[place - 1].name in (title.get("title"), title.get("handler_name"))
            found = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=place)]) / 2**31
        assert np.abs(found.reshape(-1, 2).T - part.samples).max() < 2**-20
    sound = read_sound(tmp_path / f"out{suffix}")
    assert sound is not None
    assert np.abs(sound.samples - mix.samples).max() < 2**-20


@pytest.mark.parametrize("suffix", [".webm", ".avi"])
def test_a_container_without_names_is_refused(tmp_path, suffix):
    clip = make_clip(tmp_path / "clip.mp4", count=5)
    stem = Stem("a", noise()[0], RATE).sound
    refused("cannot hold stems.*mkv", mux, clip, stem, tmp_path / f"out{suffix}", stems=[("a", stem)])
    assert not (tmp_path / f"out{suffix}").exists()


def test_render_writes_stems_that_sum_to_its_sound(tmp_path, capsys):
    clip = make_clip(tmp_path / "clip.mp4", count=30)
    tracks = [
        {"id": id, "label": "person", "times": [0, 1], "boxes": [[x, 0.2, x + 0.1, 0.8]] * 2} for id, x in ((1, 0.1), (2, 0.7))
    ]
    (tmp_path / "tracks.json").write_text(json.dumps({"duration": 1.0, "tracks": tracks}))
    scene = ["--tracks", str(tmp_path / "tracks.json"), "--no-depth", "--timing", "cadence", "--json"]
    out = ["-o", str(tmp_path / "out.wav"), "--stems", str(tmp_path / "stems"), "--loudness", "-20"]
    assert main(["render", str(clip), *out, *scene]) == 0
    report = json.loads(capsys.readouterr().out)
    names = ["person_1.wav", "person_2.wav", "room.wav"]
    assert [path.rsplit("/")[-1] for path in report["stems"]] == names
    sounds = [read_sound(path) for path in (tmp_path / "out.wav", *(tmp_path / "stems" / name for name in names))]
    mix, *parts = (sound.samples for sound in sounds if sound is not None)
    assert np.abs(mix).max() > 0.01
    assert np.abs(np.sum(parts, axis=0) - mix).max() < 1e-6
    assert main(["render", str(clip), "-o", str(tmp_path / "o.wav"), "--stem-tracks", *scene]) == 1
    assert "cannot hold stems" in capsys.readouterr().err
