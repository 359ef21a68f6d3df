"""From a scene to sound: length, seeds, silence, long clips; and the command."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from research.small_model import FORMS, LATENTS, write_model
from stereosync_core import (
    DepthSequence,
    Envelope,
    Event,
    Events,
    SpatialConditioning,
    StereoSyncPipeline,
    envelope_from_events,
    probe,
)
from stereosync_core.__main__ import main
from stereosync_core.model.conditioning.features import ENVELOPE_WINDOW
from stereosync_core.model.decoding import decode
from stereosync_core.model.loader import load_model
from tests.clips import make_clip, sound_in
from tests.errors import refused, stopped
from tests.unit.test_conditioning import crossing


@pytest.fixture(scope="module", params=list(FORMS))
def model(request, tmp_path_factory):
    return load_model(write_model(tmp_path_factory.mktemp("model"), request.param))


def generate(model, tracks, depth=None, **options) -> np.ndarray:
    """In three steps unless something else is given."""
    return StereoSyncPipeline(model)(SpatialConditioning(tracks, depth), **{"num_inference_steps": 3, **options}).samples


def loud(seconds: float, level: float = 0.05) -> Envelope:
    times = np.arange(0, seconds, 0.01)
    return Envelope(level * (0.5 + 0.5 * np.sin(8 * times)), times)


def write_tracks(path: Path) -> Path:
    """Ten boxes of a thing that goes to the right."""
    boxes = [[0.1 + 0.02 * n, 0.2, 0.3 + 0.02 * n, 0.9] for n in range(10)]
    row = {"id": 1, "label": "person", "times": [n / 10 for n in range(10)], "boxes": boxes}
    path.write_text(json.dumps({"tracks": [row]}))
    return path


@pytest.mark.parametrize("seconds", [0.03, 1.0, 1.2345, 7.7])
def test_sound_is_exactly_as_long_as_the_clip(model, seconds):
    sound = generate(model, crossing(seconds), envelope=loud(seconds))
    assert (sound.shape, sound.dtype) == ((2, round(seconds * 44100)), np.float32)
    assert np.isfinite(sound).all()


def test_equal_seeds_give_equal_sound_and_others_another(model):
    first, again, other = (generate(model, crossing(1.0), seed=seed) for seed in (4, 4, 5))
    assert np.array_equal(first, again)
    assert np.abs(first - other).max() > 1e-6


def test_the_envelope_carries_the_level_and_silence_is_silence(model):
    soft, hard = (generate(model, crossing(1.0), envelope=loud(1.0, level)) for level in (0.01, 0.1))
    np.testing.assert_allclose(hard, 10 * soft, rtol=1e-3, atol=1e-6)
    assert not generate(model, crossing(1.0), envelope=Envelope(np.zeros(3), np.arange(3.0))).any()


def test_steps_can_be_counted_and_stopped(model):
    assert stopped(generate, model, crossing(1.0), after=1) == [(1, 3), (2, 3)]


def test_decoding_in_pieces_leaves_no_seam(model):
    latents = torch.randn((1, LATENTS, 600), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = model.autoencoder.decode(latents)[0].numpy()
    np.testing.assert_allclose(decode(model.autoencoder, latents, whole.shape[1]), whole, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"num_inference_steps": 0}, "0 steps"),
        ({"sampler": "fast"}, "fast"),
        ({"guidance_scale": float("nan")}, "guidance_scale"),
        ({"spatial_scale": 99.0}, "spatial_scale is 99"),
        ({"control_scale": -99.0}, "control_scale is -99"),
        ({"prompt": "steps"}, "takes no text"),
    ],
)
def test_options_that_make_no_sense_are_named(model, options, word):
    refused(word, generate, model, crossing(1.0), **options)


def test_scales_of_zero_are_off_and_the_model_s_defaults_are_none(model):
    given = {"depth": DepthSequence(np.ones((2, 12, 16)), np.array([0.0, 0.9])), "timbre": torch.ones(16)}
    whole = generate(model, crossing(1.0), envelope=loud(1.0), **given)
    own = {"guidance_scale": 1.5, "spatial_scale": 2.5, "control_scale": 1.0, "sampler": "dpmpp_2m"}
    assert np.array_equal(generate(model, crossing(1.0), envelope=loud(1.0), **given, **own), whole)
    blind = generate(model, crossing(1.0), envelope=loud(1.0), **given, spatial_scale=0.0)
    bare = generate(model, crossing(1.0), envelope=loud(1.0), **given, spatial_scale=0.0, guidance_scale=0.0)
    assert np.abs(blind - whole).max() > 1e-6
    assert np.abs(blind - bare).max() > 1e-6
    if model.denoiser.space.form == "aligned":  # a list of tokens is longer with a track, even of zeros
        nothing = replace(crossing(1.0), tracks=())
        assert np.array_equal(generate(model, nothing, envelope=loud(1.0), timbre=given["timbre"]), blind)
        np.testing.assert_allclose(generate(model, nothing, envelope=loud(1.0)), bare, atol=1e-6)
    assert np.abs(generate(model, crossing(1.0), envelope=loud(1.0), **given, control_scale=0.0) - whole).max() > 1e-6


def test_events_make_the_envelope_where_there_is_none(model):
    tracks = crossing(1.0)
    events = Events((Event(0.3, "step", 1), Event(0.7, "clap", None)), 1.0)
    made = generate(model, tracks, events=events)
    assert np.array_equal(made, generate(model, tracks, envelope=envelope_from_events(events, tracks, window=ENVELOPE_WINDOW)))
    known = generate(model, tracks, envelope=loud(1.0), events=events)
    assert known.shape == made.shape
    refused("lasts 1", generate, model, tracks, events=replace(events, duration=9.0))


def test_a_timbre_of_another_model_is_refused(model):
    refused("Timbre", generate, model, crossing(1.0), timbre=torch.zeros(3))


def test_the_command_writes_sound_and_video(tmp_path, capsys):
    clip = make_clip(tmp_path / "clip.mp4", count=30)
    model, tracks = write_model(tmp_path / "model"), write_tracks(tmp_path / "tracks.json")
    shared = ["generate", str(clip), "--model", str(model), "--tracks", str(tracks), "--no-depth", "--steps", "2", "--json"]

    def made(name, *options) -> np.ndarray:
        assert main([*shared, "-o", str(tmp_path / name), "--timbre", "gravel", *options]) == 0
        return sound_in(tmp_path / name, align_to_video=False).samples

    plain = made("out.wav")
    assert plain.shape[1] == round(probe(clip).duration * 44100)
    assert main([*shared, "-o", str(tmp_path / "out.mkv"), "--envelope", str(tmp_path / "out.wav"), "--no-spatial"]) == 0
    assert probe(tmp_path / "out.mkv").has_audio
    assert '"spatial": false' in capsys.readouterr().out
    assert np.abs(made("guided.wav", "--spatial-guidance", "1") - plain).max() > 1e-6
    assert np.abs(made("fast.wav", "--fast") - plain).max() > 1e-6
    assert main([*shared, "-o", str(tmp_path / "no.wav"), "--spatial-guidance", "9"]) == 1
    assert "Spatial guidance" in capsys.readouterr().err


def test_the_command_names_what_is_wrong(tmp_path, capsys):
    clip = make_clip(tmp_path / "clip.mp4", count=10)
    out = str(tmp_path / "out.wav")
    assert main(["generate", str(clip), "-o", out, "--model", str(tmp_path / "none"), "--json"]) == 1
    assert "none" in capsys.readouterr().err
    model = str(write_model(tmp_path / "model"))
    assert main(["generate", str(clip), "-o", out, "--model", model, "--timbre", "lava", "--no-depth", "--json"]) == 1
    assert "lava" in capsys.readouterr().err
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize(("cues", "used"), [("boxes", [True, False]), ("depth", [False, True]), ("both", [True, True])])
def test_a_model_is_conditioned_on_no_more_than_it_was_trained_with(tmp_path, cues, used):
    model = load_model(write_model(tmp_path))
    model.cues = cues
    maps = np.linspace(0, 1, 2 * 12 * 16, dtype=np.float32).reshape(2, 12, 16)
    depth = DepthSequence(maps, np.array([0.0, 0.9]))
    alone = replace(crossing(1.0), tracks=())
    whole = generate(model, crossing(1.0), depth)
    without = [generate(model, alone, depth), generate(model, crossing(1.0), None)]
    assert [not np.array_equal(whole, one) for one in without] == used


@pytest.mark.parametrize("lengths", [(1.17, 1.2), (7.68, 7.7)])
def test_clips_in_one_batch_sound_as_one_by_one(model, lengths):
    rng = np.random.default_rng(0)
    scenes = [SpatialConditioning(crossing(seconds), DepthSequence(rng.random((2, 4, 4)), [0, 1.0])) for seconds in lengths]
    given = {"num_inference_steps": 3, "spatial_guidance": 0.5, "seed": 3, "takes": 2}
    envelopes = [loud(lengths[0]), loud(lengths[1], 0.01)]
    pipeline = StereoSyncPipeline(model)
    together = pipeline(scenes, envelope=envelopes, **given).takes
    pairs = zip(scenes, envelopes, strict=True)
    alone = [take for scene, own in pairs for take in pipeline(scene, envelope=own, **given).takes]
    assert [take.seed for take in together] == [3, 4, 3, 4]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.samples, other.samples, atol=2e-4 * np.abs(other.samples).max())
    assert np.abs(together[0].samples - together[2].samples[:, : together[0].samples.shape[1]]).max() > 0.01
    longer = SpatialConditioning(crossing(9.0))
    refused("equally long", lambda: pipeline([scenes[0], longer], envelope=[None, None]))
    refused("are of one clip", lambda: pipeline(scenes, events=Events((), lengths[0])))
