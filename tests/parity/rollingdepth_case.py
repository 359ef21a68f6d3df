"""A clip with the arrays that RollingDepth's released code made of it, for test_rollingdepth.py."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from stereosync_core.depth.rollingdepth.alignment import RELEASED_ALIGNMENT
from stereosync_core.depth.rollingdepth.snippets import RollingDepthSettings, Snippets, plan_snippets

from .conftest import SMALL


class Case:
    def __init__(self, path: Path):
        description = json.loads(path.read_text())
        given = description["settings"]
        assert set(given["strides"]) == {1}
        assert given["resample_method"] == "BILINEAR"
        frames = path.with_name(description["frames_file"])
        self.frames = np.load(frames) if frames.exists() else None
        self._read(path.with_suffix(".npz"))
        self.seed, self.scheduler = description["seed"], description["scheduler_overrides"]
        self.restore = given["restore_res"]
        self.settings = RollingDepthSettings(
            resolution=given["processing_res"],
            dilations=tuple(given["dilations"]),
            snippet_lengths=tuple(given["snippet_lengths"]),
            denoising_steps=tuple(given["init_infer_steps"]),
            cap_dilations=given["cap_dilation"],
            refine_steps=given["refine_step"],
            refine_snippet_length=given["refine_snippet_len"],
            refine_start_dilation=given["refine_start_dilation"],
        )

    def _read(self, path: Path) -> None:
        self.small = SMALL in path.parents
        with np.load(path) as arrays:
            self.arrays = dict(arrays)

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def __getitem__(self, name: str) -> np.ndarray:
        if self.small and name not in self.arrays:
            pytest.skip(f"{name} is in the large fixtures alone; set STEREOSYNC_FIXTURES")
        return self.arrays[name]

    def tensor(self, name: str) -> torch.Tensor:
        return torch.from_numpy(self[name])

    @property
    def frame_count(self) -> int:
        return 1 + max(int(self[name].max()) for name in self.arrays if name.startswith("snippet_indices_"))

    def cut(self, maps: torch.Tensor) -> torch.Tensor:
        """The window of whole maps that the case's own are cut to."""
        top, left, height, width = self.arrays.get("crop", (0, 0, *maps.shape[-2:]))
        return maps[..., top : top + height, left : left + width]

    def all(self, stem: str) -> list[torch.Tensor]:
        """The arrays ``stem_k`` of all dilations in order."""
        return [self.tensor(f"{stem}_{k}") for k in range(len(self.snippets))]

    def points(self, k: int) -> np.ndarray:
        """The release's input of the alignment, as far as it lies within the maps."""
        top, left, height, width = self.arrays.get("crop", (0, 0, 10**6, 10**6))
        step, border = RELEASED_ALIGNMENT.factor, RELEASED_ALIGNMENT.border
        rows, columns = (
            slice(at // step, (at + side - 2 * border - 1) // step + 1) for at, side in ((top, height), (left, width))
        )
        return self[f"align_input_{k}"][..., rows, columns]

    @property
    def snippets(self) -> list[Snippets]:
        """The passes as the release makes them, equal ones as often as they come."""
        found = []
        for name in sorted(key for key in self.arrays if key.startswith("snippet_indices_")):
            indices = self.arrays[name]
            found.append(Snippets(int(indices[0, 1] - indices[0, 0]), indices.shape[1], self.frame_count))
        return found

    def number_in_plan(self, k: int) -> int:
        """Which of our passes stands for the release's ``k``-th."""
        dilations = [snippets.dilation for snippets in plan_snippets(self.settings, self.frame_count)]
        return dilations.index(int(self["dilations_effective"][k]))
