"""Reads the released checkpoint folder: sub-folders unet, vae, text_encoder, tokenizer and scheduler in diffusers' layout.

Only safetensors are read, each tensor straight into its place and precision, so that the peak is the model itself. The folder's
own pipeline class does not exist in diffusers; its parts do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...errors import StereoSyncError
from ...files import read_object
from ...media.output import replacing
from .model import RollingDepthModel

RELEASE = "prs-eth/rollingdepth-v1-0"
LINK = f"https://huggingface.co/{RELEASE}"
LICENCE = "OpenRAIL++-M"
#: In the checkpoint folder, in place of the text encoder and the tokenizer: one tensor ``text`` ``[1, 2, C]``.
EMPTY_PROMPT = "empty_prompt.safetensors"
_WEIGHTS = "diffusion_pytorch_model"
_TEXT_WEIGHTS = "model"
#: What diffusers calls the autoencoder's attention today, and what it was called when Stable Diffusion 2 was released.
_OLD_NAMES = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}


def load_rollingdepth(folder: str | Path, dtype: torch.dtype = torch.float32) -> RollingDepthModel:
    """The networks of a checkpoint folder, on the CPU.

    :param folder: with the sub-folders of the release; files named ``*.fp16.safetensors`` are taken where they alone are there,
        or where ``dtype`` is not single precision.
    :raises StereoSyncError: a part is missing or damaged, or is not a RollingDepth model.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise StereoSyncError(missing(folder))
    try:
        from diffusers import AutoencoderKL, UNet2DConditionModel
    except ImportError as error:
        raise StereoSyncError(
            f"RollingDepth needs the package diffusers, which cannot be imported ({error}); install it: pip install diffusers"
        ) from error
    config = _config(folder, "unet")
    if config.get("in_channels") != 8 or config.get("out_channels") != 4:
        raise StereoSyncError(
            f"RollingDepth model '{folder.name}': its UNet takes {config.get('in_channels')} channels and gives "
            f"{config.get('out_channels')}, but 8 and 4 are expected; this is another Stable Diffusion model. The right one "
            f"is at {LINK}"
        )
    scheduler = _config(folder, "scheduler", "scheduler_config.json")
    text = empty_prompt(folder)
    unet = _network(UNet2DConditionModel, config, folder / "unet", dtype)
    vae = _network(AutoencoderKL, _config(folder, "vae"), folder / "vae", dtype)
    if text.shape[-1] != config["cross_attention_dim"]:
        raise StereoSyncError(
            f"RollingDepth model '{folder.name}': its text encoder is {text.shape[-1]} wide but the UNet expects "
            f"{config['cross_attention_dim']}; parts of different models are mixed. Download all of it from {LINK}"
        )
    return RollingDepthModel(unet, vae, text, scheduler)


def missing(folder: Path, part: str = "") -> str:
    """The message for a model that is absent, or a part of it."""
    what = f"its part '{part}' is missing" if part else "the folder is missing"
    return (
        f"RollingDepth model '{folder.name}': {what}. Download {LINK} (weights under the {LICENCE} licence) into {folder}, "
        "with its sub-folders unet, vae, text_encoder, tokenizer and scheduler."
    )


def empty_prompt(folder: Path) -> torch.Tensor:
    """Hidden states float32 ``[1, 2, C]`` of the empty prompt: saved ones, or from the folder's text encoder.

    A constant of the model. The text encoder is freed again.
    """
    saved = folder / EMPTY_PROMPT
    if saved.is_file():
        text = _tensors(saved).get("text")
        if text is None or text.dim() != 3 or text.shape[:2] != (1, 2):
            raise StereoSyncError(f"RollingDepth: {saved} does not hold one tensor 'text' [1, 2, C]; delete it.")
        return text.float()
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(**_config(folder, "text_encoder"))
    with torch.device("cpu"):
        encoder = CLIPTextModel(config)
    # transformers 5 took away the inner name that older checkpoints begin with.
    inner = "text_model."
    tensors = _tensors(_weights(folder / "text_encoder", _TEXT_WEIGHTS, torch.float32))
    expected = set(encoder.state_dict())
    if not any(name.startswith(inner) for name in expected):
        tensors = {name.removeprefix(inner): tensor for name, tensor in tensors.items()}
    tensors = {name: tensor.float() for name, tensor in tensors.items() if name in expected}
    _check_names(expected, set(tensors), folder / "text_encoder")
    encoder.load_state_dict(tensors)
    with torch.inference_mode():
        states = encoder.eval()(_empty_tokens(folder / "tokenizer")).last_hidden_state
    return states.clone()


