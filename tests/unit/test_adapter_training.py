"""Training an adapter over a frozen release: what it writes, and that a stopped training ends where an unbroken one does."""

import json
import logging

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from research.__main__ import main
from research.rooms.shards import generate
from research.small_model import write_clap
from research.training.adapter import AdapterTask
from research.training.loop import CHECKPOINT, LoopSettings, curves, train
from stereosync_core.model.adapter import load_adapter
from stereosync_core.model.loader import load_levels, load_model, load_stable_audio, load_timbre
from tests.errors import stopped
from tests.stable_audio_release import write_release, write_stable_audio_3
from tests.unit.test_rooms import pretend_engine
from tests.unit.test_stable_audio_sampling import write_t5
from tests.unit.test_training import weights

pytest.importorskip("accelerate", reason="training needs accelerate (requirements-train.txt)")

FORMS = {"aligned": {"form": "aligned", "inner": 16, "gait": 8}, "paper": {"form": "paper", "inner": 4, "box_rate": 5.0}}
SETTINGS = LoopSettings(steps=4, rate=1e-3, warmup=1, validate_every=2, save_every=0.0)


def config(form: str = "aligned", **more) -> dict:
    model = {"control": {"blocks": 1}, "conditions": FORMS[form]}
    sizes = {"batch": 2, "frames": 16, "train_clips": 2, "valid_clips": 2}
    drop = {"text": 0.1, "space": 0.1, "timbre": 0.1, "envelope": 0.1}
    return {"task": "adapter", "model": model, **sizes, "ownership": 0.2, "drop": drop, **more}


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    """Two clips to learn from and two others, without the game engine."""
    folder = tmp_path_factory.mktemp("rooms")
    with pytest.MonkeyPatch.context() as patch:
        pretend_engine(patch)
        for split in ("train", "valid"):
            generate(folder, split, 0, 2, seconds=2.0)
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_release(tmp_path_factory.mktemp("small"), "open_small")


@pytest.fixture(scope="module")
def third(tmp_path_factory):
    return write_stable_audio_3(tmp_path_factory.mktemp("third") / "stable-audio-3")


@pytest.mark.slow
@pytest.mark.parametrize(("form", "over"), [("aligned", "release"), ("paper", "small"), ("aligned", "third")])
def test_the_release_stays_as_it_is_and_the_adapter_learns(rooms, request, tmp_path, form, over):
    task = AdapterTask(config(form, base_precision="fp32"), rooms, tmp_path, base=request.getfixturevalue(over))
    before = {name: value.clone() for name, value in task.base.state_dict().items()}
    torch.manual_seed(SETTINGS.seed)
    fresh = weights(task.build())
    network = train(task, SETTINGS, tmp_path / "training")
    for name, value in before.items():
        assert torch.equal(task.base.state_dict()[name], value), name
    assert (weights(network) - fresh).abs().max() > 1e-4
    held = torch.load(tmp_path / "training" / CHECKPOINT, weights_only=True)["network"]
    assert held.keys() == network.state_dict().keys(), "nothing of the release is in the checkpoint"
    row = curves(tmp_path / "training")[-1]
    assert {"valid velocity", "valid without_space"} < row.keys()
    assert ("valid ownership" in row) == (form == "aligned")
    task.save(network, tmp_path / "made")
    assert load_model(request.getfixturevalue(over), adapter=tmp_path / "made").denoiser.adapter is not None


@pytest.mark.slow
def test_killed_and_started_again_it_ends_in_the_same_place(rooms, release, tmp_path):
    def run(folder, **more):
        return train(AdapterTask(config(), rooms, tmp_path, base=release), SETTINGS, folder, **more)

    whole = run(tmp_path / "whole")
    stopped(run, tmp_path / "killed", after=2)
    assert torch.equal(weights(whole), weights(run(tmp_path / "killed")))
    rows = [curves(tmp_path / name)[-1] for name in ("whole", "killed")]
    assert all(rows[0][name] == rows[1][name] for name in rows[0] if name.startswith("valid"))


