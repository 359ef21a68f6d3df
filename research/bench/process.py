"""Processes that are measured, each with memory and threads of its own, and the processor that figures are of."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]


def run_child(module: str, *arguments: Any, threads: int | None = None, packages: Path | None = None) -> dict[str, Any]:
    """What ``python -m research.bench.MODULE ARGUMENTS`` prints as its last line of JSON.

    :param threads: that it has at most.
    :param packages: a folder of packages that it alone sees.
    """
    environment = dict(os.environ)
    if threads is not None:
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    if packages is not None:
        environment["PYTHONPATH"] = os.pathsep.join([str(packages), str(ROOT)])
    command = [sys.executable, "-m", f"research.bench.{module}", *map(str, arguments)]
    result = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(result.stdout.splitlines()[-1])


def peak_mib() -> float:
    """Highest resident memory of this process so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage would begin with what the parent process had when it started this one
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return round(int(lines["VmHWM"].split()[0]) / 2**10, 1)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10), 1)


def processor() -> dict[str, str]:
    """``name``, with family and model where the system gives them, and ``instructions``: the set that torch uses."""
    name, path = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if path.exists():
        lines = (line.partition(":") for line in path.read_text().split("\n\n")[0].splitlines())
        fields = {key.strip(): value.strip() for key, _, value in lines}
        if "model name" in fields:
            name = f"{fields['model name']} (family {fields.get('cpu family', '?')}, model {fields.get('model', '?')})"
    return {"name": name, "instructions": torch.backends.cpu.get_cpu_capability()}
