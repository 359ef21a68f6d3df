"""ResNet-50 with the stride in the first 1 x 1 convolution of a stage, as the original Caffe release has it.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016. torchvision's ResNet-50 has the same weight names but
strides in the 3 x 3 convolution, and so gives other numbers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

#: Bottlenecks of each stage, and channels that each stage gives.
DEPTHS = (3, 4, 6, 3)
CHANNELS = (256, 512, 1024, 2048)


class Bottleneck(nn.Module):
    """1 x 1 down to ``width`` channels with the stride, 3 x 3, 1 x 1 up to four times ``width``, added to a shortcut."""

    def __init__(self, channels: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, stride, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != 4 * width:
            shortcut = nn.Conv2d(channels, 4 * width, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(4 * width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu_(self.bn1(self.conv1(x)))
        x = F.relu_(self.bn2(self.conv2(x)))
        return F.relu_(self.bn3(self.conv3(x)).add_(shortcut))


class ResNet50(nn.Module):
    """Normalised RGB ``[B, 3, H, W]`` -> features at strides 4, 8, 16 and 32 with 256, 512, 1024 and 2048 channels."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        channels = 64
        for stage, depth in enumerate(DEPTHS):
            width, stride = CHANNELS[stage] // 4, 1 if stage == 0 else 2
            blocks = []
            for block in range(depth):
                blocks.append(Bottleneck(channels, width, stride if block == 0 else 1))
                channels = 4 * width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = F.max_pool2d(F.relu_(self.bn1(self.conv1(x))), 3, 2, 1)
        levels = []
        for stage in range(len(DEPTHS)):
            x = self.get_submodule(f"layer{stage + 1}")(x)
            levels.append(x)
        return levels