@pytest.mark.slow
@pytest.mark.half_precision
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_recomputing_the_blocks_changes_no_gradient(rooms, release, tmp_path, precision):
    gradients = []
    for checkpointed in (False, True):
        given = config(base_precision=precision, checkpointed=checkpointed)
        task = AdapterTask(given, rooms, tmp_path, base=release)
        torch.manual_seed(0)
        network = task.build()
        losses = task.loss(network, torch.Generator().manual_seed(0), torch.device("cpu"))
        torch.stack(list(losses.values())).sum().backward()
        gradients.append({name: value.grad for name, value in network.named_parameters() if value.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    assert all(torch.equal(gradients[0][name], gradients[1][name]) for name in gradients[0])


@pytest.fixture
def other_precision():
    """accelerate keeps one precision for a whole process."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()
    yield
    AcceleratorState._reset_state()


@pytest.mark.half_precision
@pytest.mark.usefixtures("other_precision")
def test_the_command_writes_a_folder_that_loads_over_its_release(rooms, release, tmp_path, capsys):
    path, out = tmp_path / "mine.json", tmp_path / "adapter"
    path.write_text(json.dumps(config(checkpointed=True, loop={"steps": 9, "warmup": 1, "precision": "bf16"})))
    command = ["train", "adapter", "--base", str(release), "--rooms", str(rooms), "--out", str(out), "--config", str(path)]
    assert main([*command, "--steps", "2", "--json"]) == 0
    assert '"step": "2"' in capsys.readouterr().out
    base = load_stable_audio(release)
    base.denoiser.adapter = adapter = load_adapter(out, base)
    assert base.window == 16
    assert load_timbre(out).size == base.timbre_size == 64, "the bundled timbre encoder goes along"
    names = {name for name, _ in adapter.named_parameters()}
    assert set(load_file(out / "adapter.safetensors")) == names, "what was trained, and nothing else"


def test_a_clap_is_named_in_the_adapter_s_config(rooms, release, tmp_path):
    clap, out = write_clap(tmp_path / "clap"), tmp_path / "adapter"
    task = AdapterTask(config(clap=str(clap)), rooms, out, base=release)
    task.save(task.build(), out)
    assert json.loads((out / "config.json").read_text())["timbre"] == {"type": "clap", "folder": "../clap"}
    assert load_timbre(out).size == load_adapter(out, task.base).timbre.in_features == 8


def test_a_prompt_is_encoded_once_and_used_throughout(rooms, release, tmp_path, caplog):
    task = AdapterTask(config(prompt="steps on gravel"), rooms, tmp_path, base=release, t5=write_t5(tmp_path / "t5"))
    tokens = torch.as_tensor(task.conditioning(task.bank, np.zeros(2)).cross_attn_tokens)
    assert tokens[:, :4].abs().sum(-1).all()
    with caplog.at_level(logging.WARNING):
        AdapterTask(config(prompt="steps on gravel"), rooms, tmp_path, base=release)
    assert "gets no text; that needs 'prompt' in the config, and --t5" in caplog.text
    losses = task.loss(task.build(), torch.Generator().manual_seed(0), torch.device("cpu"))
    torch.stack(list(losses.values())).sum().backward()


def test_what_is_wrong_is_named(rooms, release, tmp_path, capsys):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(config(loop={"steps": 2})))
    shared = ["train", "adapter", "--rooms", str(rooms), "--out", str(tmp_path / "out"), "--config", str(path), "--json"]
    assert main(shared) == 1
    assert "--base" in capsys.readouterr().err
    assert main([*shared, "--base", str(tmp_path / "none")]) == 1
    assert "none' is none" in capsys.readouterr().err
    path.write_text(json.dumps(config(loop={"steps": 2}, base_precision="fp8")))
    assert main([*shared, "--base", str(release)]) == 1
    assert "'base_precision' is 'fp8'" in capsys.readouterr().err
    assert main(["train", "directions", "--out", str(tmp_path / "out"), "--t5", str(tmp_path), "--json"]) == 1
    assert "--t5 is for training an adapter" in capsys.readouterr().err


@pytest.mark.parametrize("base", ["open", "3"])
def test_levels_are_learned_from_the_decoder_alone(rooms, release, tmp_path, base):
    release = release if base == "open" else write_stable_audio_3(tmp_path / "sa3")
    path, out = tmp_path / "levels.json", tmp_path / "out"
    given = {"task": "levels", "width": 16, "groups": 1, "batch": 2, "frames": 16, "noise": 0.5}
    given |= {"train_clips": 2, "valid_clips": 2, "loop": {"steps": 3, "warmup": 1, "validate_every": 1}}
    path.write_text(json.dumps(given))
    command = ["train", "levels", "--base", str(release), "--rooms", str(rooms), "--out", str(out), "--config", str(path)]
    assert main([*command, "--quiet"]) == 0
    errors = [float(row["valid decibels"]) for row in curves(out / "training-levels")]
    assert errors[-1] < errors[0]
    head = load_levels(out)
    assert head is not None
    with torch.inference_mode():
        assert head(torch.randn(1, head.config["latents"], 16)).shape == (1, 2, 64)
