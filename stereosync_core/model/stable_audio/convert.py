"""From a training checkpoint of stable-audio-tools, a pickle, to a release's folder: how models that others trained over Stable
Audio Open are published (BEWO, arXiv 2410.10676, among them)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from ...errors import StereoSyncError, explained
from ...files import read_object
from ...media.output import replacing
from ...pickles import read_checkpoint
from .release import AUTOENCODER, BACKBONE, CONFIG, NUMBERS, WEIGHTS

#: What a trainer puts before the model's own names, and before those of the mean over training that takes its weights' place.
_TRAINER, _MEAN = "diffusion.", "diffusion_ema.ema_model."


def convert_checkpoint(path: Path, config: Path, folder: Path) -> Path:
    """Write ``model.safetensors`` and ``model_config.json`` of a checkpoint into a new folder, which our loader and a host's
    take.

    :param path: ``.ckpt`` in torch's zip form; it is read as data, nothing of it is run.
    :param config: its ``model_config.json``.
    :raises StereoSyncError: for no such checkpoint, one that would run something, weights of another family, a config that
        cannot be read, and a folder that holds a model already.
    """
    if (folder / WEIGHTS).exists():
        raise StereoSyncError(f"Convert: '{folder}' holds a {WEIGHTS} already; name another folder.")
    described = read_object(config, "Convert", "give the model_config.json that the checkpoint was trained with")
    held = read_checkpoint(path, "Convert")
    weights = weights_of(held.get("state_dict", held) if isinstance(held, Mapping) else {})
    if not any(key.startswith(BACKBONE) for key in weights) or not any(key.startswith(AUTOENCODER) for key in weights):
        raise StereoSyncError(
            f"Convert: {path.name} holds no Stable Audio model (no '{BACKBONE}' and '{AUTOENCODER}' among its weights); give a "
            "checkpoint of stable-audio-tools."
        )
    with explained(f"Convert: '{folder}' cannot be written ({{error}}).", OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / WEIGHTS) as temporary:
            save_file(weights, temporary)
        with replacing(folder / CONFIG) as temporary:
            temporary.write_text(json.dumps(described, indent=1), encoding="utf-8")
    return folder


def weights_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint's weights by a release's names: a trainer's prefix is taken off, and the mean over training, where there is
    one, goes before the last step's."""
    plain = {str(key).removeprefix(_TRAINER): value for key, value in state.items() if not str(key).startswith(_MEAN)}
    mean = {f"model.{str(key)[len(_MEAN) :]}": value for key, value in state.items() if str(key).startswith(_MEAN)}
    chosen = {**plain, **{key: value for key, value in mean.items() if key in plain}}
    own = (BACKBONE, AUTOENCODER, NUMBERS)
    return {key: _alone(value) for key, value in chosen.items() if key.startswith(own) and isinstance(value, Tensor)}


def _alone(value: Tensor) -> Tensor:
    """Without what else its memory holds."""
    return torch.empty_like(value, memory_format=torch.contiguous_format).copy_(value.detach())
