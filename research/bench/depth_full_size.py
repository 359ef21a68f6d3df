"""RollingDepth at its released size, 866 M parameters with random weights: load in bf16 and run one snippet on the CPU.

Keys: ``parameters_m`` and ``weights_mib`` of UNet and autoencoder; ``loading_s``; ``before_mib``, ``loaded_mib`` and
``peak_mib`` - peak resident memory before loading, after it, and at the end; ``snippet_s`` - three frames of 384 x 216 pixels
through the UNet; ``decode_one_s`` - one frame through the decoder. Writes 1.9 GB into the temporary folder and deletes them.
"""

import tempfile
from pathlib import Path
from typing import Any

import torch

from .depth_child import full_size
from .process import run_child
from .rollingdepth_folder import FULL, write_folder


def measure(quick: bool = False) -> dict[str, Any]:
    """About two minutes; ``quick`` makes the frames a third as large."""
    width, height = (128, 72) if quick else (384, 216)
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_folder(Path(scratch) / "full", FULL, torch.bfloat16)
        measured = run_child(full_size, folder, "bfloat16", width, height, threads=1)
        return {"dtype": "bfloat16", "frame": f"{width}x{height}"} | measured
