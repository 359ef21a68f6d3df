"""From a scene to sound: length, seeds, silence, long clips; and the command."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from stereosync_core.__main__ import main
from stereosync_core.errors import StereoSyncError
from stereosync_core.media.sound import read_sound
from stereosync_core.media.video import probe
from stereosync_core.model.generate import Sampling, decode, generate
from stereosync_core.model.loader import load_model
from stereosync_core.scene import DepthSequence, Envelope
from tests.clips import make_clip
from tests.small_model import FORMS, write_model
from tests.unit.test_conditioning import crossing

FEW = Sampling(steps=3)


@pytest.fixture(scope="module", params=list(FORMS))
def model(request, tmp_path_factory):
    return load_model(write_model(tmp_path_factory.mktemp("model"), request.param))


def loud(seconds: float, level: float = 0.05) -> Envelope:
    times = np.arange(0, seconds, 0.01)
    return Envelope(level * (0.5 + 0.5 * np.sin(8 * times)), times)


@pytest.mark.parametrize("seconds", [0.03, 1.0, 1.2345, 7.7])
def test_sound_is_exactly_as_long_as_the_clip(model, seconds):
    sound = generate(model, crossing(seconds), envelope=loud(seconds), options=FEW)
    assert sound.shape == (2, round(seconds * 44100))
    assert sound.dtype == np.float32
    assert np.isfinite(sound).all()


def test_equal_seeds_give_equal_sound_and_others_another(model):
    first, again, other = (generate(model, crossing(1.0), options=Sampling(steps=3, seed=seed)) for seed in (4, 4, 5))
    assert np.array_equal(first, again)
    assert np.abs(first - other).max() > 1e-6


def test_the_envelope_carries_the_level_and_silence_is_silence(model):
    soft, hard = (generate(model, crossing(1.0), envelope=loud(1.0, level), options=FEW) for level in (0.01, 0.1))
    np.testing.assert_allclose(hard, 10 * soft, rtol=1e-3, atol=1e-6)
    assert not generate(model, crossing(1.0), envelope=Envelope(np.zeros(3), np.arange(3.0)), options=FEW).any()


def test_steps_can_be_counted_and_stopped(model):
    def stop(done, total):
        assert total == 3
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(model, crossing(1.0), options=FEW, progress=stop)


def test_decoding_in_pieces_leaves_no_seam(model):
    latents = torch.randn((1, 8, 600), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = model.autoencoder.decode(latents)[0].numpy()
    np.testing.assert_allclose(decode(model.autoencoder, latents, whole.shape[1]), whole, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "word"),
    [({"steps": 0}, "steps"), ({"sampler": "fast"}, "fast"), ({"cfg": float("nan")}, "cfg"), ({"shift": 0.0}, "shift")],
)
def test_options_that_make_no_sense_are_named(options, word):
    with pytest.raises(StereoSyncError, match=word):
        Sampling(**options)


def test_a_timbre_of_another_model_is_refused(model):
    with pytest.raises(StereoSyncError, match="Timbre"):
        generate(model, crossing(1.0), timbre=torch.zeros(3), options=FEW)


def test_the_command_writes_sound_and_video(tmp_path, capsys):
    clip = make_clip(tmp_path / "clip.mp4", count=30)
    tracks = tmp_path / "tracks.json"
    boxes = [[0.1 + 0.02 * n, 0.2, 0.3 + 0.02 * n, 0.9] for n in range(10)]
    tracks.write_text(
        json.dumps({"tracks": [{"id": 1, "label": "person", "times": [n / 10 for n in range(10)], "boxes": boxes}]})
    )
    model = write_model(tmp_path / "model")
    shared = ["generate", str(clip), "--model", str(model), "--tracks", str(tracks), "--no-depth", "--steps", "2", "--json"]
    assert main([*shared, "-o", str(tmp_path / "out.wav"), "--timbre", "gravel"]) == 0
    sound = read_sound(tmp_path / "out.wav", align_to_video=False)
    assert sound is not None
    assert sound.length == round(probe(clip).duration * 44100)
    assert main([*shared, "-o", str(tmp_path / "out.mkv"), "--envelope", str(tmp_path / "out.wav"), "--no-spatial"]) == 0
    assert probe(tmp_path / "out.mkv").has_audio
    assert '"spatial": false' in capsys.readouterr().out
    plain = sound.samples
    assert main([*shared, "-o", str(tmp_path / "led.wav"), "--timbre", "gravel", "--spatial-guidance", "1"]) == 0
    led = read_sound(tmp_path / "led.wav", align_to_video=False)
    assert led is not None
    assert np.abs(led.samples - plain).max() > 1e-6
    assert main([*shared, "-o", str(tmp_path / "fast.wav"), "--timbre", "gravel", "--fast"]) == 0
    fast = read_sound(tmp_path / "fast.wav", align_to_video=False)
    assert fast is not None
    assert np.abs(fast.samples - plain).max() > 1e-6
    assert main([*shared, "-o", str(tmp_path / "no.wav"), "--spatial-guidance", "9"]) == 1
    assert "Spatial guidance" in capsys.readouterr().err


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    clip = make_clip(tmp_path / "clip.mp4", count=10)
    out = str(tmp_path / "out.wav")
    assert main(["generate", str(clip), "-o", out, "--model", str(tmp_path / "none"), "--json"]) == 1
    assert "none" in capsys.readouterr().err
    model = str(write_model(tmp_path / "model"))
    assert main(["generate", str(clip), "-o", out, "--model", model, "--timbre", "lava", "--no-depth", "--json"]) == 1
    assert "lava" in capsys.readouterr().err
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize(("cues", "heard"), [("boxes", [True, False]), ("depth", [False, True]), ("both", [True, True])])
def test_a_model_is_told_no_more_than_it_was_trained_with(tmp_path, cues, heard):
    model = load_model(write_model(tmp_path))
    model.diffusion.config["cues"] = cues
    maps = np.linspace(0, 1, 2 * 12 * 16, dtype=np.float32).reshape(2, 12, 16)
    depth = DepthSequence(maps, np.array([0.0, 0.9]))
    alone = replace(crossing(1.0), tracks=())
    whole = generate(model, crossing(1.0), depth, options=FEW)
    without = [generate(model, alone, depth, options=FEW), generate(model, crossing(1.0), None, options=FEW)]
    assert [not np.array_equal(whole, one) for one in without] == heard
