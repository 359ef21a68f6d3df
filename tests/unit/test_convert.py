"""Published training checkpoints of Stable Audio as safetensors: read as data, by a release's names, and then loaded."""

import json
import pickle
import zipfile

import pytest
import torch
from safetensors.torch import load_file

from stereosync_core.__main__ import main
from stereosync_core.model.loader import load_stable_audio
from stereosync_core.model.stable_audio.convert import convert_checkpoint
from tests.errors import refused


@pytest.fixture
def checkpoint(release, tmp_path):
    """As a trainer writes it: its own prefix, a mean over training beside the last step's weights, and its own state."""
    weights = load_file(release / "model.safetensors")
    mean = {f"diffusion_ema.ema_model.{key[6:]}": value + 1 for key, value in weights.items() if key.startswith("model.")}
    state = {f"diffusion.{key}": value for key, value in weights.items()} | mean
    path = tmp_path / "bewo.ckpt"
    torch.save({"state_dict": state, "epoch": 3, "optimizer_states": [{"lr": 0.1}]}, path)
    return path


def test_the_mean_over_training_is_what_a_checkpoint_is_loaded_as(checkpoint, release, tmp_path, capsys):
    folder, config = tmp_path / "bewo", release / "model_config.json"
    assert main(["convert", str(checkpoint), "--config", str(config), "-o", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["objective"] == "v"
    wanted, found = load_file(release / "model.safetensors"), load_file(folder / "model.safetensors")
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        torch.testing.assert_close(found[key], value + 1 if key.startswith("model.") else value)
    assert load_stable_audio(folder).name == "bewo"
    refused("holds a model.safetensors already", convert_checkpoint, checkpoint, config, folder)


class Attack:
    def __reduce__(self):
        return print, ("run",)


def test_nothing_of_a_checkpoint_is_run_and_other_files_are_refused(release, tmp_path, capsys):
    config, folder = release / "model_config.json", tmp_path / "out"
    path = tmp_path / "attack.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"state_dict": Attack()}))
    refused("would run", convert_checkpoint, path, config, folder)
    assert "run" not in capsys.readouterr().out
    torch.save({"state_dict": {"layer.weight": torch.zeros(2)}}, path)
    refused("holds no Stable Audio model", convert_checkpoint, path, config, folder)
    path.write_bytes(b"no checkpoint")
    refused("no checkpoint in torch's zip form", convert_checkpoint, path, config, folder)
    refused("model_config.json", convert_checkpoint, path, tmp_path / "none.json", folder)
    assert not folder.exists()
