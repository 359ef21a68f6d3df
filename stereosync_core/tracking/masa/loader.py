"""Reads MASA's weights: safetensors, or once the released pickle, which is then kept as safetensors beside it.

The release is a raw training checkpoint: next to the weights it holds the optimizer's state and logs, in classes of packages
that are not needed here; :mod:`..pickles` reads it as data.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ...errors import StereoSyncError, explained
from ...media.output import replacing
from ...pickles import read_checkpoint
from .model import Masa

logger = logging.getLogger("StereoSync")
#: The parts of the checkpoint that tracking needs, 48 of its 64 million parameters; the rest proposes boxes of its own.
PARTS = ("backbone.", "masa_adapter.", "track_head.")
RELEASE = "masa_r50.pth from the model repository dereksiyuanli/masa"


def load_masa(path: str | Path) -> Masa:
    """The network on the CPU in single precision.

    :param path: ``masa_r50.pth`` as released, or a safetensors file with the same names. A pickle is converted once, to a
        safetensors file of the same name beside it, where the folder can be written to; after that it may be deleted.
    :raises StereoSyncError: missing file, no checkpoint, another MASA variant, a pickle that holds more than data.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path, kept = Path(path), Path(path).with_suffix(".safetensors")
    if not path.is_file() and not kept.is_file():
        raise StereoSyncError(f"MASA weights: there is no file {path.name}; put {RELEASE} into the model folder 'masa'.")
    if path.is_file() and (not kept.is_file() or kept.stat().st_mtime < path.stat().st_mtime):
        weights = select(read_checkpoint(path, "MASA weights"), path.name)
        model = build_masa(weights, path.name)
        _keep(weights, kept)
        return model
    message = f"MASA weights: {kept.name} cannot be read ({{error}}); fetch {RELEASE} again."
    with explained(message, SafetensorError, OSError):
        weights = load_file(kept)
    return build_masa(weights, kept.name)


def select(weights: Any, name: str) -> dict[str, torch.Tensor]:
    """What tracking needs of a checkpoint, under its plain names."""
    if isinstance(weights, Mapping) and isinstance(weights.get("state_dict"), Mapping):
        weights = weights["state_dict"]
    if not isinstance(weights, Mapping):
        raise StereoSyncError(f"MASA weights: {name} holds no table of weights; fetch {RELEASE}.")
    chosen = {}
    for key, value in weights.items():
        key = str(key).removeprefix("module.")
        if key.startswith(PARTS):
            if not isinstance(value, torch.Tensor) or value.layout != torch.strided or value.device.type == "meta":
                raise StereoSyncError(f"MASA weights: {key} in {name} is no tensor; fetch {RELEASE} again.")
            chosen[key] = value
    return chosen


def build_masa(weights: Mapping, name: str = "the file") -> Masa:
    """The network with these tensors by the checkpoint's names; every one has to be there in the right shape."""
    weights = select(weights, name)
    with torch.device("meta"):
        model = Masa()
    expected = model.state_dict()
    # Counters of training steps; some tools leave them out, and nothing reads them.
    missing = [key for key in expected if key not in weights and not key.endswith("num_batches_tracked")]
    wrong = [key for key, value in weights.items() if key not in expected or value.shape != expected[key].shape]
    if missing or wrong:
        example = f"{missing[0]} is missing" if missing else f"{wrong[0]} has another name or shape"
        raise StereoSyncError(
            f"MASA weights: {name} does not hold the ResNet-50 variant ({len(missing)} weights are missing, {len(wrong)} do "
            f"not fit; {example}). Choose {RELEASE}; its other variants bring detectors of their own and cannot be used here."
        )
    # Copied, so that nothing stays mapped to a file that may be deleted.
    model.to_empty(device="cpu").load_state_dict(weights, strict=False)
    fold_batch_norms(model.eval().requires_grad_(False))
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def fold_batch_norms(model: nn.Module) -> None:
    """Multiplies batch norms into the convolutions before them, which at rest are the same and save a pass over the map."""
    for module in list(model.modules()):
        children = dict(module.named_children())
        for name, child in children.items():
            before = "0" if name == "1" else name.replace("bn", "conv")
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, before, fuse_conv_bn_eval(children[before], child))
                setattr(module, name, nn.Identity())


def _keep(weights: dict[str, torch.Tensor], path: Path) -> None:
    """Write the weights as safetensors; a folder that cannot be written to only costs the time to read the pickle again."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        with replacing(path) as temporary:
            whole = {key: value.clone(memory_format=torch.contiguous_format) for key, value in weights.items()}
            save_file(whole, temporary, {"format": "pt"})
    except (StereoSyncError, SafetensorError) as error:
        logger.warning("MASA weights: %s was not kept, so the release is read again next time. %s", path.name, error)
