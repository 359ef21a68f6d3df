"""Objects in an ADM file, rendered by EBU's own renderer where it is installed."""

import json
import struct
from xml.etree import ElementTree as xml

import numpy as np
import pytest

from stereosync_core import SpatializeSettings, Track, Tracks, read_sound
from stereosync_core.__main__ import main
from stereosync_core.rendering.layouts import LAYOUTS, directions
from stereosync_core.rendering.surround import spatialize_surround
from stereosync_core.sessions.adm import save_adm
from tests.clips import make_clip
from tests.errors import refused

RATE = 48000
TIMES = np.linspace(0, 3, 91)
DRY = SpatializeSettings(room=0.0, air=False)


def box(x, height):
    return np.stack([x - 0.05, 0.5 - height / 2, x + 0.05, 0.5 + height / 2], 1)


def scene(*ways):
    tracks = [Track(n, "person", TIMES, box((way(TIMES) + 1) / 2, height)) for n, (way, height) in enumerate(ways)]
    return Tracks(tuple(tracks), 3.0)


SWEEP = scene((lambda t: -0.9 + 0.6 * t, 0.4 + 0.1 * TIMES))
TWO = scene((lambda t: -0.5 + 0 * t, 0.4 + 0 * TIMES), (lambda t: 0.5 + 0 * t, 0.4 + 0 * TIMES))


def noise(count=1, rate=RATE):
    return (0.1 * np.random.default_rng(0).standard_normal((count, 1, 3 * rate))).astype(np.float32)


def chunks(path):
    data, found, at = path.read_bytes(), {}, 12
    assert data[:4] == b"RIFF"
    assert data[8:12] == b"WAVE"
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    while at < len(data):
        size = struct.unpack("<I", data[at + 4 : at + 8])[0]
        found[data[at : at + 4].decode()] = data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    return found


def test_the_file_is_a_wav_with_objects(tmp_path):
    voices = noise(2, 24000)
    save_adm(tmp_path / "a.wav", voices, 24000, TWO, DRY, duration=3.0)
    sound = read_sound(tmp_path / "a.wav")
    assert sound is not None
    assert (sound.rate, sound.channels, sound.length) == (48000, 2, 3 * RATE)
    found = chunks(tmp_path / "a.wav")
    assert list(found) == ["fmt ", "chna", "axml", "data"]
    assert found["chna"][:4] == struct.pack("<HH", 2, 2)
    assert found["chna"][4:44] == b"\x01\x00ATU_00000001AT_00031001_01AP_00031001\0"
    space = "{urn:ebu:metadata-schema:ebuCore_2014}"
    tree = xml.fromstring(found["axml"])
    assert [thing.get("audioObjectName") for thing in tree.iter(f"{space}audioObject")] == ["person_0", "person_1"]
    azimuth = [float(p.text or 0) for p in tree.iter(f"{space}position") if p.get("coordinate") == "azimuth"]
    assert azimuth[0] == pytest.approx(15, abs=0.01)  # left is above 0
    assert azimuth[-1] == pytest.approx(-15, abs=0.01)


def test_blocks_follow_each_other_without_gaps(tmp_path):
    save_adm(tmp_path / "a.wav", noise(), RATE, SWEEP, DRY, duration=2.9994)
    space = "{urn:ebu:metadata-schema:ebuCore_2014}"
    blocks = list(xml.fromstring(chunks(tmp_path / "a.wav")["axml"]).iter(f"{space}audioBlockFormat"))

    def seconds(text):
        hours, minutes, rest = text.split(":")
        return 3600 * int(hours) + 60 * int(minutes) + float(rest)

    ends = [seconds(block.get("rtime")) + seconds(block.get("duration")) for block in blocks]
    assert ends[:-1] == pytest.approx([seconds(block.get("rtime")) for block in blocks[1:]], abs=1e-9)
    assert ends[-1] == pytest.approx(2.9994)
    assert len(blocks) > 60


