"""A model is a folder: ``config.json`` with a section for each part, and ``PART.safetensors`` with its weights."""

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..checkpoints import check_numbers
from ..errors import StereoSyncError, explained
from ..files import read_object
from ..media.output import replacing

CONFIG = "config.json"
#: Ending of the names of the scales of weights in eight bits; and values from which on a matrix is large.
_SCALE, _LARGE = ".scale_of_rows", 4096


def read_model_config(folder: Path) -> dict[str, Any]:
    """The folder's ``config.json``. Raises StereoSyncError when the folder or the file is missing, or it is no JSON object."""
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise StereoSyncError(f"Model: '{folder}' has no {CONFIG}; give a folder that holds a StereoSync model.")
    config = read_object(path, "Model", "copy the model's folder again")
    check_numbers(config, f"Model '{folder}'")
    return config


def read_weights(folder: Path, part: str) -> dict[str, Tensor]:
    """Tensors of a part in single precision. Raises StereoSyncError when the file is missing, cut short, or no safetensors
    file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path, again = Path(folder) / f"{part}.safetensors", "copy the model's folder again."
    if not path.is_file():
        raise StereoSyncError(f"Model: '{path}' is missing; {again}")
    message = f"Model: '{path}' is damaged or no safetensors file ({{error}}); {again}"
    with explained(message, SafetensorError, OSError, ValueError):
        weights = load_file(path)
    scales = {key.removesuffix(_SCALE): weights.pop(key) for key in list(weights) if key.endswith(_SCALE)}
    for key, scale in scales.items():
        matrix = weights.get(key)
        if matrix is None or matrix.dim() < 2 or scale.shape != (len(matrix), *[1] * (matrix.dim() - 1)):
            raise StereoSyncError(f"Model: '{path}' holds '{key}' without a scale for each of its rows; {again}")
    return {key: value.float() * scales[key].float() if key in scales else value.float() for key, value in weights.items()}


def in_eight_bits(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as a part's file may hold them: large matrices as whole numbers of eight bits and a scale for each row, the rest
    in half precision."""
    stored: dict[str, Tensor] = {}
    for key, value in weights.items():
        if not key.endswith(".weight") or value.dim() < 2 or value.numel() < _LARGE:
            stored[key] = value.half()
            continue
        scale = value.float().abs().amax(tuple(range(1, value.dim())), keepdim=True).clamp(min=1e-8) / 127
        stored[key] = (value.float() / scale).round().to(torch.int8)
        stored[key + _SCALE] = scale
    return stored


def load_into(
    network: torch.nn.Module, weights: Mapping[str, Tensor], folder: Path, part: str, own: Mapping[str, Tensor] | None = None
) -> None:
    """Fill a network with a part's weights, every one of them.

    :param own: those of the network's tensors that the file holds; all of them when left out.
    :raises StereoSyncError: as :func:`check_fit`, or for weights that are not finite.
    """
    check_fit(network.state_dict() if own is None else own, weights, folder, part)
    if not all(torch.isfinite(value).all() for value in weights.values() if value.is_floating_point()):
        raise StereoSyncError(f"Model: '{Path(folder) / part}.safetensors' holds NaN or infinite weights; copy it again.")
    network.load_state_dict(dict(weights), strict=False)  # looked at above, key by key


def check_fit(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], folder: Path, part: str) -> None:
    """Raise StereoSyncError where a part's weights are not those of a network whose tensors are ``own``; it names the first few
    that are missing, too many, or of another shape."""
    path = f"{Path(folder) / part}.safetensors"
    shapes = [key for key in own.keys() & weights.keys() if own[key].shape != weights[key].shape]
    if wrong := mismatch(own.keys() - weights.keys(), weights.keys() - own.keys(), shapes):
        raise StereoSyncError(
            f"Model: '{path}' does not fit its config.json ({wrong}); it is of another model, or one of the two was changed."
        )


def mismatch(missing: Collection[str], extra: Collection[str], shapes: Collection[str]) -> str:
    """What is wrong with a file's keys, in words, the first three of each kind; empty when nothing is."""
    kinds = (("lacks", missing), ("has also", extra), ("of another shape:", shapes))
    return "; ".join(f"{word} {', '.join(sorted(keys)[:3])}{' ...' if len(keys) > 3 else ''}" for word, keys in kinds if keys)


def save_part(folder: Path, part: str, config: dict[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Write a part in half precision, and its section into the folder's ``config.json``."""
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / f"{part}.safetensors") as temporary:
        save_file({key: value.detach().cpu().half().contiguous() for key, value in weights.items()}, temporary)
    write_section(folder, part, config)


def inherit_parts(folder: Path, base: Path) -> None:
    """Let a model take the parts that it lacks from another model's folder. Raises StereoSyncError when that is no model's
    folder."""
    read_model_config(base)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_section(folder, "base", os.path.relpath(base, folder).replace(os.sep, "/"))


def write_section(folder: Path, key: str, value: Any) -> None:
    """Set an entry of the folder's ``config.json``, which is made where there is none."""
    whole = read_model_config(folder) if (folder / CONFIG).is_file() else {}
    whole[key] = value
    with replacing(folder / CONFIG) as temporary:
        temporary.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
