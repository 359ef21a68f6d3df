"""What the command line tells of the loudness that it reached."""

import json

import pytest

from stereosync_core.__main__ import main
from stereosync_core.media.loudness import integrated_loudness
from stereosync_core.media.sound import Sound, write_sound
from tests import clips

TRACKS = {"tracks": [{"id": 1, "label": "dog", "times": [0, 1], "boxes": [[0.1, 0.2, 0.3, 0.8]] * 2}]}


@pytest.mark.parametrize("name", ["out.mkv", "out.flac"])
def test_the_reached_loudness_its_reason_and_the_limiter(tmp_path, capsys, name):
    clip = str(clips.make_clip(tmp_path / "in.mp4"))
    (tmp_path / "tracks.json").write_text(json.dumps(TRACKS))
    peaky = Sound(clips.noise(1.0, level=0.02, channels=1) + clips.clicks(clips.CLICKS, 1.0, channels=1), 48000)
    sound = str(write_sound(tmp_path / "peaky.wav", peaky))
    command = ["render", clip, "-o", str(tmp_path / name), "--sound", sound, "--tracks", str(tmp_path / "tracks.json")]
    command += ["--no-depth", "--room", "0", "--loudness", "-15", "--json"]
    assert main(command) == 0
    plain = capsys.readouterr()
    report = json.loads(plain.out)
    reached = integrated_loudness(clips.sound_in(tmp_path / name))
    assert report["loudness"] == pytest.approx(reached, abs=0.1)
    assert report["loudness"] < -15.5
    assert report["true_peak"] == pytest.approx(-1, abs=0.05)
    assert f"{report['loudness']:.1f} LUFS only" in report["notes"][0]
    assert f"note: {report['notes'][0]}" in plain.err
    assert f"sound: {report['loudness']:.1f} LUFS, true peak -1.0 dBTP" in plain.err
    assert main([*command, "--limiter"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["loudness"] == pytest.approx(-15, abs=0.2)
    assert report["notes"] == []


def test_a_limiter_without_a_loudness_is_refused(tmp_path, capsys):
    clip = str(clips.make_clip(tmp_path / "in.mp4"))
    assert main(["render", clip, "-o", str(tmp_path / "out.mkv"), "--limiter"]) == 1
    assert "give --loudness" in capsys.readouterr().err