def save_empty_prompt(folder: str | Path) -> Path:
    """Write the empty prompt's embedding into the checkpoint folder; afterwards its text encoder is no longer needed."""
    from safetensors.torch import save_file

    path = Path(folder) / EMPTY_PROMPT
    text = empty_prompt(Path(folder))
    with replacing(path) as temporary:
        save_file({"text": text.contiguous()}, temporary)
    return path


def _empty_tokens(folder: Path) -> torch.Tensor:
    """Begin and end token ``[1, 2]``: all that a CLIP tokenizer makes of an empty text without padding."""
    vocabulary, names = _json(folder / "vocab.json", "tokenizer"), _json(folder / "tokenizer_config.json", "tokenizer")
    tokens = []
    for key in ("bos_token", "eos_token"):
        name = names.get(key)
        name = name.get("content") if isinstance(name, dict) else name
        if name not in vocabulary:
            raise StereoSyncError(f"RollingDepth: the tokenizer in {folder} has no {key}; download it again from {LINK}")
        tokens.append(vocabulary[name])
    return torch.tensor([tokens])


def _config(folder: Path, part: str, name: str = "config.json") -> dict[str, Any]:
    return {key: value for key, value in _json(folder / part / name, part).items() if not key.startswith("_")}


def _json(path: Path, part: str) -> dict[str, Any]:
    if not path.exists():
        raise StereoSyncError(missing(path.parent.parent, f"{part}/{path.name}"))
    return read_object(path, "RollingDepth", f"download it again from {LINK}")


def _weights(folder: Path, stem: str, dtype: torch.dtype) -> Path:
    """The part's file: half precision where that is wanted or all there is."""
    full, half = folder / f"{stem}.safetensors", folder / f"{stem}.fp16.safetensors"
    for path in (full, half) if dtype == torch.float32 else (half, full):
        if path.is_file():
            return path
    raise StereoSyncError(missing(folder.parent, f"{folder.name}/{full.name}"))


def _network(kind: Any, config: dict[str, Any], folder: Path, dtype: torch.dtype) -> Any:
    """A diffusers network with its weights, each converted as it is read, whatever precision the file has."""
    try:
        with torch.device("meta"):
            network: nn.Module = kind.from_config(config)
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise StereoSyncError(f"RollingDepth: {folder / 'config.json'} describes no network ({error}).") from error
    tensors = _tensors(_weights(folder, _WEIGHTS, dtype), dtype)
    tensors = {_new_name(name): tensor for name, tensor in tensors.items()}
    expected = network.state_dict()
    _check_names(set(expected), set(tensors), folder)
    for name, tensor in tensors.items():
        if expected[name].shape != tensor.shape:
            raise StereoSyncError(
                f"RollingDepth: {name} in {folder} is {list(tensor.shape)}, but its config.json has "
                f"{list(expected[name].shape)}; config and weights are of different models. Download both from {LINK}"
            )
    network.load_state_dict(tensors, assign=True)
    return network


def _new_name(name: str) -> str:
    for old, new in _OLD_NAMES.items():
        name = name.replace(old, new)
    return name


def _check_names(expected: set[str], found: set[str], folder: Path) -> None:
    if expected != found:
        lacking, surplus = sorted(expected - found), sorted(found - expected)
        raise StereoSyncError(
            f"RollingDepth: the weights in {folder} do not fit its config.json: {len(lacking)} tensors are missing "
            f"{lacking[:2]}, {len(surplus)} are too many {surplus[:2]}. Download the folder again from {LINK}"
        )


def _tensors(path: Path, dtype: torch.dtype | None = None) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            # Where nothing has to be converted, the weights stay in the mapped file and are read as they are used.
            return {name: file.get_tensor(name).to(dtype) if dtype else file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise StereoSyncError(f"RollingDepth: {path} cannot be read ({error}); download it again from {LINK}") from error
