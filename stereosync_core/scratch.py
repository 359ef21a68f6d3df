"""Arrays of a long clip's sound, which would not fit into memory."""

from __future__ import annotations

import mmap
import os
import tempfile
from pathlib import Path

import numpy as np

from .errors import StereoSyncError

#: Bytes beyond which an array lies on the disk: twelve minutes of stereo.
LARGE = 256 * 2**20
#: Samples that are looked at at a time.
_PIECE = 1 << 22
#: Where Unix keeps large temporary files; /tmp is often memory.
_DISK = Path("/var/tmp")


def zeros(shape: tuple[int, ...]) -> np.ndarray:
    """A float32 array of zeros. A large one is a temporary file mapped into memory, which the system writes out and reads
    again as it needs the room; the file goes away with the array. Raises StereoSyncError where the disk has no room for it."""
    size = 4 * int(np.prod(shape, dtype=object))
    if size <= LARGE:
        return np.zeros(shape, np.float32)
    folder = os.environ.get("TMPDIR") or (_DISK if os.access(_DISK, os.W_OK) else None)
    try:
        with tempfile.TemporaryFile(dir=folder, prefix="stereosync-") as file:
            if hasattr(os, "posix_fallocate"):  # else a full disk would end the process in the middle of the work
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, np.float32, "r+" if hasattr(os, "posix_fallocate") else "w+", shape=shape).view(np.ndarray)
    except OSError as error:
        place = folder or tempfile.gettempdir()
        raise StereoSyncError(
            f"Sound: {size / 2**30:.1f} GiB of temporary room are needed in '{place}' and are not there ({error.strerror}); "
            "make room, or set TMPDIR to a folder with more."
        ) from error


def release(array: np.ndarray) -> None:
    """Gives the memory back that a large array takes while it is mapped; what is in it stays in its file, or in the system's
    cache of it. Does nothing to other arrays."""
    owner = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, mmap.mmap) and hasattr(owner, "madvise"):
        owner.madvise(mmap.MADV_DONTNEED)


def extremes(array: np.ndarray) -> tuple[float, float]:
    """Least and largest value of an array ``[..., N]``, NaN where there is one; piece by piece, so that a large one is never in
    memory as a whole."""
    low, high = ([], []) if array.size else ([0.0], [0.0])
    for at in range(0, array.shape[-1], _PIECE):
        part = array[..., at : at + _PIECE]
        low.append(part.min())
        high.append(part.max())
        release(array)
    return float(np.min(low)), float(np.max(high))


def multiply(array: np.ndarray, factor: float | np.float32, out: np.ndarray | None = None) -> None:
    """Multiplies a float32 array ``[..., N]`` in place, or into ``out``, piece by piece like :func:`extremes`."""
    into = array if out is None else out
    for at in range(0, array.shape[-1] if factor != 1 or out is not None else 0, _PIECE):
        np.multiply(array[..., at : at + _PIECE], np.float32(factor), out=into[..., at : at + _PIECE])
        release(array)
        release(into)
