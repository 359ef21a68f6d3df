"""Reads MASA's weights: safetensors, or once the released pickle, which is then kept as safetensors beside it.

The release is a raw training checkpoint: next to the weights it holds the optimizer's state and logs, in classes of packages
that are not needed here, and a pickle is a small program that names functions and has them called. It is read as data: torch's
``weights_only`` reader makes tensors and containers alone; every other name it is given as a class that does nothing, and a
name in Python's own library, which no checkpoint needs and every attack does, ends the reading before it begins.
"""

import logging
import pickletools
import sys
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.serialization import safe_globals

from ...errors import StereoSyncError, explained
from ...media.output import replacing
from .model import Masa

logger = logging.getLogger("StereoSync")
#: The parts of the checkpoint that tracking needs, 48 of its 64 million parameters; the rest proposes boxes of its own.
PARTS = ("backbone.", "masa_adapter.", "track_head.")
RELEASE = "masa_r50.pth from the model repository dereksiyuanli/masa"
#: Of Python's library, what checkpoints do name: containers, and how objects of classes are put together. What torch does not
#: make itself of these does nothing here. getattr: logs of mmengine name the methods of their own class by it.
HARMLESS = {
    "builtins": "set frozenset list dict tuple int float bool str bytes bytearray complex slice range object getattr",
    "collections": "OrderedDict defaultdict deque Counter",
    "copyreg": "_reconstructor",
    "_codecs": "encode",
    "datetime": "datetime date timedelta timezone",
    "pathlib": "Path PosixPath WindowsPath PurePath PurePosixPath PureWindowsPath",
    "argparse": "Namespace",
    "functools": "partial",
}


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
        weights = select(read_checkpoint(path), path.name)
        model = build_masa(weights, path.name)
        _keep(weights, kept)
        return model
    message = f"MASA weights: {kept.name} cannot be read ({{error}}); fetch {RELEASE} again."
    with explained(message, SafetensorError, OSError):
        weights = load_file(kept)
    return build_masa(weights, kept.name)


class Inert:
    """Stands for an object of any class: takes everything, does nothing."""

    def __new__(cls, *_: Any, **__: Any):
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def read_checkpoint(path: Path) -> Any:
    """What a checkpoint in torch's zip form holds; tensors are mapped from the file, and read when they are used. Raises
    StereoSyncError for no such checkpoint, damaged, or one that names a function of Python's library."""
    try:
        with zipfile.ZipFile(path) as archive:
            program = next(name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl"))
            names = globals_of(archive.read(program))
        for module, name in sorted(names):
            if module.split(".")[0] in sys.stdlib_module_names and name not in HARMLESS.get(module, "").split():
                raise StereoSyncError(
                    f"MASA weights: {path.name} would run {module}.{name}, which weights never need: the file has been "
                    "tampered with. Nothing of it was run. Delete it and fetch it from its official place."
                )
        with safe_globals([type(name, (Inert,), {"__module__": module, "__qualname__": name}) for module, name in names]):
            return torch.load(str(path), map_location="cpu", weights_only=True, mmap=True)
    except StereoSyncError:
        raise
    except (zipfile.BadZipFile, StopIteration) as error:
        raise StereoSyncError(
            f"MASA weights: {path.name} is no checkpoint in torch's zip form, or is cut short; fetch it again. It was not run."
        ) from error
    except Exception as error:  # whatever a damaged pickle makes the readers stumble over
        raise StereoSyncError(
            f"MASA weights: {path.name} is damaged ({str(error).splitlines()[0]}); fetch it again."
        ) from error


def globals_of(program: bytes) -> set[tuple[str, str]]:
    """Module and name of every class and function that a pickle names."""
    found, strings = set(), []
    for operation, argument, _ in pickletools.genops(program):
        if operation.name == "GLOBAL":
            module, name = str(argument).split(" ", 1)
            # Old protocols write names as Python 2 had them.
            module, name = NAME_MAPPING.get((module, name), (module, name))
            found.add((IMPORT_MAPPING.get(module, module), name))
        elif operation.name == "STACK_GLOBAL":
            found.add(tuple(strings[-2:]))
        elif isinstance(argument, str):
            strings.append(argument)
    return found


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
