"""A model's folder: what is missing, damaged or of another model gives one clear error."""

import json
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from research.small_model import write_clap, write_model
from stereosync_core.checkpoints import no_larger_than
from stereosync_core.errors import StereoSyncError
from stereosync_core.model.conditioning.clap import ClapEmbedding
from stereosync_core.model.folder import inherit_parts
from stereosync_core.model.loader import bundled_folder, load_model, part_folder
from tests.errors import refused


@pytest.fixture
def folder(tmp_path):
    return write_model(tmp_path / "model")


def test_a_folder_comes_back_as_it_was_written(folder):
    model = load_model(folder)
    assert (model.window, model.latent_rate) == (40, pytest.approx(44100 / 2048))
    assert not any(parameter.isnan().any() for parameter in model.parameters())


def test_parts_can_come_from_another_folder(folder, tmp_path):
    other = tmp_path / "other"
    inherit_parts(other, folder)
    assert part_folder(other, "timbre").resolve() == folder.resolve()
    assert torch.equal(load_model(other).denoiser.timbre.weight, load_model(folder).denoiser.timbre.weight)


def test_the_bundled_model_loads():
    model = load_model()
    assert sum(parameter.numel() for parameter in model.parameters()) < 25e6
    assert model.name == bundled_folder().name


@pytest.mark.parametrize("part", ["autoencoder", "diffusion", "timbre", "envelope"])
def test_a_missing_or_truncated_part_is_named(folder, part):
    path = folder / f"{part}.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    refused(rf"{part}\.safetensors.*damaged", load_model, folder)
    path.unlink()
    refused(rf"{part}\.safetensors.*missing", load_model, folder)


def test_text_in_place_of_weights(folder):
    (folder / "diffusion.safetensors").write_text("version https://git-lfs.github.com/spec/v1")
    refused("damaged or no safetensors", load_model, folder)


def test_foreign_weights_are_told_by_their_keys(folder):
    save_file({"model.diffusion.weight": torch.zeros(3)}, folder / "diffusion.safetensors")
    refused(r"does not fit.*lacks.*has also model\.diffusion\.weight", load_model, folder)


def test_weights_of_another_size_and_broken_numbers(folder):
    path = folder / "timbre.safetensors"
    weights = load_file(path)
    save_file(weights | {"directions": torch.zeros(2, 2)}, path)
    refused("of another shape", load_model, folder)
    save_file(weights | {"directions": torch.full_like(weights["directions"], float("nan"))}, path)
    refused("NaN", load_model, folder)


def test_a_config_that_is_missing_broken_or_of_something_else(folder, tmp_path):
    refused(r"no config\.json", load_model, tmp_path / "nowhere")
    config = folder / "config.json"
    whole = json.loads(config.read_text())
    for text, words in (
        ("{", "cannot be read"),
        (json.dumps({"model_type": "clip"}), "another kind"),
        (json.dumps({**whole, "autoencoder": {"type": "oobleck"}}), "type that is not known"),
        (json.dumps({**whole, "timbre": {"type": "aisfx", "depth": 3}}), "cannot be understood"),
    ):
        config.write_text(text)
        refused(words, load_model, folder)


def test_parts_of_different_models_are_told_apart(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    config["timbre"]["size"] = 8
    weights = load_file(folder / "timbre.safetensors")
    small = {name: value if name == "mean" else value[:, :8] for name, value in weights.items()}
    save_file({name: value.contiguous() for name, value in small.items()}, folder / "timbre.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    refused("different models", load_model, folder)


def test_clap_takes_the_place_of_the_small_encoder(folder):
    """From a folder beside the model; a tokenizer that is missing is told, with what to do instead."""
    write_clap(folder / "clap", 16)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "timbre": {"type": "clap", "folder": "clap"}}))
    timbre = load_model(folder).timbre_encoder
    assert timbre is not None
    vector = timbre.of_sound(np.random.default_rng(0).standard_normal((2, 44100)), 44100)
    assert (vector.shape, vector.norm()) == ((16,), pytest.approx(4.0, rel=1e-3))
    refused("no tokenizer", timbre.of_name, "gravel")


def changed(config, path, value):
    """A copy of a config with another value at ``part.key.key``."""
    copy = json.loads(json.dumps(config))
    *keys, last = path.split(".")
    place = copy
    for key in keys:
        place = place.setdefault(key, {})
    place[last] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("diffusion.backbone.embed_dim", 10**9),
        ("diffusion.backbone.embed_dim", 10**6),
        ("diffusion.backbone.depth", 10**9),
        ("diffusion.backbone.depth", 10**6),
        ("diffusion.backbone.depth", -1),
        ("diffusion.backbone.num_heads", 0),
        ("diffusion.backbone.num_heads", 3),
        ("diffusion.backbone.ff_kwargs.mult", 1e18),
        ("diffusion.backbone.cond_token_dim", 10**400),
        ("diffusion.conditions.every", 0),
        ("diffusion.conditions.inner", 10**6),
        ("diffusion.latent_rate", float("inf")),
        ("diffusion.latent_rate", 1e-9),
        ("diffusion.window", 0),
        ("diffusion.window", "long"),
        ("diffusion.cues", ["smell"]),
        ("autoencoder.hop", 0),
        ("autoencoder.hop", 10**6),
        ("autoencoder.window", 10**6),
        ("autoencoder.width", 10**6),
        ("autoencoder.expansion", -3),
        ("autoencoder.blocks", [10**6]),
        ("autoencoder.blocks", []),
        ("timbre.width", 10**6),
        ("timbre.size", -1),
        ("envelope.width", 10**6),
        ("envelope.width", None),
    ],
)
def test_a_config_that_claims_the_impossible_is_one_error_at_once(folder, path, value):
    """Nothing is built that is larger than the weights: the time limit stands for the memory."""
    config = folder / "config.json"
    config.write_text(json.dumps(changed(json.loads(config.read_text()), path, value)))
    begin = time.process_time()
    refused("Model|Channel", load_model, folder)
    assert time.process_time() - begin < 5


def test_scales_of_eight_bits_are_one_for_each_row(folder):
    """Others would spread over a matrix that the file does not hold."""
    path = folder / "timbre.safetensors"
    save_file(load_file(path) | {"project.weight.scale_of_rows": torch.ones(1, 10**5)}, path)
    refused("without a scale for each of its rows", load_model, folder)


def test_a_network_stops_growing_at_its_weights():
    with pytest.raises(StereoSyncError, match="larger network"), no_larger_than([(4, 4)], "Model"), torch.device("meta"):
        torch.nn.Sequential(*(torch.nn.Linear(4, 4) for _ in range(10**6)))
    with pytest.raises(StereoSyncError, match="larger network"), no_larger_than([(4, 4)], "Model"), torch.device("meta"):
        torch.nn.Linear(10**9, 10**9)
    assert len(torch.nn.Sequential(*(torch.nn.Linear(4, 4) for _ in range(1000)))) == 1000, "afterwards anything goes"


@pytest.mark.parametrize(("key", "value"), [("num_hidden_layers", 10**9), ("hidden_size", 10**9), ("hidden_size", 10**6)])
def test_folders_of_transformers_are_held_to_their_weights(tmp_path, key, value):
    folder = write_clap(tmp_path / "clap")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(changed(config, f"audio_config.{key}", value)))
    refused("Embedding", ClapEmbedding, folder)
