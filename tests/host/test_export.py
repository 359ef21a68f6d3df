"""Stems, sessions and more channels in a real ComfyUI."""

import numpy as np
import pytest

from tests.clips import sound_in
from tests.host.conftest import finished, one_error
from tests.host.test_events import scene

EVENTS = "time,kind,track\n0.25,step,1\n0.75,impact,1"


@pytest.fixture
def voices(graph, small_clip):
    """The clip, its tracks, its events, and a voice for each track."""
    video, tracks, events = scene(graph, small_clip, EVENTS)
    return video, tracks, events, graph.add("StereoSyncSoundsAtEvents", events=events, tracks=tracks)


def test_stems_are_saved_by_name_and_sum_to_the_mix(host, graph, voices):
    video, tracks, _, sounds = voices
    stems = graph.add("StereoSyncStems", audio=sounds, tracks=tracks, room=0.4)
    saving = graph.add("StereoSyncSaveStems", stems=stems, format="wav float", filename_prefix="stems/test")
    one = graph.add("StereoSyncSelectStem", stems=stems, name="ROOM")
    options = {"container": "mkv", "codec": "pcm24", "filename_prefix": "stems"}
    tracks_too = graph.add("StereoSyncSoundOntoVideo", video=video, audio=stems.mix, stems=stems, **options)
    room = graph.add("StereoSyncSaveAudio", audio=one, format="wav float", filename_prefix="audio/room")
    result = finished(host, graph).outputs
    paths = [host.path_of(saved) for saved in result[saving.number]["audio"]]
    assert [path.name for path in paths] == [*(path.name for path in paths[:-1]), "room.wav"]
    parts = [sound_in(path).samples for path in paths]
    np.testing.assert_array_equal(sound_in(host.path_of(result[room.number]["audio"][0])).samples, parts[-1])
    mix = sound_in(host.path_of(result[tracks_too.number]["images"][0])).samples
    assert np.abs(np.sum(parts, axis=0) - mix).max() < 2**-22 + 1e-6
    assert np.abs(mix).max() > 0.01


def test_a_stem_that_is_not_there_is_one_error(host, graph, voices):
    _, tracks, _, sounds = voices
    stems = graph.add("StereoSyncStems", audio=sounds, tracks=tracks)
    one = graph.add("StereoSyncSelectStem", stems=stems, name="cat")
    graph.add("PreviewAudio", audio=one)
    one_error(host, graph, "there is no 'cat'; choose one of")


def test_a_session_is_a_folder_of_its_own(host, graph, voices):
    video, tracks, events, sounds = voices
    saving = graph.add("StereoSyncSaveSession", video=video, audio=sounds, tracks=tracks, events=events)
    lines = finished(host, graph).outputs[saving.number]["text"]
    folder = host.base / "output" / "sessions" / lines[0].split("/")[0]
    assert {path.name for path in folder.iterdir()} == {"sounds", "session.rpp", "events.edl", "events.csv", "picture.mp4"}
    text = (folder / "session.rpp").read_text()
    assert text.count("<TRACK") == 1 + len(list((folder / "sounds").iterdir()))
    assert text.count("MARKER") == 2


def test_values_of_a_track_are_a_list_and_a_mask(host, graph, voices):
    _, tracks, _, sounds = voices
    values = graph.add("StereoSyncTrackValues", tracks=tracks, value="azimuth", frames_per_second=10.0, audio=sounds)
    shown = [graph.add("PreviewAny", source=source) for source in (values, values.csv)]
    image = graph.add("MaskToImage", mask=values.mask)
    graph.add("PreviewImage", images=image)
    result = finished(host, graph).outputs
    numbers, text = (result[node.number]["text"][0] for node in shown)
    assert numbers.count(",") == 9
    assert len(text.splitlines()) == 11


@pytest.mark.parametrize(("layout", "channels"), [("5.1", 6), ("7.1.4", 12), ("ambisonics 3", 16)])
def test_more_channels_go_through_native_audio_into_files(host, graph, voices, layout, channels):
    video, tracks, _, sounds = voices
    placed = graph.add("StereoSyncSpatializeSurround", audio=sounds, tracks=tracks, layout=layout)
    saving = graph.add("StereoSyncSaveAudio", audio=placed, format="wav float", filename_prefix="audio/surround")
    options = {"container": "mkv", "codec": "pcm24", "filename_prefix": "surround"}
    onto = graph.add("StereoSyncSoundOntoVideo", video=video, audio=placed, **options)
    if layout.startswith("amb"):
        graph.add("PreviewAudio", audio=graph.add("StereoSyncAmbisonicsToBinaural", audio=placed))
    result = finished(host, graph).outputs
    sound = sound_in(host.path_of(result[saving.number]["audio"][0]))
    assert sound.channels == channels == sound_in(host.path_of(result[onto.number]["images"][0])).channels
    assert np.abs(sound.samples).max() > 0.01


def test_objects_are_saved(host, graph, voices):
    _, tracks, _, sounds = voices
    saving = graph.add("StereoSyncSaveAdm", audio=sounds, tracks=tracks)
    (name,) = finished(host, graph).outputs[saving.number]["text"]
    data = (host.base / "output" / "audio" / name).read_bytes()
    assert b"audioBlockFormat" in data
    assert b"chna" in data


def test_a_bed_makes_way_for_a_sound_and_reaches_a_loudness(host, graph, voices):
    video, tracks, _, sounds = voices
    tone = graph.add("TestMakeAudio", kind="tone", seconds=3.0)
    bed = graph.add("StereoSyncAmbienceBed", audio=tone, tracks=tracks)
    ducked = graph.add("StereoSyncDuckAudio", audio=bed, key=sounds)
    level = graph.add("StereoSyncLoudness", audio=ducked, preset="broadcast")
    shown = graph.add("PreviewAny", source=level.reached)
    options = {"container": "mkv", "codec": "flac", "filename_prefix": "bed", "original_sound": "over"}
    graph.add("StereoSyncSoundOntoVideo", video=video, audio=level, **options)
    assert "-23.0 LUFS, true peak" in finished(host, graph).outputs[shown.number]["text"][0]
