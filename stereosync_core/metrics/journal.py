"""Resume journal: what an evaluation has measured so far, line by line on disk, so that a stopped run goes on where it was."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import StereoSyncError
from ..media.output import replacing


class ResumeJournal:
    """Records by key, each appended to a file as one line of JSON; the first line holds the settings of the run.

    :param path: the file, or None to remember in memory alone.
    :param settings: what records depend on; a file of other settings is refused rather than mixed in.
    :raises StereoSyncError: for such a file, or one that is no journal or cannot be written.
    """

    def __init__(self, path: Path | None, settings: Mapping[str, Any]):
        self.path = path
        self.records: dict[str, dict[str, Any]] = {}
        head = json.dumps({"settings": settings}, sort_keys=True)
        if path is None:
            return
        if path.exists():
            self._read(path, head)
        else:
            self._write(head, "w")

    def _read(self, path: Path, head: str) -> None:
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
            known = json.loads(lines[0])["settings"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StereoSyncError(f"Evaluate: '{path}' is not a file of an earlier evaluation; give another name.") from error
        if json.dumps({"settings": known}, sort_keys=True) != head:
            raise StereoSyncError(
                f"Evaluate: '{path}' is of an evaluation with other settings or clips; delete it, or give another name."
            )
        whole = len(lines[0]) + 1
        for line in lines[1:]:
            try:
                row = json.loads(line)
                self.records[row["key"]] = row["record"]
            except (ValueError, KeyError, TypeError):
                break  # the line at which an earlier run was cut off, or the empty one at the end
            whole += len(line.encode("utf-8")) + 1
        with open(path, "rb+") as handle:
            handle.truncate(whole)

    def __contains__(self, key: str) -> bool:
        return key in self.records

    def __getitem__(self, key: str) -> dict[str, Any]:
        return self.records[key]

    def add(self, key: str, record: dict[str, Any]) -> None:
        self.records[key] = record
        if self.path is not None:
            self._write(json.dumps({"key": key, "record": record}), "a")

    def _write(self, line: str, mode: str) -> None:
        assert self.path is not None
        try:
            with open(self.path, mode, encoding="utf-8") as handle:
                handle.write(line + "\n")
        except OSError as error:
            raise StereoSyncError(f"Evaluate: '{self.path}' cannot be written ({error.strerror or error}).") from error


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Rows of equal keys as CSV; None becomes an empty cell."""
    rows = list(rows)
    names = list(dict.fromkeys(key for row in rows for key in row))
    with replacing(Path(path)) as temporary, open(temporary, "w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, names)
        writer.writeheader()
        writer.writerows({key: "" if value is None else value for key, value in row.items()} for row in rows)
    return Path(path)
