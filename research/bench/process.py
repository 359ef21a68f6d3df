"""Processes that are measured, each with memory and threads of its own, and the processor that figures are of."""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]


def run_child(function: Callable[..., Any], *arguments: Any, threads: int = 2, packages: Path | None = None) -> Any:
    """What a function of a module gives, as JSON, in a process of its own; paths among the arguments become texts.

    :param threads: that it has at most.
    :param packages: a folder of packages that it alone sees.
    """
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    if packages is not None:
        environment["PYTHONPATH"] = os.pathsep.join([str(packages), str(ROOT)])
    command = [sys.executable, "-m", __name__, function.__module__, function.__name__, json.dumps(arguments, default=str)]
    result = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(result.stdout.splitlines()[-1])


def seconds_of(work: Callable[[], Any]) -> float:
    """Seconds that ``work`` takes, by the clock."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


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


if __name__ == "__main__":
    module, name, arguments = sys.argv[1:]
    print(json.dumps(getattr(import_module(module), name)(*json.loads(arguments))))
