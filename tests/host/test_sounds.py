"""Recorded sounds in a real ComfyUI: at events, from a folder, with a sound of your own; the library shown; one error."""

import numpy as np
import pytest

from stereosync_core.media.sound import Sound, write_sound
from tests.clips import sound_in
from tests.host.conftest import finished, one_error, produced
from tests.host.graph import Graph
from tests.host.test_events import scene

EVENTS = "time,kind,track\n0.25,step,1\n0.75,impact,1"


def placed(graph: Graph, clip: str, text: str = EVENTS, **options):
    """The node with the sounds of events, and the one that has put them on the clip."""
    video, tracks, events = scene(graph, clip, text)
    voices = graph.add("StereoSyncSoundsAtEvents", events=events, tracks=tracks, **options)
    sound = graph.add("StereoSyncSpatializeAudio", audio=voices, tracks=tracks, room=0.0)
    result = {"container": "mkv", "codec": "flac", "filename_prefix": "sounds"}
    return voices, graph.add("StereoSyncSoundOntoVideo", video=video, audio=sound, **result)


def knock(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(19200) / 48000
    write_sound(path, Sound(0.5 * (np.cos(5000 * time) * np.exp(-time / 0.03))[None], 48000))


def test_recorded_sounds_are_at_their_events(host, graph, small_clip):
    voices, saved = placed(graph, small_clip)
    shown = graph.add("PreviewAny", source=voices.played)
    path = produced(host, graph, saved)
    sound = sound_in(path, align_to_video=False)
    loud = np.abs(sound.samples).max(0) > 0.02
    for moment in (0.25, 0.75):
        at = round(moment * sound.rate)
        assert loud[at - 50 : at + 480].any()
        assert not loud[at - 2400 : at - 50].any()
    lines = finished(host, graph).outputs[shown.number]["text"][0].splitlines()
    assert [line.split()[:2] for line in lines] == [["1", "0.250"], ["1", "0.750"]]
    assert "footstep_concrete" in lines[0]


def test_the_library_is_shown_with_its_authors_and_a_folder_goes_first(host, graph, small_clip, tmp_path):
    bundled = graph.add("StereoSyncSoundLibrary")
    text = finished(host, graph).outputs[bundled.number]["text"][0]
    assert "footstep on wood" in text
    assert "Joseph SARDIN - CC0 1.0" in text
    knock(tmp_path / "footstep" / "concrete" / "mine.wav")
    library = graph.add("StereoSyncSoundLibrary", folder=str(tmp_path))
    voices, _ = placed(graph, small_clip, library=library, continuous="off")
    shown = graph.add("PreviewAny", source=voices.played)
    result = finished(host, graph)
    assert "your own" in result.outputs[library.number]["text"][0]
    assert "footstep/concrete/mine#1" in result.outputs[shown.number]["text"][0]
    # another file in the folder is seen at the next run
    knock(tmp_path / "hit" / "other.wav")
    assert "hit/other#1" in finished(host, graph).outputs[shown.number]["text"][0]


def test_a_sound_of_ones_own_goes_before_the_library(host, graph, small_clip):
    tone = graph.add("TestMakeAudio", kind="tone", seconds=0.5)
    voices, _ = placed(graph, small_clip, sound=tone, sound_for="impact", sample_rate="44100")
    shown = graph.add("PreviewAny", source=voices.played)
    lines = finished(host, graph).outputs[shown.number]["text"][0].splitlines()
    assert "footstep" in lines[0]
    assert lines[1].split(" ", 2)[2].startswith("own")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classes": "impact = unicorn"}, ["unicorn", "dog"]),
        ({"classes": "impact"}, ["impact = door"]),
        ({"sound": "nan"}, ["NaN", "sound"]),
        ({"sound": "empty"}, ["sound", "empty"]),
        ({"library": "/nowhere/at/all"}, ["no folder", "footstep/grass"]),
        ({"library": "films without sounds"}, ["holds no sound", "footstep/grass"]),
    ],
)
@pytest.mark.usefixtures("unharmed")
def test_what_cannot_be_used_is_refused_in_one_error(host, graph, small_clip, options, words):
    (host.base / "input" / "films without sounds").mkdir(exist_ok=True)
    if "sound" in options:
        options = {"sound": graph.add("TestMakeAudio", kind=options["sound"])}
    if "library" in options:
        options = {"library": graph.add("StereoSyncSoundLibrary", folder=options["library"])}
    placed(graph, small_clip, **options)
    one_error(host, graph, *words)
