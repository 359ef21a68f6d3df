"""RollingDepth: time and memory of ours, and of the same networks run in the released program's order of work.

All with one thread, in single precision; seconds are the processor's, imports left out. ``tiny`` has the widths of the parity
fixtures, ``middle`` about 60 M parameters; both have random weights.

Keys: ``WIDTH_Nframes_s`` and ``_mib`` - time, and peak resident memory of the process, for N frames of 80 x 48 pixels (``fast``
settings; imports alone are ``imports_mib``); ``WIDTH_mib_400_vs_100`` - ratio of the peaks at 400 and 100 frames, the finished
maps left out; ``fast_25``, ``full_25``, ``fast_25_192x320`` - seconds for 25 frames (80 x 48 but the last) as ``ours``, ours
with the alignment that stops on a plateau (``ours_fast_alignment``) and ``as_released``, and the ratios of the last to the
first two (``speedup``, ``speedup_fast_alignment``); ``alignment_s`` likewise for the alignment alone.

``as_released`` is a plain statement of the released program with the same networks: one snippet at a time, equal dilations
computed again, and the alignment as autograd over dense rows x frames x points. It is not the released code itself; that one's
seconds were taken once, on another machine (:data:`RELEASED`), and ``release_over_ours`` (``_fast_alignment``) is their ratio
to ours here.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .path import make_clip
from .rollingdepth_folder import MIDDLE, TINY, write_folder

ROOT = Path(__file__).resolve().parents[2]
REPEATS = 3
#: Seconds of the released code itself for the same settings, from the README of the parity fixtures.
RELEASED = {"fast_25": 4.3, "full_25": 6.6, "fast_25_192x320": 16.2}
WIDTH, HEIGHT = 80, 48
RATE = 10


def measure(quick: bool = False) -> dict[str, Any]:
    """All of it; about fifteen minutes, most of them for 400 frames, which ``quick`` leaves out."""
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tiny = write_folder(folder / "tiny", TINY)
        middle = write_folder(folder / "middle", MIDDLE)
        results["imports_mib"] = _child("imports")["mib"]
        for count in (25, 100) if quick else (25, 100, 400):
            clip = folder / f"{count}.mp4"
            make_clip(clip, seconds=count // RATE + 1, width=WIDTH, height=HEIGHT, rate=RATE)
            for model in (tiny, middle):
                result = _child("clip", model, clip, count)
                results[f"{model.name}_{count}frames_s"] = round(result["seconds"], 2)
                results[f"{model.name}_{count}frames_mib"] = result["mib"]
        if not quick:
            for name in ("tiny", "middle"):
                peaks = [results[f"{name}_{count}frames_mib"] - _maps_mib(count) for count in (400, 100)]
                results[f"{name}_mib_400_vs_100"] = round(peaks[0] / peaks[1], 3)
        for name, settings, size in (
            ("fast_25", "fast", (HEIGHT, WIDTH)),
            ("full_25", "full", (HEIGHT, WIDTH)),
            ("fast_25_192x320", "fast", (192, 320)),
        ):
            if quick and size != (HEIGHT, WIDTH):
                continue
            runs = [_child("compare", tiny, settings, *size) for _ in range(REPEATS)]
            results |= _comparison(name, {key: statistics.median(run[key] for run in runs) for key in runs[0]})
    return results


def _comparison(name: str, seconds: dict[str, float]) -> dict[str, Any]:
    results: dict[str, Any] = {f"{name}_{key}_s": round(value, 2) for key, value in seconds.items()}
    for key, ours in (("speedup", "ours"), ("speedup_fast_alignment", "ours_fast_alignment")):
        results[f"{name}_{key}"] = round(seconds["as_released"] / seconds[ours], 2)
        results[f"{name}_release_over_{ours}"] = round(RELEASED[name] / seconds[ours], 2)
    results[f"{name}_alignment_speedup"] = round(seconds["alignment_as_released"] / seconds["alignment_ours"], 2)
    return results


def _maps_mib(count: int) -> float:
    return count * WIDTH * HEIGHT * 4 / 2**20


def _child(*arguments: Any) -> dict[str, Any]:
    """What one measurement gives in a fresh process with one thread."""
    command = [sys.executable, "-m", "research.bench.depth_child", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(result.stdout.splitlines()[-1])
