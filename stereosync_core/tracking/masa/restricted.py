"""Reads the zip form of a torch checkpoint as data: nothing that a pickle names is imported or called.

A pickle is a small program that names classes and functions and has them called. Here tensors and tables become what they are;
every other class becomes an object that does nothing; and a function of Python's own library, which no checkpoint needs and
every attack does, ends the reading.
"""

from __future__ import annotations

import io
import pickle
import sys
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...errors import StereoSyncError

STORAGES = {
    f"{name}Storage": dtype
    for name, dtype in {
        "Float": torch.float32,
        "Double": torch.float64,
        "Half": torch.float16,
        "BFloat16": torch.bfloat16,
        "Long": torch.int64,
        "Int": torch.int32,
        "Short": torch.int16,
        "Char": torch.int8,
        "Byte": torch.uint8,
        "Bool": torch.bool,
    }.items()
}
#: Of Python's library, what checkpoints do name: containers, and how objects of classes are put together. All but the
#: containers do nothing here. getattr: logs of mmengine name the methods of their own class by it.
HARMLESS = {
    "builtins": {"set", "frozenset", "list", "dict", "tuple", "int", "float", "bool", "str", "bytes", "bytearray", "complex"}
    | {"slice", "range", "object", "getattr"},
    "collections": {"OrderedDict", "defaultdict", "deque", "Counter"},
    "copyreg": {"_reconstructor"},
    "_codecs": {"encode"},
    "datetime": {"datetime", "date", "timedelta", "timezone"},
    "pathlib": {"Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath"},
    "argparse": {"Namespace"},
    "functools": {"partial"},
}


@dataclass(frozen=True)
class Storage:
    """Values that lie in the archive."""

    archive: Path
    member: str
    dtype: torch.dtype
    swapped: bool

    def read(self) -> torch.Tensor:
        with zipfile.ZipFile(self.archive) as archive:
            data = bytearray(archive.read(self.member))
        if self.swapped:
            width = self.dtype.itemsize
            data = b"".join(data[at : at + width][::-1] for at in range(0, len(data), width))
            data = bytearray(data)
        return torch.frombuffer(data, dtype=self.dtype) if data else torch.empty(0, dtype=self.dtype)


@dataclass(frozen=True)
class Stored:
    """A tensor that has not been read yet."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def read(self) -> torch.Tensor:
        """The tensor, with memory of its own."""
        return self.storage.read().as_strided(self.size, self.stride, self.offset).clone(memory_format=torch.contiguous_format)


class Inert:
    """Stands for an object of any class: takes everything, does nothing."""

    def __init__(self, *_: Any, **__: Any):
        pass

    def __new__(cls, *_: Any, **__: Any):
        return super().__new__(cls)

    def _nothing(self, *_: Any) -> None:
        pass

    __setstate__ = __setitem__ = append = extend = add = _nothing


def _tensor(storage: Storage, offset: int, size: tuple, stride: tuple, *_: Any) -> Stored:
    return Stored(storage, offset, tuple(size), tuple(stride))


def _parameter(data: Any, *_: Any) -> Any:
    return data


class Reader(pickle.Unpickler):
    """Unpickles ``data.pkl`` of an archive."""

    def __init__(self, data: bytes, archive: Path, root: str, swapped: bool):
        super().__init__(io.BytesIO(data))
        self._archive, self._root, self._swapped = archive, root, swapped

    def find_class(self, module_name: str, global_name: str) -> Any:
        # Old protocols write names as Python 2 had them.
        module, global_name = NAME_MAPPING.get((module_name, global_name), (module_name, global_name))
        module = IMPORT_MAPPING.get(module, module)
        package = module.split(".")[0]
        if (module, global_name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and global_name in STORAGES:
            return STORAGES[global_name]
        if module == "torch._utils" and global_name == "_rebuild_tensor_v2":
            return _tensor
        if module == "torch._utils" and global_name in ("_rebuild_parameter", "_rebuild_parameter_with_state"):
            return _parameter
        if package in sys.stdlib_module_names and global_name not in HARMLESS.get(module, ()):
            raise StereoSyncError(
                f"MASA weights: {self._archive.name} asks to run {module}.{global_name}, which weights never need: the file "
                "has been tampered with. Nothing of it was run. Delete it and fetch it from its official place."
            )
        return type(global_name.split(".")[-1], (Inert,), {})

    def persistent_load(self, pid: Any) -> Storage:
        kind, dtype, key, *_ = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError(f"a reference to {kind} {dtype}")
        return Storage(self._archive, f"{self._root}/data/{key}", dtype, self._swapped)


def read_pickle(path: Path) -> Any:
    """What a checkpoint holds, with a :class:`Stored` for every tensor.

    :raises StereoSyncError: no such checkpoint, damaged, or one that asks for a function of Python's library.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            member = next(name for name in names if name.count("/") == 1 and name.endswith("/data.pkl"))
            root = member.split("/")[0]
            order = archive.read(f"{root}/byteorder").decode() if f"{root}/byteorder" in names else "little"
            return Reader(archive.read(member), path, root, order != sys.byteorder).load()
    except StereoSyncError:
        raise
    except (zipfile.BadZipFile, StopIteration) as error:
        raise StereoSyncError(
            f"MASA weights: {path.name} is no checkpoint in torch's zip form, or is cut short; fetch it again. It was not run."
        ) from error
    except Exception as error:
        # Whatever a damaged pickle makes the reader stumble over.
        raise StereoSyncError(f"MASA weights: {path.name} is damaged ({error}); fetch it again.") from error
