"""Arrays of a long clip's sound, which would not fit into memory."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np

from .errors import StereoSyncError

#: Bytes beyond which an array lies on the disk: twelve minutes of stereo.
LARGE = 256 * 2**20
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
