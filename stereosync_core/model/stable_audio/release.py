"""What people have of Stable Audio Open on disk: the release's folder, or the one file that ComfyUI's users keep. Opening looks
at the first bytes and at the header alone; :mod:`.weights` reads the tensors."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import StereoSyncError
from ...files import read_object
from .config import StableAudioConfig, recognise, understood

WEIGHTS, CONFIG = "model.safetensors", "model_config.json"
#: Beginnings of the keys that belong to the model.
BACKBONE, AUTOENCODER, NUMBERS = "model.model.", "pretransform.model.", "conditioner.conditioners."
#: Beginnings of the keys of text encoders that some files carry along; they are not read.
_TEXT = ("conditioner.conditioners.prompt.", "text_encoders.", "cond_stage_model.")
_PICKLES = {".ckpt", ".pt", ".pth", ".bin", ".pkl"}
_HALF_LOADED = {".part", ".partial", ".crdownload", ".download", ".incomplete", ".aria2", ".tmp"}
_FLOATS = {"F64", "F32", "F16", "BF16"}
_GIVE = "give the release's own file, or one in float16, bfloat16 or float32"
#: Larger headers are refused by the format's own readers.
_LARGEST_HEADER = 100_000_000


@dataclass(frozen=True)
class Entry:
    """A tensor in the file: ``shape``, and first byte and end after the header."""

    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start


@dataclass(frozen=True)
class Release:
    """A file of weights that looks right from outside, and what its networks are.

    :ivar entries: by the file's keys, text encoder left out.
    """

    path: Path
    config: StableAudioConfig
    entries: dict[str, Entry]

    @property
    def name(self) -> str:
        """For messages and menus."""
        return self.path.parent.name if self.path.name == WEIGHTS else self.path.stem


def open_release(path: Path, config: Mapping[str, Any] | None = None) -> Release:
    """A release's folder, or one file of its weights.

    :param path: a folder with ``model_config.json`` and ``model.safetensors``, or a ``.safetensors`` file with the same keys;
        next to a file ``NAME.safetensors`` of another size than the releases', its config, ``NAME_config.json``.
    :param config: of a file whose size is neither 1.0's nor Small's, in the form of ``model_config.json``.
    :raises StereoSyncError: names the file and what to do: nothing there, pickle, GGUF, eight-bit weights, half a download,
        another family of models.
    """
    path = config_path = Path(path)
    own = path / CONFIG if path.is_dir() else path.with_name(f"{path.stem}_config.json")
    if config is None and own.is_file():
        config_path, config = own, read_object(own, "Stable Audio", "download it again")
    if path.is_dir():
        get = "download it from the release's page into that folder"
        if config is None:
            raise _refused(path, f"has no {CONFIG}; {get}, or give the .safetensors file itself")
        if not (path / WEIGHTS).is_file():
            pickle = next((each for each in sorted(path.iterdir()) if each.suffix in _PICKLES), None)
            raise _refused(path, f"has no {WEIGHTS}; {get}") if pickle is None else _pickled(pickle)
        path = path / WEIGHTS
    entries = _entries(path)
    if config is None:
        config = recognise({key: entry.shape for key, entry in entries.items()}, path)
    return Release(path, understood(config, config_path), entries)


def _entries(path: Path) -> dict[str, Entry]:
    header, data = _header(path)
    eight = sorted({kind for about in header.values() if (kind := str(about.get("dtype"))).startswith("F8")})
    if eight:
        raise _refused(path, f"holds eight-bit weights ({', '.join(eight)}), which are not supported; {_GIVE}")
    own = {key: about for key, about in header.items() if not key.startswith(_TEXT)}
    for key, about in own.items():
        if about.get("dtype") not in _FLOATS:
            kind = f"'{key}' is {about.get('dtype')}"
            raise _refused(path, f"holds quantised weights ({kind}), which are not supported; {_GIVE}")
    if not all(any(key.startswith(prefix) for key in own) for prefix in (BACKBONE, AUTOENCODER, NUMBERS)):
        begin = ", ".join(sorted({".".join(key.split(".")[:2]) for key in own})[:3]) or "nothing"
        raise _refused(
            path,
            f"is no whole model of Stable Audio Open (it holds {begin}); it must hold {BACKBONE}*, {AUTOENCODER}* and "
            f"{NUMBERS}*. Give the release's {WEIGHTS}",
        )
    largest = max(about["data_offsets"][1] for about in header.values())
    if data < largest:
        sizes = f"{data / 1e6:.1f} of {largest / 1e6:.1f} MB of weights"
        raise _refused(path, f"ends early ({sizes}): the download was cut short; download it again")
    return {key: Entry(tuple(about["shape"]), *about["data_offsets"]) for key, about in own.items()}


def _header(path: Path) -> tuple[dict[str, dict[str, Any]], int]:
    """The header of a safetensors file without its notes, and how many bytes come after it."""
    if not path.is_file():
        raise _refused(path, f"does not exist; give the release's folder or its {WEIGHTS}")
    size = path.stat().st_size
    with open(path, "rb") as file:
        begin = file.read(8)
        _check_kind(path, begin)
        length = int.from_bytes(begin, "little")
        text = file.read(length) if length <= min(size, _LARGEST_HEADER) else b""
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        if not all(len(about["data_offsets"]) == 2 and isinstance(about["shape"], list) for about in header.values()):
            raise ValueError("an entry is not whole")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _refused(path, "is half a download or no safetensors file at all; download it again") from error
    return header, size - 8 - length


def _check_kind(path: Path, begin: bytes) -> None:
    if path.suffix.lower() in _HALF_LOADED:
        raise _refused(path, "is a download that has not ended; wait for it, or download it again")
    if begin[:4] == b"GGUF" or path.suffix.lower() == ".gguf":
        raise _refused(path, f"is a GGUF file, whose quantised weights are not supported; give the release's {WEIGHTS}")
    # a zip, or a bare pickle of protocol 2 to 5; the length that begins a safetensors file ends with zeros
    packed = begin[:2] == b"PK" or (begin[:2] in {b"\x80\2", b"\x80\3", b"\x80\4", b"\x80\5"} and begin[6:] != b"\0\0")
    if packed or path.suffix.lower() in _PICKLES:
        raise _pickled(path)


def _pickled(path: Path) -> StereoSyncError:
    why = "is a pickle, which can run any program when it is opened and is not read"
    return _refused(path, f"{why}; download {WEIGHTS} from the release's page in its place")


def _refused(path: Path, why: str) -> StereoSyncError:
    return StereoSyncError(f"Stable Audio: '{path}' {why}.")
