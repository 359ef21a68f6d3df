"""Releases of Stable Audio Open with random weights, written key by key as the real files have them."""

import copy
import json
import shutil
from math import prod
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from research.equality.release_weights import release_weights
from research.equality.stable_audio_3_equality import random_networks
from research.equality.stable_audio_equality import reduced
from research.small_model import FORMS, lively
from stereosync_core.model.adapter import SpatialAdapter, save_adapter
from stereosync_core.model.folder import read_model_config
from stereosync_core.model.loader import bundled_folder, load_model
from stereosync_core.model.stable_audio.config import release_config

#: A pack that makes a test host's own Stable Audio narrow, and the sizes of that.
NARROW = Path(__file__).parent / "host" / "narrow_stable_audio"
HOST_SIZES = NARROW / "sizes.json"
#: Names in a test host's model folders.
RELEASE, CHECKPOINT, TEXT_ENCODER = "stable-audio-open-1.0", "stable-audio-open-1.0.safetensors", "t5-base.safetensors"
#: Files of Stable Audio 3 that a workflow names.
STABLE_AUDIO_3 = ("checkpoints/stable_audio_3_small_sfx.safetensors", "text_encoders/t5gemma_b_b_ul2.safetensors")
#: Tokens of a prompt.
TEXT = torch.randn(1, 12, 64, generator=torch.Generator().manual_seed(3))


def write_release(folder: Path, name: str = "open_1_0", config: dict | None = None) -> Path:
    """A release's folder, of a small width unless its config is given."""
    config = reduced(name) if config is None else config
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model_config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(release_weights(config), folder / "model.safetensors")
    return folder


