"""Manifests: which clips are to be worked on, and what became of each: a line of JSON each, or Parquet."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..errors import StereoSyncError, explained

VIDEOS = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mpg"}
_PYARROW = "Batch: Parquet needs pyarrow; run 'pip install pyarrow', or install this package with 'pip install .[scale]'."


def find_clips(sources: Iterable[Path]) -> list[Path]:
    """Clips of files, folders (all videos in them, by name) and manifests (CSV, JSON lines or Parquet with a column ``clip``,
    relative to the manifest), each once.

    :raises StereoSyncError: for a source that is not there or is no manifest, and where there is no clip at all.
    """
    found: dict[Path, None] = {}
    for source in sources:
        if source.is_dir():
            some = sorted(path for path in source.iterdir() if path.suffix.lower() in VIDEOS and not path.name.startswith("."))
        elif source.suffix.lower() in (".csv", ".jsonl", ".parquet"):
            some = [source.parent / row for row in _column(source)]
        else:
            some = [source]
        found |= dict.fromkeys(some)
    if not found:
        raise StereoSyncError("Batch: there is no video in what was given; give clips, folders with some, or a manifest.")
    return list(found)


def _column(path: Path) -> list[str]:
    message = f"Batch: '{path}' is no manifest ({{error}}); give CSV, JSON lines or Parquet with a column 'clip'."
    with explained(message, OSError, ValueError, KeyError, TypeError):
        if path.suffix.lower() == ".parquet":
            with explained(_PYARROW, ImportError):
                import pyarrow.parquet as parquet
            return parquet.read_table(path, columns=["clip"])["clip"].to_pylist()
        with open(path, encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() == ".csv":
                return [row["clip"] for row in csv.DictReader(file)]
            return [json.loads(line)["clip"] for line in file if line.strip()]


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
    """Rows by key, each appended to a file as it is set; what an interrupted run left half-written at the end is left out."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        if not path.exists():
            return
        whole = 0
        with open(path, "rb") as file:
            for line in file:
                try:
                    row = json.loads(line)
                    super().__setitem__(row["key"], row)
                except (ValueError, KeyError, TypeError):
                    break
                whole += len(line)
        if whole < path.stat().st_size:
            os.truncate(path, whole)

    def __setitem__(self, key: str, row: dict[str, Any]) -> None:
        super().__setitem__(key, row)
        message = f"Batch: '{self.path}' cannot be written ({{error}}); make room or change its permissions."
        with explained(message, OSError), open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def to_parquet(self, path: Path) -> None:
        """Write all rows as a table. Raises StereoSyncError where pyarrow is not installed."""
        with explained(_PYARROW, ImportError):
            import pyarrow
            import pyarrow.parquet as parquet
        names = dict.fromkeys(name for row in self.values() for name in row)
        parquet.write_table(pyarrow.table({name: [row.get(name) for row in self.values()] for name in names}), path)
