"""The command ``generate`` with Stable Audio Open: with an adapter, for a text alone, and what does not go together."""

import json

import numpy as np
import pytest

from research.small_model import lively, write_model
from stereosync_core.__main__ import main
from stereosync_core.media.video import probe
from stereosync_core.model import precision
from stereosync_core.model.adapter import save_adapter
from stereosync_core.model.conditioning.sound_timbre import SoundTimbre
from stereosync_core.model.folder import save_part
from stereosync_core.model.latent_levels import LatentLevels
from stereosync_core.model.loader import load_stable_audio
from tests.clips import make_clip, sound_in
from tests.unit.test_generate import write_tracks
from tests.unit.test_stable_audio_adapter import trained
from tests.unit.test_stable_audio_sampling import write_t5


@pytest.fixture(scope="module")
def adapter(release, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapter")
    save_adapter(folder, trained(load_stable_audio(release)))
    timbre = SoundTimbre(["gravel", "snow"], 16)
    save_part(folder, "timbre", timbre.config, lively(timbre).state_dict())
    return folder


@pytest.fixture
def command(tmp_path, release):
    clip, tracks = make_clip(tmp_path / "clip.mp4", count=30), write_tracks(tmp_path / "tracks.json")
    out = str(tmp_path / "out.wav")
    shared = ["--tracks", str(tracks), "--no-depth", "--steps", "2", "--json", "-o", out]
    return ["generate", str(clip), "--model", str(release), *shared]


def made(command, capsys, *more):
    assert main([*command, *more]) == 0
    report = json.loads(capsys.readouterr().out)
    sound = sound_in(report["output"], align_to_video=False)
    assert sound.length == round(probe(report["video"]).duration * 44100)
    return report, sound.samples


@pytest.mark.slow
@pytest.mark.half_precision
def test_an_adapter_follows_the_scene_and_the_timbre(command, adapter, release, capsys):
    given = ["--adapter", str(adapter), "--timbre", "gravel", "--space-scale", "3"]
    report, sound = made(command, capsys, *given)
    wanted = {"model": release.name, "envelope": "events", "timbre": "gravel", "spatial": True}
    assert {name: report[name] for name in wanted} == wanted
    for other in (["--no-spatial"], ["--seed", "5"], ["--cfg", "1"], ["--envelope-scale", "0"], ["--timbre", "snow"]):
        assert abs(made(command, capsys, *given, *other)[1] - sound).max() > 0, other
    half = made(command, capsys, *given, "--precision", "bf16")[1]
    assert abs(half - sound).max() > 0


def test_a_text_is_enough_without_an_adapter(command, tmp_path, capsys):
    given = ["--text", "steps on gravel", "--t5", str(write_t5(tmp_path / "t5"))]
    report, _ = made(command, capsys, *given)
    assert report["envelope"] is None


@pytest.mark.slow
@pytest.mark.half_precision
def test_a_release_without_an_adapter_is_quicker_or_guided_to_the_boxes(command, tmp_path, capsys):
    text = ["--text", "steps", "--t5", str(write_t5(tmp_path / "t5"))]
    _, plain = made(command, capsys, *text)
    _, fast = made(command, capsys, *text, "--fast")
    assert np.abs(plain - fast).max() > 1e-6
    _, guided = made(command, capsys, *text, "--spatial-guidance", "0.5", "--law", "rooms")
    assert np.abs(plain - guided).max() > 1e-6
    head = LatentLevels(4, 16)
    save_part(tmp_path / "levels", "levels", head.config, head.state_dict())
    _, by_head = made(command, capsys, *text, "--spatial-guidance", "0.5", "--levels", str(tmp_path / "levels"))
    assert np.abs(by_head - guided).max() > 1e-6
    wrong = LatentLevels(5, 16)
    save_part(tmp_path / "levels", "levels", wrong.config, wrong.state_dict())
    assert main([*command, *text, "--spatial-guidance", "0.5", "--levels", str(tmp_path / "levels")]) == 1
    assert "reads 5 latents and this model has 4" in capsys.readouterr().err
    assert main([*command, *text, "--spatial-guidance", "0.5", "--levels", str(tmp_path / "t5")]) == 1
    assert "t5" in capsys.readouterr().err


def test_fast_is_in_half_precision_where_the_processor_is_faster_in_it(command, tmp_path, capsys, monkeypatch):
    text = ["--text", "steps", "--t5", str(write_t5(tmp_path / "t5")), "--fast"]
    _, single = made(command, capsys, *text, "--precision", "fp32")
    for faster in (True, False):
        monkeypatch.setattr(precision, "_is_faster_on_cpu", lambda _, faster=faster: faster)
        _, fast = made(command, capsys, *text)
        assert np.array_equal(fast, single) is not faster


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ([], "--text is missing"),
        (["--text", "steps"], "give the folder of T5 base"),
        (["--timbre", "gravel", "--text", "steps"], "--timbre needs an adapter"),
        (["--space-scale", "2", "--text", "steps"], "--space-scale needs an adapter"),
        (["--adapter", "none"], "none' does not exist"),
        (["--sampler", "pingpong", "--text", "steps"], "'pingpong' is not for this model"),
    ],
)
def test_what_does_not_go_together_is_named(command, options, error, capsys):
    assert main([*command, *options]) == 1
    assert error in capsys.readouterr().err


def test_stable_audio_s_options_need_stable_audio(command, tmp_path, capsys):
    model = write_model(tmp_path / "model")
    assert main([*command, "--model", str(model), "--text", "steps"]) == 1
    assert "--text is for Stable Audio Open; give its folder or file with --model" in capsys.readouterr().err
    assert main([*command, "--model", str(tmp_path / "gone.safetensors")]) == 1
    assert "gone.safetensors' does not exist" in capsys.readouterr().err
