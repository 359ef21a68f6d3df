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
seconds (:data:`COMPARISONS`) were taken once, on another machine, and ``release_over_ours`` (``_fast_alignment``) is their
ratio to ours here.
"""

import statistics
import tempfile
from pathlib import Path
from typing import Any

from . import depth_child
from .path import make_clip
from .process import run_child
from .rollingdepth_folder import MIDDLE, TINY, write_folder

REPEATS = 3
WIDTH, HEIGHT, RATE = 80, 48, 10
#: Settings and size of each comparison, and the seconds of the released code itself, from the README of the parity fixtures.
COMPARISONS = {
    "fast_25": ("fast", HEIGHT, WIDTH, 4.3),
    "full_25": ("full", HEIGHT, WIDTH, 6.6),
    "fast_25_192x320": ("fast", 192, 320, 16.2),
}


def measure(quick: bool = False) -> dict[str, Any]:
    """All of it; about fifteen minutes, most of them for 400 frames, which ``quick`` leaves out."""
    results: dict[str, Any] = {"imports_mib": run_child(depth_child.imports, threads=1)["mib"]}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        models = {name: write_folder(folder / name, widths) for name, widths in (("tiny", TINY), ("middle", MIDDLE))}
        for count in (25, 100) if quick else (25, 100, 400):
            clip = folder / f"{count}.mp4"
            make_clip(clip, seconds=count // RATE + 1, width=WIDTH, height=HEIGHT, rate=RATE)
            for name, model in models.items():
                result = run_child(depth_child.clip, model, clip, count, threads=1)
                results[f"{name}_{count}frames_s"] = round(result["seconds"], 2)
                results[f"{name}_{count}frames_mib"] = result["mib"]
        for name in () if quick else models:
            maps = WIDTH * HEIGHT * 4 / 2**20
            few, many = (results[f"{name}_{count}frames_mib"] - count * maps for count in (100, 400))
            results[f"{name}_mib_400_vs_100"] = round(many / few, 3)
        for name, (settings, height, width, released) in COMPARISONS.items():
            if not quick or height == HEIGHT:
                results |= _comparison(name, models["tiny"], settings, height, width, released)
    return results


def _comparison(name: str, model: Path, settings: str, height: int, width: int, released: float) -> dict[str, Any]:
    runs = [run_child(depth_child.compare, model, settings, height, width, threads=1) for _ in range(REPEATS)]
    seconds = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    results: dict[str, Any] = {f"{name}_{key}_s": round(value, 2) for key, value in seconds.items()}
    for key, ours in (("speedup", "ours"), ("speedup_fast_alignment", "ours_fast_alignment")):
        results[f"{name}_{key}"] = round(seconds["as_released"] / seconds[ours], 2)
        results[f"{name}_release_over_{ours}"] = round(released / seconds[ours], 2)
    results[f"{name}_alignment_speedup"] = round(seconds["alignment_as_released"] / seconds["alignment_ours"], 2)
    return results
