"""Resume journal: what an evaluation has measured so far, line by line on disk, so that a stopped run goes on where it was."""

import csv
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import StereoSyncError, explained
from ..media.output import replacing


class ResumeJournal(dict[str, dict[str, Any]]):
    """Records by key, each appended to a file as one line of JSON when it is set; the first line holds the settings of the run.

    :param path: the file, or None to remember in memory alone.
    :param settings: what records depend on; a file of other settings is refused rather than mixed in.
    :raises StereoSyncError: for such a file, or one that is no journal or cannot be written.
    """

    def __init__(self, path: Path | None, settings: Mapping[str, Any]):
        super().__init__()
        self.path = path
        if path is not None and path.exists():
            self._read(path, settings)
        else:
            self._append({"settings": settings})

    def _read(self, path: Path, settings: Mapping[str, Any]) -> None:
        message = f"Evaluate: '{path}' is not a file of an earlier evaluation; give another name."
        with explained(message, OSError, ValueError, KeyError, TypeError):
            lines = path.read_text(encoding="utf-8").split("\n")
            known = json.loads(lines[0])["settings"]
        if known != json.loads(json.dumps(settings)):
            raise StereoSyncError(f"Evaluate: '{path}' has other settings or clips; delete it, or give another name.")
        whole = len(lines[0]) + 1
        for line in lines[1:]:
            try:
                row = json.loads(line)
                super().__setitem__(row["key"], row["record"])
            except (ValueError, KeyError, TypeError):
                break  # the line at which an earlier run was cut off, or the empty one at the end
            whole += len(line.encode("utf-8")) + 1
        os.truncate(path, whole)

    def __setitem__(self, key: str, record: dict[str, Any]) -> None:
        super().__setitem__(key, record)
        self._append({"key": key, "record": record})

    def _append(self, row: dict[str, Any]) -> None:
        if self.path is None:
            return
        try:
            with open(self.path, "a", encoding="utf-8") as handle:
                handle.write(json.dumps(row) + "\n")
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
