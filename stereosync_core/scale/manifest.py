"""Manifests: which clips are to be worked on, and what became of each; in files, or at addresses that fsspec knows."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import StereoSyncError, explained

VIDEOS = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mpg"}
_PYARROW = "Batch: Parquet needs pyarrow; run 'pip install pyarrow', or install this package with 'pip install .[scale]'."


def find_clips(sources: Iterable[str | Path]) -> list[Path]:
    """Clips of files, folders (all videos in them, by name) and manifests (CSV, JSON lines or Parquet with a column ``clip``),
    each once. Clips of a manifest are relative to it; of one at an address they are whole paths.

    :raises StereoSyncError: for a source that is not there or is no manifest, and where there is no clip at all.
    """
    found: dict[Path, None] = {}
    for source in map(str, sources):
        path = Path(source)
        if path.suffix.lower() in (".csv", ".jsonl", ".parquet") or _is_address(source):
            some = [path.parent / clip for clip in _column(source)]
            if _is_address(source) and (one := next((clip for clip in some if not clip.is_absolute()), None)):
                raise StereoSyncError(f"Batch: '{one.name}' in '{source}' is relative to no folder; write whole paths there.")
        elif path.is_dir():
            some = sorted(one for one in path.iterdir() if one.suffix.lower() in VIDEOS and not one.name.startswith("."))
        else:
            some = [path]
        found |= dict.fromkeys(some)
    if not found:
        raise StereoSyncError("Batch: there is no video in what was given; give clips, folders with some, or a manifest.")
    return list(found)


def _is_address(source: str) -> bool:
    return "://" in source


@contextmanager
def opened(source: str, mode: str) -> Iterator[Any]:
    """A file, or an address that fsspec knows, as a binary stream. Raises StereoSyncError where fsspec, or what it needs for
    such an address, is not installed."""
    if not _is_address(source):
        with open(source, mode) as file:
            yield file
        return
    with explained("Batch: addresses need fsspec; run 'pip install fsspec', or 'pip install .[scale]'.", ImportError):
        import fsspec
    with explained(f"Batch: '{source}' cannot be reached without another package ({{error}}); install it.", ImportError):
        stream = fsspec.open(source, mode)
    with stream as file:
        yield file


def _column(source: str) -> list[str]:
    message = f"Batch: '{source}' is no manifest ({{error}}); give CSV, JSON lines or Parquet with a column 'clip'."
    with explained(message, OSError, ValueError, KeyError, csv.Error), opened(source, "rb") as file:
        if source.lower().endswith(".parquet"):
            with explained(_PYARROW, ImportError):
                import pyarrow.parquet as parquet
            return _named(parquet.read_table(file, columns=["clip"])["clip"].to_pylist())
        lines = TextIOWrapper(file, "utf-8-sig", newline="")
        if source.lower().endswith(".csv"):
            return _named(row.get("clip") for row in csv.DictReader(lines))
        rows = (json.loads(line) for line in lines if line.strip())
        return _named(row.get("clip") if isinstance(row, dict) else None for row in rows)


def _named(values: Iterable[Any]) -> list[str]:
    """What rows have as their clip. Raises ValueError for a row that names none."""
    clips = list(values)
    for number, clip in enumerate(clips, start=1):
        if not isinstance(clip, str) or not clip.strip():
            raise ValueError(f"row {number} has {clip!r} for a clip")
    return clips


def key_of(clip: Path, settings: Sequence[str]) -> str:
    """The same for the same file and settings: its place, size and time, and the settings, hashed."""
    try:
        stat = clip.stat()
        stamp = [str(clip.resolve()), stat.st_size, stat.st_mtime_ns]
    except OSError:
        stamp = [str(clip.resolve())]
    return hashlib.sha256(json.dumps([*stamp, *settings]).encode()).hexdigest()[:16]


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


class Manifest(dict[str, dict[str, Any]]):
    """Rows by key, each appended to a file as it is set. Lines that are damaged are passed over; what an interrupted run left
    half-written at the end goes. Raises StereoSyncError where the file cannot be read or written."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        if path.exists():
            with self._explained(), open(path, "r+b") as file:
                self._read(file)

    def _read(self, file: BinaryIO) -> None:
        for line in file:
            try:
                row = json.loads(line)
                super().__setitem__(row["key"], row)
            except (ValueError, KeyError, TypeError):
                if not line.endswith(b"\n"):
                    file.seek(-len(line), os.SEEK_END)
                    file.truncate()
            else:
                if not line.endswith(b"\n"):
                    file.write(b"\n")

    def _explained(self) -> AbstractContextManager[None]:
        return explained(f"Batch: '{self.path}' cannot be written ({{error}}); make room or change its permissions.", OSError)

    def __setitem__(self, key: str, row: dict[str, Any]) -> None:
        super().__setitem__(key, row)
        with self._explained(), open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def to_parquet(self, target: str) -> None:
        """Write all rows as a table, to a file or an address. Raises StereoSyncError where that cannot be."""
        with explained(_PYARROW, ImportError):
            import pyarrow
            import pyarrow.parquet as parquet
        names = dict.fromkeys(name for row in self.values() for name in row)
        table = pyarrow.table({name: [row.get(name) for row in self.values()] for name in names})
        message = f"Batch: '{target}' cannot be written ({{error}}); give another place for the table."
        with explained(message, OSError, ValueError), opened(target, "wb") as file:
            parquet.write_table(table, file)
