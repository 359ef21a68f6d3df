"""Measurements in a process of their own, whose memory and threads are no others'."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def run_child(module: str, *arguments: Any) -> dict[str, Any]:
    """What ``python -m research.bench.MODULE ARGUMENTS`` prints as its last line of JSON."""
    command = [sys.executable, "-m", f"research.bench.{module}", *map(str, arguments)]
    root = Path(__file__).resolve().parents[2]
    return json.loads(subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
