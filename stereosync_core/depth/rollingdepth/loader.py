"""Reads the released checkpoint folder: sub-folders unet, vae, text_encoder, tokenizer and scheduler in diffusers' layout. Only
safetensors are read, each tensor straight into its place and precision, so that the peak is the model itself."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...checkpoints import MISFITS, check_numbers, no_larger_than
from ...errors import StereoSyncError, explained
from ...files import read_object
from ...media.output import replacing
from .model import RollingDepthModel

RELEASE = "prs-eth/rollingdepth-v1-0"
LINK = f"https://huggingface.co/{RELEASE}"
LICENCE = "OpenRAIL++-M"
#: In the checkpoint folder, in place of the text encoder and the tokenizer: one tensor ``text`` ``[1, 2, C]``.
EMPTY_PROMPT = "empty_prompt.safetensors"
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
        raise _missing(folder, "the folder")
    message = "RollingDepth needs the package diffusers, which cannot be imported ({error}); install it: pip install diffusers"
    with explained(message, ImportError):
        from diffusers import AutoencoderKL, UNet2DConditionModel
    config = _read(folder / "unet" / "config.json")
    taken, given = config.get("in_channels"), config.get("out_channels")
    if (taken, given) != (8, 4):
        raise StereoSyncError(
            f"RollingDepth model '{folder.name}': its UNet takes {taken} channels and gives {given}, but 8 and 4 are expected; "
            f"this is another Stable Diffusion model. The right one is at {LINK}"
        )
    scheduler, text = _read(folder / "scheduler" / "scheduler_config.json"), empty_prompt(folder)
    unet = _network(UNet2DConditionModel, config, folder / "unet", dtype)
    vae = _network(AutoencoderKL, _read(folder / "vae" / "config.json"), folder / "vae", dtype)
    if text.shape[-1] != config["cross_attention_dim"]:
        raise StereoSyncError(
            f"RollingDepth model '{folder.name}': its text encoder is {text.shape[-1]} wide but the UNet expects "
            f"{config['cross_attention_dim']}; parts of different models are mixed. Download all of it from {LINK}"
        )
    return RollingDepthModel(unet, vae, text, scheduler)


def _missing(folder: Path, what: str) -> StereoSyncError:
    return StereoSyncError(
        f"RollingDepth model '{folder.name}': {what} is missing. Download {LINK} (weights under the {LICENCE} licence) into "
        f"{folder}, with its sub-folders unet, vae, text_encoder, tokenizer and scheduler."
    )


def empty_prompt(folder: Path) -> torch.Tensor:
    """Hidden states float32 ``[1, 2, C]`` of the empty prompt, a constant of the model: saved ones, or from the folder's text
    encoder, which is freed again."""
    saved = folder / EMPTY_PROMPT
    if saved.is_file():
        text = _tensors(saved, torch.float32).get("text")
        if text is None or text.dim() != 3 or text.shape[:2] != (1, 2):
            raise StereoSyncError(f"RollingDepth: {saved} does not hold one tensor 'text' [1, 2, C]; delete it.")
        return text
    from transformers import CLIPTextConfig, CLIPTextModel

    part, name = folder / "text_encoder", f"RollingDepth '{folder / 'text_encoder'}'"
    config = _read(part / "config.json")
    check_numbers(config, name)
    tensors, message = (
        _tensors(_weights(part, "model", torch.float32), torch.float32),
        f"{name} is no text encoder ({{error}}).",
    )
    shapes = (tensor.shape for tensor in tensors.values())
    with explained(message, *MISFITS), no_larger_than(shapes, name), torch.device("cpu"):
        encoder = CLIPTextModel(CLIPTextConfig(**config)).eval()
    # transformers 5 took away the inner name that older checkpoints begin with.
    inner, expected = "text_model.", encoder.state_dict()
    if not any(name.startswith(inner) for name in expected):
        tensors = {name.removeprefix(inner): tensor for name, tensor in tensors.items()}
    _fill(encoder, {name: tensor for name, tensor in tensors.items() if name in expected}, part)
    with torch.inference_mode():
        return encoder(_empty_tokens(folder / "tokenizer")).last_hidden_state.clone()


def save_empty_prompt(folder: str | Path) -> Path:
    """Write the empty prompt's embedding into the checkpoint folder; afterwards its text encoder is no longer needed."""
    from safetensors.torch import save_file

    path, text = Path(folder) / EMPTY_PROMPT, empty_prompt(Path(folder))
    with replacing(path) as temporary:
        save_file({"text": text.contiguous()}, temporary)
    return path


def _empty_tokens(folder: Path) -> torch.Tensor:
    """Begin and end token ``[1, 2]``: all that a CLIP tokenizer makes of an empty text without padding."""
    vocabulary, names = _read(folder / "vocab.json"), _read(folder / "tokenizer_config.json")
    tokens = []
    for key in ("bos_token", "eos_token"):
        name = names.get(key)
        name = name.get("content") if isinstance(name, dict) else name
        if name not in vocabulary:
            raise StereoSyncError(f"RollingDepth: the tokenizer in {folder} has no {key}; download it again from {LINK}")
        tokens.append(vocabulary[name])
    return torch.tensor([tokens])


def _read(path: Path) -> dict[str, Any]:
    """The JSON object of a part, without what diffusers notes for itself under names that begin with _."""
    if not path.exists():
        raise _missing(path.parents[1], f"its part '{path.parent.name}/{path.name}'")
    content = read_object(path, "RollingDepth", f"download it again from {LINK}")
    return {key: value for key, value in content.items() if not key.startswith("_")}


def _weights(folder: Path, stem: str, dtype: torch.dtype) -> Path:
    full, half = folder / f"{stem}.safetensors", folder / f"{stem}.fp16.safetensors"
    for path in (full, half) if dtype == torch.float32 else (half, full):
        if path.is_file():
            return path
    raise _missing(folder.parent, f"its part '{folder.name}/{full.name}'")


def _network(kind: Any, config: dict[str, Any], folder: Path, dtype: torch.dtype) -> Any:
    """A diffusers network with its weights, each converted as it is read, whatever precision the file has."""
    message = f"RollingDepth: {folder / 'config.json'} describes no network ({{error}})."
    tensors = {}
    for name, tensor in _tensors(_weights(folder, "diffusion_pytorch_model", dtype), dtype).items():
        for old, new in _OLD_NAMES.items():
            name = name.replace(old, new)
        tensors[name] = tensor
    where, shapes = f"RollingDepth '{folder}'", (tensor.shape for tensor in tensors.values())
    check_numbers(config, where)
    with explained(message, *MISFITS), no_larger_than(shapes, where), torch.device("meta"):
        network: nn.Module = kind.from_config(config)
    _fill(network, tensors, folder)
    return network


def _fill(network: nn.Module, tensors: dict[str, torch.Tensor], folder: Path) -> None:
    try:
        network.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        first, *more = str(error).splitlines()[1:]
        raise StereoSyncError(
            f"RollingDepth: config and weights in {folder} are of different models ({first.strip()[:200]}; {len(more)} more). "
            f"Download both from {LINK}"
        ) from error


def _tensors(path: Path, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError, safe_open

    message = f"RollingDepth: {path} cannot be read ({{error}}); download it again from {LINK}"
    with explained(message, SafetensorError, OSError), safe_open(path, framework="pt") as file:
        # Where nothing has to be converted, the weights stay in the mapped file and are read as they are used.
        return {name: file.get_tensor(name).to(dtype) for name in file.keys()}  # noqa: SIM118
