"""Sessions for other programs, opened again by the libraries that read their formats."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from stereosync_core import Event, Events, SpatializeSettings, Track, Tracks, load_events, read_sound, spatialize
from stereosync_core.__main__ import main
from stereosync_core.media.source import Clip
from stereosync_core.sessions import timeline
from stereosync_core.sessions.folder import check_session, save_session
from stereosync_core.sessions.spotting import timecode
from tests.clips import make_clip
from tests.errors import refused

RATE = 48000
TIMES = np.linspace(0, 2, 21)


def box(x, height=0.5):
    return np.stack([x - 0.05, 0.9 - height + 0 * x, x + 0.05, 0.9 + 0 * x], 1)


TRACKS = Tracks(
    (Track(3, "person", TIMES, box(0.1 + 0.4 * TIMES, 0.2 + 0.2 * TIMES)), Track(7, "dog", TIMES, box(0.8 + 0 * TIMES))),
    2.0,
    cuts=(1.2,),
)
EVENTS = Events((Event(1 / 3, "step", 3), Event(0.98765432, "landing", 3), Event(1.5, "impact", 7), Event(1.6, "onset")), 2.0)
VOICES = (0.1 * np.random.default_rng(0).standard_normal((3, 1, 2 * RATE))).astype(np.float32)
DRY = SpatializeSettings(room=0.0, air=False, time_difference=False)
NAMES = ["step person 3", "landing person 3", "shot 2", "impact dog 7", "onset"]
MOMENTS = [1 / 3, 0.98765432, 1.2, 1.5, 1.6]


@pytest.fixture
def session(tmp_path):
    """The folder of a session whose clip lies beside it, and what formats its files have."""
    clip = make_clip(tmp_path / "a clip.mp4", count=60)

    def save(*formats, **options):
        save_session(tmp_path / "out", Clip(clip), VOICES, RATE, TRACKS, DRY, events=EVENTS, formats=formats, **options)
        return tmp_path / "out"

    return save


def same_moments(found):
    assert np.abs(np.asarray(found) - MOMENTS).max() * RATE <= 0.5


def test_a_reaper_project_reads_back(session):
    rpp = pytest.importorskip("rpp")
    folder = session("rpp")
    project = rpp.loads((folder / "session.rpp").read_text())
    assert project.tag == "REAPER_PROJECT"
    markers = project.findall("MARKER")
    assert [marker[3] for marker in markers] == NAMES
    same_moments([float(marker[2]) for marker in markers])
    picture, *voices = project.findall("TRACK")
    assert (folder / picture.find("ITEM").find("SOURCE").find("FILE")[1]).resolve().samefile(folder.parent / "a clip.mp4")
    assert [voice.find("NAME")[1] for voice in voices] == ["person_3", "dog_7", "voice_3"]
    for voice, samples in zip(voices, VOICES, strict=True):
        item = voice.find("ITEM")
        assert float(item.find("LENGTH")[1]) == pytest.approx(2.0, abs=1e-9)
        assert float(item.find("POSITION")[1]) == 0
        sound = read_sound(folder / item.find("SOURCE").find("FILE")[1])
        assert sound is not None
        np.testing.assert_array_equal(sound.samples, samples)
    assert not re.search(r'FILE "(/|[A-Z]:)', (folder / "session.rpp").read_text())


def test_what_the_envelopes_make_of_the_dry_sound_is_what_spatialize_makes(session):
    rpp = pytest.importorskip("rpp")
    folder = session("rpp")
    voices = rpp.loads((folder / "session.rpp").read_text()).findall("TRACK")[1:]
    moments, mix = np.arange(2 * RATE) / RATE, np.zeros((2, 2 * RATE))
    for voice, samples in zip(voices, VOICES, strict=True):
        points = [np.array([point[1:3] for point in voice.find(name).findall("PT")], float) for name in ("VOLENV2", "PANENV2")]
        gain, left = (np.interp(moments, *rows.T) for rows in points)
        # a balance: the near side stays, the far one falls linearly; in envelopes left is above 0
        sides = np.stack([np.minimum(1, 1 + left), np.minimum(1, 1 - left)])
        mix += samples[0] * gain * sides
    expected = spatialize(VOICES, RATE, TRACKS, DRY, duration=2.0)
    assert np.abs(mix - expected).max() < 0.01 * np.abs(expected).max()


def test_a_timeline_reads_back(session):
    otio = pytest.importorskip("opentimelineio")
    found = otio.adapters.read_from_file(str(session("otio") / "session.otio"))
    assert [marker.name for marker in found.tracks.markers] == NAMES
    same_moments([marker.marked_range.start_time.to_seconds() for marker in found.tracks.markers])
    assert [track.name for track in found.audio_tracks()] == ["person_3", "dog_7", "voice_3"]
    urls = [track[0].media_reference.target_url for track in found.tracks]
    assert urls == ["../a clip.mp4", "sounds/person_3.wav", "sounds/dog_7.wav", "sounds/voice_3.wav"]
    assert all(track.duration().to_seconds() == pytest.approx(2.0) for track in found.tracks)
    azimuth = found.audio_tracks()[0].metadata["stereosync"]["azimuth"]
    assert azimuth[0] == pytest.approx(-0.8, abs=0.05)


def test_without_the_library_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "opentimelineio", None)
    refused(r"pip install opentimelineio.*\[export\]", timeline.required)
    refused(r"pip install opentimelineio", check_session, tmp_path, ["otio"])


def test_lists_of_events_read_back(session):
    folder = session("edl")
    same_moments(sorted([*load_events(folder / "events.csv", 2.0).times, 1.2]))
    lines = (folder / "events.edl").read_text().splitlines()
    frames = [
        sum(map(int.__mul__, (108000, 1800, 30, 1), map(int, line.split()[4].split(":")))) for line in lines if " V " in line
    ]
    assert frames == [int(moment * 30 + 1e-6) for moment in MOMENTS]
    assert [line.split(None, 4)[4] for line in lines if "LOC" in line] == NAMES
    assert timecode(30 * 3661 + 7, 30) == "01:01:01:07"


def test_the_clip_is_copied_where_the_folder_is_to_stand_alone(session):
    folder = session("rpp", copy_picture=True)
    assert (folder / "picture.mp4").read_bytes() == (folder.parent / "a clip.mp4").read_bytes()
    assert 'FILE "picture.mp4"' in (folder / "session.rpp").read_text()


def test_names_with_quotes_stay_whole(tmp_path):
    rpp = pytest.importorskip("rpp")
    clip = make_clip(tmp_path / "it's.mp4", count=30)
    odd = replace(TRACKS, tracks=(Track(1, 'a "b"\nc', TIMES, box(0.5 + 0 * TIMES)),))
    save_session(tmp_path / "out", Clip(clip), VOICES[:1], RATE, odd, events=Events((Event(0.5, "step", 1),), 1.0))
    project = rpp.loads((tmp_path / "out" / "session.rpp").read_text())
    assert project.find("MARKER")[3] == 'step a "b" c 1'


def test_render_writes_a_session(tmp_path, capsys):
    clip = make_clip(tmp_path / "clip.mp4", count=30)
    tracks = [{"id": 1, "label": "person", "times": [0, 1], "boxes": [[0.1, 0.2, 0.2, 0.8]] * 2}]
    (tmp_path / "tracks.json").write_text(json.dumps({"duration": 1.0, "tracks": tracks}))
    (tmp_path / "events.csv").write_text("time,kind,track\n0.25,step,1\n")
    given = ["--tracks", tmp_path / "tracks.json", "--events", tmp_path / "events.csv", "--no-depth", "--json"]
    arguments = ["render", clip, "-o", tmp_path / "out.wav", "--session", tmp_path / "daw", *given]
    assert main([str(argument) for argument in arguments]) == 0
    names = [path.rsplit("/")[-1] for path in json.loads(capsys.readouterr().out)["session"]]
    assert names == ["person_1.wav", "session.rpp", "events.edl", "events.csv"]
    assert main([str(argument) for argument in [*arguments, "--session-formats", "aaf"]]) == 1
    assert "no format 'aaf'" in capsys.readouterr().err
