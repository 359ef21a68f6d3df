"""In a real ComfyUI: a placed sound refined, a stretch of it kept, takes chosen, texts over time."""

import numpy as np
import pytest

from stereosync_core import Sound
from stereosync_core.media.sound import resample
from tests.demo_check import sound_of
from tests.host.conftest import failed, finished, produced
from tests.host.test_sampling import sampled
from tests.host.test_stable_audio import saved, texts
from tests.stable_audio_release import RELEASE, TEXT_ENCODER


def placed(graph, clip):
    tracks = graph.add("StereoSyncSmallTracker", video=clip.video, rate=4.0, detector_size=320)
    voices = graph.add("TestMakeAudio", kind="stereo")
    return graph.add("StereoSyncSpatializeAudio", audio=voices, tracks=tracks), tracks


def written(host, graph, audio):
    saving = graph.add("StereoSyncSaveAudio", audio=audio, format="wav float", filename_prefix="audio/refine")
    return sound_of(produced(host, graph, saving, "audio"))[0]


def own_sampler(graph, **inputs):
    model = graph.add("StereoSyncStableAudioLoader", model=RELEASE)
    given = {"positive": texts(graph)[0], "steps": 2, "seconds": 1.0}
    return graph.add("StereoSyncStableAudioSampler", model=model, **given | inputs)


@pytest.mark.parametrize("base", ["bundled", "release"])
def test_a_placed_sound_is_refined_and_its_kept_seconds_are_its_own(host, graph, clip, base):
    sound, _ = placed(graph, clip)
    options = {"audio": sound, "strength": 0.5, "keep": "0-0.4, 0.8-1"}
    sampler = sampled(graph, clip, **options)[1] if base == "bundled" else own_sampler(graph, **options)
    before, made = written(host, graph, sound), written(host, graph, sampler.audio)
    whole = resample(Sound(before, 48000), 44100).samples
    assert made.shape == whole.shape == (2, 44100)
    kept = np.r_[0:17640, 35280:44100]
    np.testing.assert_allclose(made[:, kept], whole[:, kept], atol=1e-6)
    assert np.abs(made - whole).max() > 1e-4


def test_takes_are_a_batch_with_seeds_and_one_is_selected(host, graph, clip):
    _, tracks = placed(graph, clip)
    sampler = own_sampler(graph, takes=3, seed=7)
    selected = graph.add("StereoSyncSelectTake", audio=sampler.audio, tracks=tracks, take=2)
    saving = graph.add("StereoSyncSaveAudio", audio=selected.audio, filename_prefix="audio/take")
    result = finished(host, graph)
    lines = result.outputs[selected.number]["text"]
    assert [line.split(",")[1].split(":")[0].strip() for line in lines] == ["seed 7", "seed 8", "seed 9"]
    assert lines[1].startswith("> take 2")
    assert all("LUFS" in line for line in lines)
    assert len(result.outputs[saving.number]["audio"]) == 1


def test_texts_over_time_and_an_event_made_anew(host, graph, clip):
    sound, tracks = placed(graph, clip)
    encoder = graph.add("CLIPLoader", clip_name=TEXT_ENCODER, type="stable_audio")
    text = graph.add("StereoSyncTextOverTime", clip=encoder, text="0-0.5 gravel; 0.5-1 wood")
    events = graph.add("StereoSyncEventsFromText", text="time,kind\n0.3,step\n0.7,step", tracks=tracks)
    keep = graph.add("StereoSyncKeepAllButEvent", events=events, event=2)
    sampler = own_sampler(graph, positive=text, audio=sound, keep=keep)
    made = saved(host, graph, sampler.audio)
    assert made.shape == (2, 44100)


def test_what_does_not_fit_is_named(host, graph, clip):
    tone = graph.add("TestMakeAudio", kind="tone")
    graph.add("SaveAudio", audio=own_sampler(graph, audio=tone).audio)
    assert "1 channel(s), the model makes stereo" in failed(host, graph)
