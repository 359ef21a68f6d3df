"""BlazePose GHUM (full): 39 landmarks of one person in a square picture, 3.1 M parameters.

Bazarevsky et al., "BlazePose: On-device Real-time Body Pose tracking", 2020; Grishchenko et al., "BlazePose GHUM Holistic",
2022. A MobileNetV2 with wide kernels and a regression tail; the heat maps and the mask, which only training and cut-outs
need, are left out. Batch norms are folded into the convolutions of the bundled weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ..assets import load_weights

#: Pixels of the square input's side.
SIZE = 256
#: (output channels, channels inside, kernel, stride) of the inverted residual blocks.
BLOCKS = [
    (24, 64, 3, 2), (24, 144, 3, 1), (32, 144, 5, 2), (32, 192, 5, 1), (64, 192, 3, 2), (64, 384, 3, 1), (64, 384, 3, 1),
    (88, 384, 5, 1), (88, 528, 5, 1), (88, 528, 5, 1), (144, 528, 5, 2), (144, 864, 5, 1), (144, 864, 5, 1), (144, 864, 5, 1),
]  # fmt: skip
#: Strides of the regression tail's blocks.
TAIL = (2, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1)
POINTS = 39


def _relu6(x: torch.Tensor) -> torch.Tensor:
    # in place, which halves the network's time on a CPU
    return F.relu6(x, inplace=True)


def _depthwise(channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels)


class InvertedResidual(nn.Module):
    """Expand, filter by channel, project; with a skip where the shapes agree."""

    def __init__(self, channels: int, out_channels: int, inside: int, kernel: int, stride: int):
        super().__init__()
        self.expand = nn.Conv2d(channels, inside, 1)
        self.depthwise = _depthwise(inside, kernel, stride)
        self.project = nn.Conv2d(inside, out_channels, 1)
        self.has_skip = stride == 1 and channels == out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.project(_relu6(self.depthwise(_relu6(self.expand(x)))))
        return x + y if self.has_skip else y


class TailBlock(nn.Module):
    """Separable convolution with a skip, which is max-pooled where the block halves the size."""

    def __init__(self, channels: int, stride: int):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, stride, 1 if stride == 1 else 0, groups=channels)
        self.pointwise = nn.Conv2d(channels, channels, 1)
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # the halving convolutions pad the far edges alone
        padded = x if self.stride == 1 else F.pad(x, (0, 1, 0, 1))
        skip = x if self.stride == 1 else F.max_pool2d(x, 2)
        return _relu6(skip + self.pointwise(_relu6(self.depthwise(padded))))


class BlazePose(nn.Module):
    """RGB ``[B, 3, 256, 256]`` in 0..1 of one upright person each -> landmarks, world landmarks and presence.

    :returns: landmarks ``[B, 39, 5]`` (x, y, z in pixels of the input, logits of visibility and presence), world landmarks
        ``[B, 39, 3]`` in metres from the middle of the hips (y down, z away), and the probability ``[B]`` of a person.
    """

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 3, 2, 1)
        self.stem_depthwise = _depthwise(24, 3)
        self.stem_project = nn.Conv2d(24, 16, 1)
        channels, blocks = 16, []
        for width, inside, kernel, stride in BLOCKS:
            blocks.append(InvertedResidual(channels, width, inside, kernel, stride))
            channels = width
        self.blocks = nn.ModuleList(blocks)
        self.expand = nn.Conv2d(channels, 864, 1)
        self.expand_depthwise = _depthwise(864, 3)
        self.tail_depthwise = _depthwise(864, 3)
        self.tail_pointwise = nn.Conv2d(864, 288, 1)
        self.tail = nn.ModuleList(TailBlock(288, stride) for stride in TAIL)
        self.landmarks = nn.Conv2d(288, POINTS * 5, 2)
        self.world = nn.Conv2d(288, POINTS * 3, 2)
        self.presence = nn.Conv2d(288, 1, 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x = self.stem_project(_relu6(self.stem_depthwise(_relu6(self.stem(x)))))
        for block in self.blocks:
            x = block(x)
        x = _relu6(self.expand_depthwise(_relu6(self.expand(x))))
        x = _relu6(self.tail_pointwise(_relu6(self.tail_depthwise(x))))
        for block in self.tail:
            x = block(x)
        return (
            self.landmarks(x).reshape(-1, POINTS, 5),
            self.world(x).reshape(-1, POINTS, 3),
            self.presence(x).flatten().sigmoid(),
        )


def load_network() -> BlazePose:
    """The bundled weights on the CPU in single precision."""
    network = BlazePose()
    network.load_state_dict({key: value.float() for key, value in load_weights("pose.safetensors").items()})
    return network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
