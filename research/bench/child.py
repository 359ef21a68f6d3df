"""Measurements in a process of their own, whose memory and threads are no others'."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def run_child(module: str, *arguments: Any, threads: int | None = None) -> dict[str, Any]:
    """What ``python -m research.bench.MODULE ARGUMENTS`` prints as its last line of JSON, with so many threads if given."""
    command = [sys.executable, "-m", f"research.bench.{module}", *map(str, arguments)]
    root = Path(__file__).resolve().parents[2]
    limit = {} if threads is None else dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    result = subprocess.run(command, cwd=root, env=os.environ | limit, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(result.stdout.splitlines()[-1])
