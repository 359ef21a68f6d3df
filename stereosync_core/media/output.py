"""Writing files so that nothing half-written stays, with a clear error for everything that can stop it."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath, PureWindowsPath

import av
from av.container import OutputContainer

from ..errors import StereoSyncError

_NO_SPACE = {errno.ENOSPC, errno.EFBIG} | ({errno.EDQUOT} if hasattr(errno, "EDQUOT") else set())


def safe_output_path(folder: str | os.PathLike[str], name: str) -> Path:
    """``folder / name`` for a name that a user typed; subfolders of ``folder`` are allowed.

    :raises StereoSyncError: the name is empty or leads out of the folder: absolute, with ``..``, a drive letter or a NUL.
    """
    windows = PureWindowsPath(name)
    parts = windows.parts  # splits at both kinds of slash, whatever system this runs on
    leaves = windows.drive or windows.root or PurePosixPath(name).is_absolute() or ".." in parts or ":" in name
    if not name.strip() or "\0" in name or leaves:
        raise StereoSyncError(f"Output: the name {name!r} leads out of the folder or is no name; give a plain file name.")
    base = Path(folder).resolve()
    path = base.joinpath(*parts)
    # a link inside the folder may still lead out of it
    if not path.resolve().is_relative_to(base):
        raise StereoSyncError(f"Output: the name {name!r} leads out of the output folder; give a plain file name.")
    return path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of ``path`` that takes its place when the block ends well, and goes away when it does not.

    :raises StereoSyncError: the folder is missing or may not be written, or the disk is full.
    """
    if path.is_dir():
        raise StereoSyncError(f"Output: '{path}' is a folder; give a file name inside it.")
    if not path.parent.is_dir():
        raise StereoSyncError(f"Output: the folder '{path.parent}' does not exist; create it or choose another one.")
    temporary = path.with_name(f".{path.stem[:40]}.{secrets.token_hex(4)}.part{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise StereoSyncError(_why_not_written(path, error)) from error
    except av.error.FFmpegError as error:
        raise StereoSyncError(
            f"Output: '{path}' cannot be written ({error.strerror}); choose another container, .mkv takes nearly everything."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _why_not_written(path: Path, error: OSError) -> str:
    if error.errno in _NO_SPACE:
        return f"Output: there is no room for '{path}' on the disk; make some or choose another folder. Nothing was written."
    if isinstance(error, (PermissionError, NotADirectoryError, FileNotFoundError)) or error.errno == errno.EROFS:
        return f"Output: '{path}' may not be written; choose another folder or change its permissions."
    return f"Output: writing '{path}' failed ({error.strerror or error}); choose another folder and try again."


@contextmanager
def written(path: Path, options: dict[str, str] | None = None) -> Iterator[OutputContainer]:
    """A container open for writing, finished at the end of the block; an error in the block is never hidden by closing."""
    container = av.open(str(path), "w", container_options=options or {})
    try:
        yield container
    except BaseException:
        with suppress(Exception):
            container.close()
        raise
    container.close()
