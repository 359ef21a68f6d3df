"""The StereoSync model's nodes in a real ComfyUI: every way to an envelope, what is wrong in one clear error, stop."""

import numpy as np
import pytest

from tests.demo_check import sound_of
from tests.host.conftest import failed, produced
from tools.host import HostError


def sampled(graph, clip, **inputs):
    """A DiT Sampler over a clip with its own tracks; ``inputs`` replace its own."""
    model = graph.add("StereoSyncModelLoader")
    tracks = graph.add("StereoSyncSmallTracker", video=clip.video, rate=4.0, detector_size=320)
    space = graph.add("StereoSyncSpatialConditioning", tracks=tracks)
    return model, graph.add("StereoSyncDitSampler", **{"model": model, "space": space, "steps": 2, **inputs})


def saved(host, graph, clip, sampler):
    options = {"container": "mkv", "codec": "flac", "filename_prefix": "sampled"}
    saving = graph.add("StereoSyncSoundOntoVideo", video=clip.video, audio=sampler.audio, **options)
    return sound_of(produced(host, graph, saving))


def refused(host, graph, clip, sampler) -> str:
    graph.add("StereoSyncSoundOntoVideo", video=clip.video, audio=sampler.audio)
    return failed(host, graph)


@pytest.mark.parametrize("way", ["none", "audio", "curve", "guided"])
def test_sound_with_every_kind_of_envelope_is_as_long_as_the_clip(host, graph, clip, way):
    inputs = {}
    if way == "audio":
        inputs["envelope"] = graph.add("StereoSyncEnvelopeFromAudio", audio=graph.add("TestMakeAudio", kind="stereo"))
    elif way == "guided":
        inputs["spatial_guidance"] = 1.0
    elif way == "curve":
        inputs["envelope"] = graph.add("StereoSyncEnvelopeCurve", curve="0.2 hit, 0.6 hit 0.5")
    _, sampler = sampled(graph, clip, **inputs)
    sound, rate = saved(host, graph, clip, sampler)
    assert rate == 44100
    assert sound.shape == (2, 44100), "the clip's second, to the sample"
    assert np.abs(sound).max() > 1e-4


def test_a_reference_sound_gives_the_timbre(host, graph, clip):
    model = graph.add("StereoSyncModelLoader")
    timbre = graph.add("StereoSyncTimbre", model=model, reference=graph.add("TestMakeAudio", kind="stereo"))
    _, sampler = sampled(graph, clip, timbre=timbre)
    assert np.isfinite(saved(host, graph, clip, sampler)[0]).all()


def test_a_curve_that_is_not_understood_is_quoted(host, graph, clip):
    _, sampler = sampled(graph, clip, envelope=graph.add("StereoSyncEnvelopeCurve", curve="now and then"))
    assert "'now and then' is not understood" in refused(host, graph, clip, sampler)


def test_a_model_that_is_not_there_is_named(host, graph, clip):
    _, sampler = sampled(graph, clip, model=graph.add("StereoSyncModelLoader", model="mine"))
    with pytest.raises(HostError, match=r"mine' has no config\.json"):
        refused(host, graph, clip, sampler)
