"""What goes under and over: ducking, beds, loudness by name."""

import json

import numpy as np
import pytest

from stereosync_core import Sound, read_sound, write_sound
from stereosync_core.__main__ import main
from stereosync_core.media.ducking import ducked
from stereosync_core.media.loudness import integrated_loudness
from stereosync_core.media.mux import mux
from stereosync_core.rendering.bed import ambience_bed
from tests.clips import make_clip
from tests.errors import refused

RATE = 48000
TIME = np.arange(4 * RATE) / RATE


def noise(channels=1, seconds=4.0, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal((channels, round(seconds * RATE)))).astype(np.float32)


def speech(band=1000.0, hum=0.0):
    """A tone from 1 to 2 s, and a hum all along."""
    return Sound((0.3 * np.sin(2 * np.pi * band * TIME) * ((TIME > 1) & (TIME < 2)) + hum * noise()[0])[None], RATE)


def level(sound, start, end):
    return 10 * np.log10((sound.samples[:, round(start * RATE) : round(end * RATE)].astype(float) ** 2).mean())


@pytest.mark.parametrize("hum", [0.0, 0.01])
def test_a_sound_makes_way_while_the_other_speaks(hum):
    music = Sound(noise(2), RATE)
    result = ducked(music, speech(hum=hum), 15)
    assert level(result, 1.05, 1.95) - level(music, 1.05, 1.95) == pytest.approx(-15, abs=0.5)
    for start, end in ((0, 0.7), (2.6, 4)):
        assert level(result, start, end) - level(music, start, end) == pytest.approx(0, abs=0.2)
    assert np.abs(np.diff(result.samples[0] / music.samples[0])).max() < 1e-3  # no click


def test_what_is_no_speech_does_not_duck():
    music = Sound(noise(), RATE)
    rumble = speech(band=40.0)
    assert level(music, 1, 2) - level(ducked(music, rumble), 1, 2) > 0  # alone, it is the loudest there is
    both = Sound(rumble.samples + np.roll(speech().samples, 2 * RATE), RATE)
    assert level(ducked(music, both), 1.2, 1.8) == pytest.approx(level(music, 1.2, 1.8), abs=0.2)
    silence = Sound(np.zeros((1, RATE)), RATE)
    np.testing.assert_array_equal(ducked(music, silence).samples, music.samples)


@pytest.mark.parametrize("mode", ["mix", "over", "under"])
def test_piece_by_piece_it_is_the_same(tmp_path, monkeypatch, mode):
    """Long clips do not fit into memory as a whole, and nobody is to hear where a piece ends."""
    own = np.repeat(speech(hum=0.05).samples[:, : 2 * 44100], 2, 0)
    clip = make_clip(tmp_path / "clip.mkv", count=60, sound=own, sound_rate=44100, codec="ffv1")

    def mixed():
        mux(clip, Sound(noise(), RATE), tmp_path / "out.mkv", keep_original=mode)
        sound = read_sound(tmp_path / "out.mkv")
        assert sound is not None
        return sound.samples

    whole = mixed()
    for name, value in (("media.sound._STEP", 5000), ("media.ducking._HOPS", 7), ("media.mux._MIXED", 1), ("scratch.LARGE", 0)):
        monkeypatch.setattr(f"stereosync_core.{name}", value)
    np.testing.assert_array_equal(mixed(), whole)


@pytest.mark.parametrize(("mode", "down"), [("over", "new"), ("under", "original"), ("mix", None)])
def test_the_clips_own_sound_goes_over_or_under(tmp_path, mode, down):
    clip = make_clip(tmp_path / "clip.mkv", count=60, sound=np.repeat(speech().samples[:, : 2 * RATE], 2, 0), codec="ffv1")
    tone = np.sin(2 * np.pi * 5000 * TIME[: 2 * RATE]) * 0.05
    new = Sound(np.stack([tone, tone]), RATE)
    mux(clip, new, tmp_path / "out.mkv", keep_original=mode)
    sound = read_sound(tmp_path / "out.mkv")
    assert sound is not None
    found = {}
    for name, hertz in (("new", 5000), ("original", 1000)):
        part = slice(round(1.2 * RATE), round(1.8 * RATE))
        found[name] = 2 * np.abs(np.mean(sound.samples[0, part] * np.exp(-2j * np.pi * hertz * TIME[part])))
    expected = {"new": 0.05, "original": 0.3}
    for name, amplitude in expected.items():
        assert found[name] == pytest.approx(amplitude * (0.25 if name == down else 1), rel=0.1)
    refused("'replace', 'mix', 'over' or 'under'", mux, clip, new, tmp_path / "o.mkv", keep_original="duck")


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("seconds", [0.7, 3.0, 9.0])
def test_a_bed_is_as_long_as_the_clip_and_has_no_seam(channels, seconds):
    bed = ambience_bed(Sound(noise(channels, seconds), RATE), 5.0, loudness=-30)
    assert bed.samples.shape == (2, 5 * RATE)
    assert integrated_loudness(bed) == pytest.approx(-30, abs=0.1)
    levels = 10 * np.log10((bed.samples.reshape(2, 50, -1).astype(float) ** 2).mean((0, 2)))
    assert np.ptp(levels) < 3


def test_the_centre_is_free_in_the_band_of_speech():
    same = noise()[0]
    recording = Sound(np.stack([same, same]) + 0.8 * noise(2, seed=1), RATE)
    results = [ambience_bed(recording, 4.0, centre_db=db, loudness=None) for db in (0.0, -12.0)]
    spectra = [np.abs(np.fft.rfft([bed.samples.sum(0), bed.samples[0] - bed.samples[1]])) ** 2 for bed in results]
    for low, high, middle in ((600, 2000, -12), (8000, 16000, 0)):
        change = 10 * np.log10(spectra[1][:, 4 * low : 4 * high].sum(1) / spectra[0][:, 4 * low : 4 * high].sum(1))
        assert change == pytest.approx([middle, 0], abs=1)


def test_a_mono_recording_becomes_wide():
    left, right = ambience_bed(Sound(noise(), RATE), 4.0, loudness=None).samples.astype(float)
    assert abs(left @ right) < 0.3 * np.sqrt((left @ left) * (right @ right))
    refused("give the video's length", ambience_bed, Sound(noise(), RATE), 0)
    refused("give -60 to 0", ambience_bed, Sound(noise(), RATE), 1, centre_db=6)
    refused("no loudness", ambience_bed, Sound(np.zeros((1, RATE)), RATE), 1)


@pytest.mark.parametrize(("name", "target"), [("streaming", -14), ("broadcast", -23), ("film", -27)])
def test_loudness_by_name(tmp_path, capsys, name, target):
    clip = make_clip(tmp_path / "clip.mp4", count=30)
    (tmp_path / "tracks.json").write_text(json.dumps({"duration": 1.0, "tracks": []}))
    write_sound(tmp_path / "tone.wav", Sound(noise(2, 1.0), RATE))
    given = [
        "--tracks",
        str(tmp_path / "tracks.json"),
        "--no-depth",
        "--sound",
        str(tmp_path / "tone.wav"),
        "--json",
        "--limiter",
    ]
    assert main(["render", str(clip), "-o", str(tmp_path / "out.wav"), "--loudness", name, *given]) == 0
    assert json.loads(capsys.readouterr().out)["loudness"] == pytest.approx(target, abs=0.3)
