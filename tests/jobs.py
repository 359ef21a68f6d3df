"""Stages for pipelines, in a module that is imported at once."""

import os
import signal
from pathlib import Path


def squares(device):
    """The square of a row's number; dies at 3 always, and at 5 the first time."""

    def work(rows):
        for row in rows:
            folder = Path(row["folder"])
            if row["number"] == 3 or (row["number"] == 5 and not (folder / "5").exists()):
                (folder / "5").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return [{"square": row["number"] ** 2} for row in rows]

    return work


def halves(device):
    """Half of a row's square; an error where it is odd."""
    return lambda rows: [{"error": "odd"} if row["square"] % 2 else {"half": row["square"] // 2} for row in rows]


def together(device):
    """How many rows are given at once."""
    return lambda rows: [{"together": len(rows)} for _ in rows]
