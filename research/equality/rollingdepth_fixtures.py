"""Small fixtures of RollingDepth for ``tests/parity/fixtures``, out of the large ones of the released code.

    python -m research.equality.rollingdepth_fixtures /path/to/fixtures/rollingdepth

Of each case those arrays that are small or can be cut: maps are cut to the window ``crop`` (top, left, height, width) around
the clip's lowest value, at a multiple of the alignment's step, so that the alignment's points in it stay points. The tiny
model's weights are too large; ``seeded.npz`` holds what this library makes with weights that are drawn from a seed, as it did
when it equalled the released code in all large cases.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stereosync_core.depth.rollingdepth.alignment import RELEASED_ALIGNMENT, alignment_points
from stereosync_core.depth.rollingdepth.loader import load_rollingdepth
from stereosync_core.depth.rollingdepth.pipeline import estimate
from stereosync_core.depth.rollingdepth.snippets import RollingDepthSettings

from ..bench.rollingdepth_folder import TINY, write_folder

TARGET = Path(__file__).resolve().parents[2] / "tests" / "parity" / "fixtures" / "rollingdepth"
SCHEDULER = Path("model") / "scheduler" / "scheduler_config.json"
#: Arrays kept of every case, whole.
SCHEDULE = (
    "cap_requested_to_effective", "dilations_effective", "init_noise", "original_size_hw", "refine_start_dilation_effective",
    "refine_step_dilation", "refine_timesteps", "snippet_indices_", "timesteps_initial",
)  # fmt: skip
PROBE = ("unet_probe_", "snippet_latents_0")
REFINEMENT = ("coaligned_latents", "refine_latents_before_step")
ALIGNMENT = ("align_",)
MAPS = ("snippet_depth_", "merged_depth_raw")
#: What each case is there for.
CASES = {
    "case_a12_fast": (SCHEDULE, PROBE, ALIGNMENT, MAPS),
    "case_a25_fast": (SCHEDULE,),
    "case_b12_refine": (SCHEDULE, PROBE, ("frames_preprocessed",)),
    "case_b25_full": (SCHEDULE, ALIGNMENT),
    "case_e8_alt_scheduler": (SCHEDULE, PROBE, REFINEMENT),
    "aligner_unit": (("snippet_indices_",), ALIGNMENT),
}
SIZE = 16
SEEDED = RollingDepthSettings(0, (1, 10, 25), refine_steps=2)


def seeded_frames() -> list[torch.Tensor]:
    """Eight pictures of noise ``[3, 48, 64]`` in -1..1."""
    noise = np.random.default_rng(0).integers(0, 255, (8, 3, 48, 64), dtype=np.uint8)
    return list(torch.from_numpy(noise).float() / 255.0 * 2.0 - 1.0)


def seeded(folder: Path) -> dict[str, np.ndarray]:
    """Arrays of a run with weights drawn from a seed, written into ``folder``: maps at every fourth row and column."""
    arrays: dict[str, np.ndarray] = {}

    def observe(name: str, array: torch.Tensor) -> None:
        if name in ("merged_depth_normalized", "refined_depth"):
            arrays[name] = array[:, ::4, ::4].to(torch.float16).numpy().copy()
        elif name == "rgb_latents":
            arrays[name] = array.numpy().copy()

    out = torch.empty(8, 48, 64)
    estimate(seeded_frames(), out, load_rollingdepth(write_folder(folder, TINY)), SEEDED, observe=observe)
    return arrays


def small(arrays: dict[str, np.ndarray], kinds: tuple[tuple[str, ...], ...]) -> dict[str, np.ndarray]:
    """The arrays of these kinds, cut and in half precision where that suffices."""
    if "align_input_0" not in arrays and "snippet_depth_0" in arrays:
        snippets = {name: value for name, value in arrays.items() if name.startswith("snippet_depth_")}
        lowest = min(value.min() for value in snippets.values())
        for name, value in snippets.items():
            points = alignment_points(torch.from_numpy(value), RELEASED_ALIGNMENT).numpy() - lowest
            arrays[name.replace("snippet_depth", "align_input")] = points
    kept: dict[str, Any] = {
        name: value for name, value in arrays.items() if name.startswith(sum(kinds, ())) and "_noise_" not in name
    }
    if "frames_preprocessed" in kept:
        kept["frames_preprocessed"] = kept["frames_preprocessed"][:1]
    cut = [name for name in kept if name.startswith((*MAPS, "frames_preprocessed"))]
    if cut:
        height, width = kept[cut[0]].shape[-2:]
        snippets = [value for name, value in kept.items() if name.startswith("snippet_depth_")]
        lowest = min(snippets, key=lambda value: value.min()) if snippets else kept[cut[0]]
        *_, y, x = np.unravel_index(lowest.argmin(), lowest.shape)
        step = RELEASED_ALIGNMENT.factor
        top, left = int(y) // step * step, int(x) // step * step
        rows, columns = min(SIZE, height - top), min(SIZE, width - left)
        kept |= {name: kept[name][..., top : top + rows, left : left + columns] for name in cut}
        kept["crop"] = np.array([top, left, rows, columns])
    if "align_loss_history" in kept:
        kept["align_loss_history"] = kept["align_loss_history"].astype(np.float16)
    if "snippet_latents_0" in kept:
        kept["snippet_latents_0"] = kept["snippet_latents_0"][:1]
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("source", type=Path, help="the large fixtures")
    source = parser.parse_args().source
    (TARGET / SCHEDULER).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / SCHEDULER, TARGET / SCHEDULER)
    for name, kinds in CASES.items():
        with np.load(source / f"{name}.npz") as arrays:
            np.savez_compressed(TARGET / f"{name}.npz", **small(dict(arrays), kinds))  # type: ignore[arg-type]
        if (source / f"{name}.json").exists():
            text = (source / f"{name}.json").read_text()
            (TARGET / f"{name}.json").write_text(text)
            if ("frames_preprocessed",) in kinds:
                frames = json.loads(text)["frames_file"]
                np.save(TARGET / frames, np.load(source / frames)[:1])
    with tempfile.TemporaryDirectory() as scratch:
        np.savez_compressed(TARGET / "seeded.npz", **seeded(Path(scratch) / "model"))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
