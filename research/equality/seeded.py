"""Weights and pictures that are drawn anew instead of being kept: what the parity fixtures' numbers were recorded with."""

import hashlib
import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from stereosync_core.depth.rollingdepth.snippets import RollingDepthSettings

#: Of the run of RollingDepth from end to end, with weights of :func:`..bench.rollingdepth_folder.write_folder`.
SEEDED = RollingDepthSettings(0, (1, 10, 25), refine_steps=2)


def seeded_frames() -> list[torch.Tensor]:
    """Eight pictures of noise ``[3, 48, 64]`` in -1..1."""
    noise = np.random.default_rng(0).integers(0, 255, (8, 3, 48, 64), dtype=np.uint8)
    return list(torch.from_numpy(noise).float() / 255.0 * 2.0 - 1.0)


def masa_weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Made-up weights, each a function of its name and shape: normal values, scaled so that activations stay near 1."""
    return {name: _weight(name, tuple(shape)) for name, shape in shapes.items()}


def _weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, dtype=np.int64)
    values = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith(("running_mean", "bias")):
        values = 0.1 * values
    elif name.endswith("running_var"):
        values = 1.0 + 0.1 * np.abs(values)
    elif len(shape) == 1:
        values = 1.0 + 0.1 * values
    else:
        values = values / np.sqrt(np.prod(shape[1:]))
    return values.astype(np.float32)


def digest(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Of all names and shapes, whatever their order."""
    return hashlib.sha256(json.dumps(sorted((name, list(shape)) for name, shape in shapes.items())).encode()).hexdigest()
