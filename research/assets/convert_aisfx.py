"""Make stereosync_core/assets/aisfx.safetensors from the package that carries the network's checkpoint. Run once; kept as the
record of how.

    pip download --no-deps aisfx==0.1.2 && unzip aisfx-*.whl
    python -m research.assets.convert_aisfx aisfx/models/checkpoint.pth

Batch norms are folded into the convolutions, the nine classifiers on top are left out, half precision. The checkpoint is a
pickle: it is opened with torch's weights-only reader.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from research.assets.convert_assets import save
from stereosync_core.sound_embedding import ASSET, AisfxNet


def folded(weights: dict[str, torch.Tensor], block: int, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of a convolution and the batch norm behind it as one convolution."""
    prefix = f"embedding_net.conv_block{block}"
    kernel = weights[f"{prefix}.conv{layer}.weight"].double()
    gain, bias, mean, variance = (
        weights[f"{prefix}.bn{layer}.{name}"].double() for name in ("weight", "bias", "running_mean", "running_var")
    )
    factor = gain / torch.sqrt(variance + 1e-5)
    return kernel * factor[:, None, None, None], bias - mean * factor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    arguments = parser.parse_args()
    # the checkpoint holds a few numpy numbers beside its tensors
    allowed: list = [(np._core.multiarray.scalar, "numpy.core.multiarray.scalar"), np.dtype, type(np.dtype(np.int64))]
    with torch.serialization.safe_globals(allowed):
        weights, _ = torch.load(arguments.checkpoint, map_location="cpu", weights_only=True)
    net = AisfxNet()
    state = {}
    for block in range(4):
        for layer, name in ((1, "first"), (2, "second")):
            state[f"blocks.{block}.{name}.weight"], state[f"blocks.{block}.{name}.bias"] = folded(weights, block + 1, layer)
    net.load_state_dict(state)
    save(net, ASSET)


if __name__ == "__main__":
    main()