def rendered(path, system):
    """``[C, N]`` by EBU's renderer, and its loudspeakers' azimuths (right above 0)."""
    pytest.importorskip("ear")
    from ear.cmdline.render_file import OfflineRenderDriver
    from ear.fileio import openBw64Adm

    driver = OfflineRenderDriver(system, None, 0.0, False, False)
    layout, upmix, _ = driver.load_output_layout()
    with openBw64Adm(str(path)) as file:
        sound = np.concatenate(list(driver.render_input_file(file, layout, upmix)))
    return sound.T, [None if channel.is_lfe else -channel.polar_nominal_position.azimuth for channel in layout.channels]


def gains_at(sound, moment, voice):
    part = slice(round((moment - 0.02) * RATE), round((moment + 0.02) * RATE))
    reference = voice[part].astype(float)
    return sound[:, part].astype(float) @ reference / (reference @ reference)


def vector(gains, azimuths, power):
    speakers = np.array([[0, 0, 0] if azimuth is None else directions(azimuth, 0.0) for azimuth in azimuths])
    x, y, _ = (np.abs(gains) ** power) @ speakers
    return np.rad2deg(np.arctan2(x, y))


def test_the_renderer_of_the_ebu_places_the_objects_where_we_do(tmp_path):
    voices = noise()
    save_adm(tmp_path / "a.wav", voices, RATE, SWEEP, DRY, duration=3.0)
    theirs, azimuths = rendered(tmp_path / "a.wav", "0+5+0")
    ours = spatialize_surround(voices, RATE, SWEEP, "5.1", DRY, duration=3.0)
    own = [azimuth for _, azimuth, _ in LAYOUTS["5.1"].speakers]
    for moment in np.arange(0.2, 2.9, 0.1):
        found, expected = (gains_at(sound, moment, voices[0, 0]) for sound in (theirs, ours))
        # theirs pans by amplitudes, ours by energies: each is read by its own law
        assert vector(found, azimuths, 1) == pytest.approx(vector(expected, own, 2), abs=3)
        assert 10 * np.log10((found**2).sum() / (expected**2).sum()) == pytest.approx(0, abs=1)


def test_in_stereo_as_well(tmp_path):
    voices = noise()
    save_adm(tmp_path / "a.wav", voices, RATE, SWEEP, DRY, duration=3.0)
    theirs, _ = rendered(tmp_path / "a.wav", "0+2+0")
    ours = spatialize_surround(voices, RATE, SWEEP, "5.1", DRY, duration=3.0)
    own = [azimuth for _, azimuth, _ in LAYOUTS["5.1"].speakers]
    for moment in np.arange(0.2, 2.9, 0.1):
        left, right = gains_at(theirs, moment, voices[0, 0])
        expected = gains_at(ours, moment, voices[0, 0])
        # the law of tangents between loudspeakers at 30 degrees
        azimuth = np.rad2deg(np.arctan((right - left) / (right + left) * np.tan(np.deg2rad(30))))
        assert azimuth == pytest.approx(vector(expected, own, 2), abs=3)
        assert 10 * np.log10((left**2 + right**2) / (expected**2).sum()) == pytest.approx(0, abs=1)


def test_what_cannot_be_written_is_refused(tmp_path):
    refused("ends in .wav", save_adm, tmp_path / "a.flac", noise(), RATE, SWEEP, duration=3.0)
    refused("65 voices", save_adm, tmp_path / "a.wav", np.ones((65, 1, 10), np.float32), RATE, SWEEP, duration=3.0)
    assert not list(tmp_path.iterdir())


def test_render_writes_adm(tmp_path, capsys):
    clip = make_clip(tmp_path / "clip.mp4", count=30)
    tracks = [{"id": 1, "label": "person", "times": [0, 1], "boxes": [[0.9, 0.2, 1, 0.8]] * 2}]
    (tmp_path / "tracks.json").write_text(json.dumps({"duration": 1.0, "tracks": tracks}))
    given = ["--tracks", str(tmp_path / "tracks.json"), "--no-depth", "--timing", "cadence", "--json"]
    arguments = ["render", str(clip), "-o", str(tmp_path / "out.wav"), "--adm"]
    assert main([*arguments, str(tmp_path / "adm.wav"), *given]) == 0
    assert json.loads(capsys.readouterr().out)["adm"] == str(tmp_path / "adm.wav")
    assert b"person_1" in chunks(tmp_path / "adm.wav")["axml"]
    assert main([*arguments, str(tmp_path / "adm.mp4"), *given]) == 1
