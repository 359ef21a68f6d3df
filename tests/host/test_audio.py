"""Sound as other nodes hand it over, and saved: every type of sample, every entry of a batch, what was reached."""

import numpy as np
import pytest

from tests.clips import make_clip, noise
from tests.demo_check import sound_of, video_seconds
from tests.host.conftest import finished, produced

#: Of the test nodes, up to the rounding of their phase.
ROUNDED = 3e-4
TONE = 0.3 * np.sin(2 * np.pi * 440 / 48000 * np.arange(48000))


@pytest.mark.parametrize(("kind", "step"), [("int16", 2**-15), ("uint8", 2**-7), ("numpy", 0.0)])
def test_samples_of_every_type_have_its_full_scale(host, graph, clip, kind, step):
    sound = graph.add("TestMakeAudio", kind=kind)
    options = {"container": "mkv", "codec": "pcm24", "filename_prefix": kind}
    saving = graph.add("StereoSyncSoundOntoVideo", video=clip.video, audio=sound, **options)
    found, _ = sound_of(produced(host, graph, saving))
    assert np.abs(found[0] - TONE).max() <= step + ROUNDED


def test_beyond_full_scale_is_turned_down_and_not_clipped(host, graph, clip):
    sound = graph.add("TestMakeAudio", kind="loud")
    options = {"container": "mkv", "codec": "pcm24", "filename_prefix": "loud"}
    saving = graph.add("StereoSyncSoundOntoVideo", video=clip.video, audio=sound, **options)
    found, _ = sound_of(produced(host, graph, saving))
    assert np.abs(found[0] - TONE / 0.3).max() < 2e-3


@pytest.mark.parametrize("form", ["wav 24 bit", "wav 16 bit", "wav float", "flac"])
def test_every_entry_of_a_batch_is_saved(host, graph, form):
    sound = graph.add("TestMakeAudio", kind="batch")
    saving = graph.add("StereoSyncSaveAudio", audio=sound, format=form, filename_prefix=f"audio/batch_{form}")
    output = finished(host, graph).outputs[saving.number]
    paths = [host.path_of(saved) for saved in output["audio"]]
    assert len(set(paths)) == len(output["text"]) == 3
    for path, share, line in zip(paths, (1, 0.5, 0.25), output["text"], strict=True):
        assert path.suffix == f".{form.split()[0]}"
        found, rate = sound_of(path)
        assert rate == 48000
        assert np.abs(found[0] - share * TONE).max() <= 2**-15 + ROUNDED
        assert f"true peak {20 * np.log10(0.3 * share):.1f} dBTP" in line


def test_the_loudness_reached_is_shown(host, graph):
    sound = graph.add("TestMakeAudio", kind="stereo")
    options = {"format": "flac", "normalize": True, "loudness_lufs": -20.0, "filename_prefix": "audio/level"}
    saving = graph.add("StereoSyncSaveAudio", audio=sound, **options)
    (line,) = finished(host, graph).outputs[saving.number]["text"]
    assert "-20.0 LUFS, true peak" in line


def test_a_recording_whose_clock_restarts_is_taken_as_a_whole(host, graph, tmp_path):
    """The host takes it for two seconds; as a native VIDEO it goes through all the same."""
    part = make_clip(tmp_path / "part.ts", start=5, sound=noise(1.0), sound_start=5).read_bytes()
    (tmp_path / "joined.ts").write_bytes(part * 3)
    video = graph.add("LoadVideo", file=host.upload(tmp_path / "joined.ts")).VIDEO
    saving = graph.add("StereoSyncSoundOntoVideo", video=video, audio=graph.add("TestMakeAudio", kind="tone", seconds=3.0))
    assert video_seconds(produced(host, graph, saving)) == pytest.approx(3.0, abs=0.05)
