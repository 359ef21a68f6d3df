"""The processor that figures are of."""

from __future__ import annotations

import platform
from pathlib import Path

import torch


def processor() -> dict[str, str]:
    """``name``, with family and model where the system gives them, and ``instructions``: the set that torch uses."""
    name, path = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if path.exists():
        lines = (line.partition(":") for line in path.read_text().split("\n\n")[0].splitlines())
        fields = {key.strip(): value.strip() for key, _, value in lines}
        if "model name" in fields:
            name = f"{fields['model name']} (family {fields.get('cpu family', '?')}, model {fields.get('model', '?')})"
    return {"name": name, "instructions": torch.backends.cpu.get_cpu_capability()}