def sparse_header(path: Path, shapes: dict[str, tuple[int, ...]], kind: str = "F16") -> Path:
    """A file as large as the real one, with a real header and nothing in it, which takes no room on the disk."""
    size, header, end = {"F16": 2, "F8_E4M3": 1}[kind], {}, 0
    for key, shape in shapes.items():
        start, end = end, end + prod(shape) * size
        header[key] = {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    return path


def host_config() -> dict:
    """Config of a release that the test host's native nodes load: its sizes, and latents of the usual 64 channels."""
    sizes = json.loads(HOST_SIZES.read_text(encoding="utf-8"))
    config = copy.deepcopy(release_config("open_1_0"))
    model = config["model"]
    model["diffusion"]["config"] |= sizes["transformer"]
    model["conditioning"]["cond_dim"] = sizes["transformer"]["cond_token_dim"]
    autoencoder = model["pretransform"]["config"]
    autoencoder["encoder"]["config"] |= sizes["autoencoder"]
    autoencoder["decoder"]["config"] |= sizes["autoencoder"] | {"channels": sizes["decoder_channels"]}
    return config


def write_host_release(folder: Path) -> Path:
    """A release's folder with :func:`host_config`, and a decoder whose two channels can be told apart and guided.

    Half of the latents makes one channel and half the other, nearly in proportion, without biases that would drown them.
    Latents come out of the transformer of a usual size.
    """
    write_release(folder, config=host_config())
    weights, decoder = load_file(folder / "model.safetensors"), "pretransform.model.decoder."
    for key, value in weights.items():
        if key.startswith(decoder) and key.endswith("weight_v"):
            out, entering = (size // 2 for size in value.shape[:2])
            value[:out, entering:] = value[out:, :entering] = 0
        elif key.startswith(decoder) and key.endswith("bias"):
            value.zero_()
        elif key.startswith(decoder) and key.endswith("alpha"):
            value.fill_(-3.0)
    weights[f"{decoder}layers.7.weight_g"] *= 0.01
    weights["model.model.transformer.project_out.weight"] *= 0.1
    save_file(weights, folder / "model.safetensors")
    return folder


def write_adapter(folder: Path, release: Path, form: str) -> Path:
    """An adapter over a release that changes its output; it takes the bundled model's timbre."""
    base = load_model(release)
    torch.manual_seed(0)
    timbre = read_model_config(bundled_folder())["diffusion"]["timbre"]
    config = {"conditions": FORMS[form], "control": {"blocks": 2}, "timbre": timbre, "window": 43}
    adapter = lively(SpatialAdapter(base, config))
    assert isinstance(adapter, SpatialAdapter)
    save_adapter(folder, adapter)
    return folder


def write_stable_audio_3(folder: Path, size: str = "narrow") -> Path:
    """The layout of Stable Audio 3 in diffusers' form, without a text encoder."""
    for part, network in random_networks(size).items():
        network.save_pretrained(folder / part, safe_serialization=True)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableAudio3Pipeline"}))
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps({"stochastic_sampling": False}))
    return folder


def provide_stable_audio_3(models: Path) -> None:
    """A narrow Stable Audio 3 twice, with the same weights: as the release has it, for the host's own loader, and in diffusers'
    form, for the pack's, with two adapters over it.

    Where nothing of a sound stays the host conditions on zeros and diffusers' pipeline on nothing: to be comparable the biases
    of that condition are zero here. The host's norms add torch's least number and diffusers' 1e-6, which counts in what is as
    faint as these weights would make memory tokens and the keys of a text: they are of the size of latents here.
    """
    folder = models / "stereosync" / "stable-audio-3"
    paths = write_stable_audio_3(folder, "host").glob("*/diffusion_pytorch_model.safetensors")
    parts = {path.parent.name: load_file(path) for path in paths}
    transformer = parts["transformer"]
    for key, value in transformer.items():
        if ".to_local_embed." in key and key.endswith("bias"):
            value.zero_()
    transformer["memory_tokens"] *= 50
    transformer["to_cond_embed.2.weight"] *= 30
    save_file(transformer, folder / "transformer" / "diffusion_pytorch_model.safetensors")
    for form in ("aligned", "paper"):
        write_adapter(models / "stereosync" / f"3-{form}", folder, form)
    seconds, prompt = "conditioner.conditioners.seconds_total.embedder.embedding.1", "conditioner.conditioners.prompt"
    native = {f"{prompt}.padding_embedding": transformer.pop("prompt_padding_embedding")}
    native |= {f"{seconds}.{name}": parts["duration_embedder"][f"linear.{name}"] for name in ("weight", "bias")}
    native |= {f"model.model.{native_name(key)}": native_order(key, value) for key, value in transformer.items()}
    save_file({key: value.contiguous() for key, value in native.items()}, models / STABLE_AUDIO_3[0])


def native_name(key: str) -> str:
    """The release's name of a weight of diffusers' transformer."""
    if key.startswith(("global_cond_embedder", "memory_tokens", "rotary_pos_emb")):
        return f"transformer.{key}"
    key = key.replace("transformer_blocks.", "transformer.layers.").replace("ff.proj_in", "ff.ff.0.proj")
    key = key.replace("ff.proj_out", "ff.ff.2")
    return f"transformer.project_{key.removeprefix('proj_')}" if key.startswith("proj_") else key


def native_order(key: str, value: torch.Tensor) -> torch.Tensor:
    if not key.endswith("to_qkv.weight"):
        return value
    first, second, keys, other_keys, values = value.chunk(5)
    return torch.cat([first, keys, values, second, other_keys])


def write_text_encoder(path: Path) -> Path:
    """A file of T5's weights, as ComfyUI's users keep it, of the test host's sizes."""
    from transformers import T5Config, T5EncoderModel

    sizes = json.loads(HOST_SIZES.read_text(encoding="utf-8"))["text"]
    torch.manual_seed(0)
    network = T5EncoderModel(T5Config(**sizes, vocab_size=32128))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.clone() for key, value in network.state_dict().items()}, path)
    return path


def provide_stable_audio(models: Path) -> None:
    """Stable Audio Open as users keep it, of the test host's sizes: one file for native nodes, the release's folder, and
    two adapters over it, ``aligned`` and ``paper``."""
    release = write_host_release(models / "stereosync" / RELEASE)
    for form in ("aligned", "paper"):
        write_adapter(models / "stereosync" / form, release, form)
    checkpoint = models / "checkpoints" / CHECKPOINT
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(release / "model.safetensors", checkpoint)
    shutil.copyfile(release / "model_config.json", checkpoint.with_name(f"{checkpoint.stem}_config.json"))
    write_text_encoder(models / "text_encoders" / TEXT_ENCODER)
    for name in STABLE_AUDIO_3:  # names alone, for the menus: the networks come from a node of the tests
        save_file({"nothing": torch.zeros(1)}, models / name)
