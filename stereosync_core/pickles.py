"""Training checkpoints as they are published: pickles, read as data.

A pickle is a small program that names functions and has them called. torch's ``weights_only`` reader makes tensors and
containers alone; every other name it is given as a class that does nothing, and a name in Python's own library, which no
checkpoint needs and every attack does, ends the reading before it begins.
"""

import pickletools
import sys
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from pathlib import Path
from typing import Any

import torch
from torch.serialization import safe_globals

from .errors import StereoSyncError

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


class Inert:
    """Stands for an object of any class: takes everything, does nothing."""

    def __new__(cls, *_: Any, **__: Any):
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def read_checkpoint(path: Path, what: str = "Checkpoint") -> Any:
    """What a checkpoint in torch's zip form holds; tensors are mapped from the file, and read when they are used. Raises
    StereoSyncError, which begins with ``what`` it is, for no such checkpoint, damaged, or one that names a function of Python's
    library."""
    try:
        with zipfile.ZipFile(path) as archive:
            program = next(name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl"))
            names = globals_of(archive.read(program))
        for module, name in sorted(names):
            if module.split(".")[0] in sys.stdlib_module_names and name not in HARMLESS.get(module, "").split():
                raise StereoSyncError(
                    f"{what}: {path.name} would run {module}.{name}, which weights never need: the file has been "
                    "tampered with. Nothing of it was run. Delete it and fetch it from its official place."
                )
        with safe_globals([type(name, (Inert,), {"__module__": module, "__qualname__": name}) for module, name in names]):
            return torch.load(str(path), map_location="cpu", weights_only=True, mmap=True)
    except StereoSyncError:
        raise
    except (zipfile.BadZipFile, StopIteration) as error:
        raise StereoSyncError(
            f"{what}: {path.name} is no checkpoint in torch's zip form, or is cut short; fetch it again. It was not run."
        ) from error
    except Exception as error:  # whatever a damaged pickle makes the readers stumble over
        raise StereoSyncError(f"{what}: {path.name} is damaged ({str(error).splitlines()[0]}); fetch it again.") from error


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
