"""FastDepth: a MobileNet encoder and a depthwise-separable decoder with three additive skips, 1.3 M parameters.

Wofk, Ma, Yang, Karaman, Sze: "FastDepth: Fast Monocular Depth Estimation on Embedded Systems", ICRA 2019; the pruned release,
batch norms folded into the convolutions.
"""

from collections import OrderedDict
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..assets import load_weights
from ..media.source import Source
from ..scene import DepthSequence
from .frame_by_frame import estimate_frame_by_frame
from .maps import NEAREST

#: The size FastDepth was trained at.
INPUT = 224
#: Bytes that a clip's maps may take; beyond, they get smaller, so that memory does not grow with the clip.
MAPS_BYTES = 48 * 2**20

#: Channels of the stem and of the encoder's depthwise-separable blocks, and those blocks that halve the size.
ENCODER = [16, 56, 88, 120, 144, 256, 408, 376, 272, 288, 296, 328, 480, 512]
HALVING = {1, 3, 5, 11}
#: Channels of the decoder's blocks, each followed by a doubling of the size.
DECODER = [200, 256, 120, 56, 16]
#: Encoder blocks whose output joins the decoder after its second, third and fourth block.
SKIPS = {1: 4, 2: 2, 3: 0}


def separable_block(channels: int, out_channels: int, kernel: int, stride: int, activation: nn.Module) -> nn.Sequential:
    """Depthwise then pointwise convolution, each with its activation."""
    depthwise = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels)
    pointwise = nn.Conv2d(channels, out_channels, 1)
    return nn.Sequential(OrderedDict(depthwise=depthwise, inner=activation, pointwise=pointwise, outer=activation))


class FastDepth(nn.Module):
    """RGB ``[B, 3, H, W]`` in 0..1, sides divisible by 32 -> depth ``[B, 1, H, W]`` in metres, larger = farther."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, ENCODER[0], 3, 2, 1)
        self.encoder = nn.ModuleList(
            separable_block(*widths, 3, 2 if index in HALVING else 1, nn.ReLU6())
            for index, widths in enumerate(pairwise(ENCODER))
        )
        self.decoder = nn.ModuleList(separable_block(*widths, 5, 1, nn.ReLU()) for widths in pairwise([ENCODER[-1], *DECODER]))
        self.head = nn.Conv2d(DECODER[-1], 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu6(self.stem(x))
        features = []
        for block in self.encoder:
            x = block(x)
            features.append(x)
        for index, block in enumerate(self.decoder):
            x = F.interpolate(block(x), scale_factor=2.0, mode="nearest")
            if index in SKIPS:
                x = x + features[SKIPS[index]]
        return F.relu(self.head(x))

    def inverse_depth(self, images: list[np.ndarray]) -> torch.Tensor:
        """Inverse distance ``[B, H, W]``, larger = nearer, of uint8 RGB pictures ``[H, W, 3]``."""
        from kornia.utils import image_list_to_tensor

        weight = self.stem.weight
        metres = self(image_list_to_tensor(images).to(weight.device, weight.dtype) / 255.0)[:, 0]
        return 1.0 / metres.float().clamp(min=NEAREST)


def load_fastdepth() -> FastDepth:
    """The bundled weights on the CPU in single precision."""
    network = FastDepth()
    network.load_state_dict({key: value.float() for key, value in load_weights("fastdepth.safetensors").items()})
    return network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def estimate_with_fastdepth(
    source: Source, network: FastDepth | None = None, *, long_side: int = 160, **options: Any
) -> DepthSequence:
    """Relative depth of a clip by the bundled network, see :func:`.frame_by_frame.estimate_frame_by_frame` and its options.

    :param network: on the device of choice; the bundled weights on the CPU when left out.
    :param long_side: pixels of a map's long side, which the network resolves little more than; fewer where all maps would take
        more than :data:`MAPS_BYTES` (over three minutes at four a second).
    """
    network = network if network is not None else load_fastdepth()
    limits: dict[str, Any] = {"long_side": long_side, "most_bytes": MAPS_BYTES, "size": (INPUT, INPUT)}
    return estimate_frame_by_frame(source, network.inverse_depth, **limits, **options)
