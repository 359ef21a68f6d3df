"""Releases of Stable Audio Open with random weights, written key by key as the real files have them."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from math import prod
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from research.equality.stable_audio_equality import reduced
from stereosync_core.model.adapter import SpatialAdapter, save_adapter
from stereosync_core.model.folder import read_model_config
from stereosync_core.model.loader import bundled_folder, load_stable_audio
from stereosync_core.model.stable_audio.config import release_config
from tests.small_model import FORMS, lively

Shapes = Iterator[tuple[str, tuple[int, ...]]]
#: A pack that makes a test host's own Stable Audio narrow, and the sizes of that.
NARROW = Path(__file__).parent / "host" / "narrow_stable_audio"
HOST_SIZES = NARROW / "sizes.json"
#: Names in a test host's model folders.
RELEASE, CHECKPOINT, TEXT_ENCODER = "stable-audio-open-1.0", "stable-audio-open-1.0.safetensors", "t5-base.safetensors"


def transformer_shapes(config: dict) -> Shapes:
    """Keys and shapes after ``model.model.``."""
    width, latent, tokens = config["embed_dim"], config["io_channels"], config["cond_token_dim"]
    embedded = width if config.get("project_cond_tokens", True) else tokens
    head = width // config["num_heads"]
    yield "timestep_features.weight", (128, 1)
    for name, entering, inner, bias in (
        ("to_timestep_embed", 256, width, True),
        ("to_cond_embed", tokens, embedded, False),
        ("to_global_embed", config["global_cond_dim"], width, False),
    ):
        for layer, size in (("0", entering), ("2", inner)):
            yield f"{name}.{layer}.weight", (inner, size)
            if bias:
                yield f"{name}.{layer}.bias", (inner,)
    yield from ((f"{name}_conv.weight", (latent, latent, 1)) for name in ("preprocess", "postprocess"))
    yield "transformer.project_in.weight", (width, latent)
    yield "transformer.project_out.weight", (latent, width)
    yield "transformer.rotary_pos_emb.inv_freq", (max(head // 2, 32) // 2,)
    for n in range(config["depth"]):
        layer = f"transformer.layers.{n}."
        for norm in ("pre_norm", "cross_attend_norm", "ff_norm"):
            yield from ((f"{layer}{norm}.{part}", (width,)) for part in ("gamma", "beta"))
        yield f"{layer}self_attn.to_qkv.weight", (3 * width, width)
        yield f"{layer}cross_attn.to_q.weight", (width, width)
        yield f"{layer}cross_attn.to_kv.weight", (2 * embedded, embedded)
        for attention in ("self_attn", "cross_attn"):
            yield f"{layer}{attention}.to_out.weight", (width, width)
            if config.get("attn_kwargs", {}).get("qk_norm") == "ln":
                for norm in ("q_norm", "k_norm"):
                    yield from ((f"{layer}{attention}.{norm}.{part}", (head,)) for part in ("weight", "bias"))
        yield f"{layer}ff.ff.0.proj.weight", (8 * width, width)
        yield f"{layer}ff.ff.0.proj.bias", (8 * width,)
        yield f"{layer}ff.ff.2.weight", (width, 4 * width)
        yield f"{layer}ff.ff.2.bias", (width,)


def autoencoder_shapes(config: dict) -> Shapes:
    """Keys and shapes after ``pretransform.model.``."""

    def convolution(name: str, out: int, entering: int, kernel: int, bias: bool = True, transposed: bool = False) -> Shapes:
        first, second = (entering, out) if transposed else (out, entering)
        yield f"{name}.weight_g", (first, 1, 1)
        yield f"{name}.weight_v", (first, second, kernel)
        if bias:
            yield f"{name}.bias", (out,)

    def snake(name: str, channels: int) -> Shapes:
        yield from ((f"{name}.{part}", (channels,)) for part in ("alpha", "beta"))

    def unit(name: str, channels: int) -> Shapes:
        yield from snake(f"{name}.layers.0", channels)
        yield from convolution(f"{name}.layers.1", channels, channels, 7)
        yield from snake(f"{name}.layers.2", channels)
        yield from convolution(f"{name}.layers.3", channels, channels, 1)

    encoder, decoder = config["encoder"]["config"], config["decoder"]["config"]
    widths = [encoder["channels"] * multiple for multiple in (1, *encoder["c_mults"])]
    count = len(encoder["strides"])
    yield from convolution("encoder.layers.0", widths[0], 2, 7)
    for n, stride in enumerate(encoder["strides"]):
        block = f"encoder.layers.{n + 1}"
        for layer in range(3):
            yield from unit(f"{block}.layers.{layer}", widths[n])
        yield from snake(f"{block}.layers.3", widths[n])
        yield from convolution(f"{block}.layers.4", widths[n + 1], widths[n], 2 * stride)
    yield from snake(f"encoder.layers.{count + 1}", widths[-1])
    yield from convolution(f"encoder.layers.{count + 2}", encoder["latent_dim"], widths[-1], 3)

    widths = [decoder["channels"] * multiple for multiple in (1, *decoder["c_mults"])][::-1]
    yield from convolution("decoder.layers.0", widths[0], decoder["latent_dim"], 7)
    for n, stride in enumerate(reversed(decoder["strides"])):
        block = f"decoder.layers.{n + 1}"
        yield from snake(f"{block}.layers.0", widths[n])
        yield from convolution(f"{block}.layers.1", widths[n + 1], widths[n], 2 * stride, transposed=True)
        for layer in range(2, 5):
            yield from unit(f"{block}.layers.{layer}", widths[n + 1])
    yield from snake(f"decoder.layers.{count + 1}", widths[-1])
    yield from convolution(f"decoder.layers.{count + 2}", 2, widths[-1], 7, bias=False)


def release_shapes(config: dict) -> dict[str, tuple[int, ...]]:
    """All keys of a release's file, and their shapes."""
    model = config["model"]
    shapes = {f"model.model.{key}": shape for key, shape in transformer_shapes(model["diffusion"]["config"])}
    shapes |= {f"pretransform.model.{key}": shape for key, shape in autoencoder_shapes(model["pretransform"]["config"])}
    for name in model["diffusion"]["global_cond_ids"]:
        number = f"conditioner.conditioners.{name}.embedder.embedding."
        width = model["conditioning"]["cond_dim"]
        shapes |= {f"{number}0.weights": (128,), f"{number}1.weight": (width, 257), f"{number}1.bias": (width,)}
    return shapes


def release_weights(config: dict) -> dict[str, torch.Tensor]:
    """Random weights, small enough that nothing runs away."""
    generator = torch.Generator().manual_seed(1)
    weights = {}
    for key, shape in release_shapes(config).items():
        value = torch.randn(shape, generator=generator)
        scale = 1.0 if key.endswith(("timestep_features.weight", "0.weights")) else prod(shape[1:]) ** -0.5
        weights[key] = value * scale if len(shape) > 1 or key.endswith("0.weights") else 0.2 * value
        if key.endswith(("weight_g", "gamma", "_norm.weight")):
            weights[key] = 1 + 0.1 * value
        if key.endswith("norm.beta"):
            weights[key] = torch.zeros(shape)
        if key.endswith("inv_freq"):
            weights[key] = 10000.0 ** -(torch.arange(value.numel()) / value.numel())
    return weights


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
    base = load_stable_audio(release)
    torch.manual_seed(0)
    timbre = read_model_config(bundled_folder())["diffusion"]["timbre"]
    config = {"conditions": FORMS[form], "control": {"blocks": 2}, "timbre": timbre, "window": 43}
    adapter = lively(SpatialAdapter(base, config))
    assert isinstance(adapter, SpatialAdapter)
    save_adapter(folder, adapter)
    return folder


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
