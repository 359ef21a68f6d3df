"""MASA's adapter: a feature pyramid, then three blocks that fuse neighbouring levels with deformable convolutions.

Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017; Dai et al., "Dynamic Head", CVPR 2021, of which MASA's
R50 variant keeps the spatial part alone.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from .backbone import CHANNELS
from .deformable import deformable_convolution

WIDTH = 256
LEVELS = 5


class Normed(nn.Module):
    """Convolution without bias and its batch norm, under the names of the checkpoint."""

    def __init__(self, channels: int, kernel: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, WIDTH, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn(self.conv(x))


class FeaturePyramid(nn.Module):
    """Four backbone stages -> five levels of 256 channels at strides 4 to 64."""

    def __init__(self):
        super().__init__()
        self.lateral_convs = nn.ModuleList(Normed(channels, 1) for channels in CHANNELS)
        self.fpn_convs = nn.ModuleList(Normed(WIDTH, 3) for _ in CHANNELS)

    def forward(self, stages: list[torch.Tensor]) -> list[torch.Tensor]:
        levels = [lateral(stage) for lateral, stage in zip(self.lateral_convs, stages, strict=True)]
        for finer in reversed(range(len(levels) - 1)):
            levels[finer] += F.interpolate(levels[finer + 1], size=levels[finer].shape[-2:], mode="nearest")
        levels = [convolution(level) for convolution, level in zip(self.fpn_convs, levels, strict=True)]
        return [*levels, F.max_pool2d(levels[-1], 1, 2)]


class DeformableNormed(nn.Module):
    """Deformable convolution without bias and its group norm, under the names of the checkpoint."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(16, WIDTH)

    def forward(self, x: torch.Tensor, offset: torch.Tensor, mask: torch.Tensor, stride: int = 1) -> torch.Tensor:
        return self.norm(deformable_convolution(x, offset, mask.sigmoid(), self.conv.weight, stride))


class Branch(NamedTuple):
    """First channels of a branch's 18 offsets and 9 masks in what the offset convolution gives."""

    offset: int
    mask: int


#: Offsets ``[B, 18, h, w]`` and raw masks ``[B, 9, h, w]``.
Maps = tuple[torch.Tensor, torch.Tensor]
MID, LOW, HIGH = Branch(0, 54), Branch(18, 63), Branch(36, 72)


class FusionBlock(nn.Module):
    """Five levels -> five levels, each the mean of itself and its neighbours, all sampled at offsets from the level itself."""

    def __init__(self):
        super().__init__()
        self.spatial_conv_offset = nn.Conv2d(WIDTH, 81, 3, padding=1)
        self.spatial_conv_mid = DeformableNormed()
        self.spatial_conv_low = DeformableNormed()
        self.spatial_conv_high = DeformableNormed()

    def forward(self, levels: list[torch.Tensor], wanted: Collection[int]) -> list[torch.Tensor | None]:
        """The ``wanted`` levels, None for the others.

        :param levels: maps ``[B, 256, H, W]``; only the wanted ones and their neighbours are read.
        """
        return [self.fuse(levels, place) if place in wanted else None for place in range(len(levels))]

    def fuse(self, levels: list[torch.Tensor], place: int) -> torch.Tensor:
        """One level."""
        x = levels[place]
        finer = levels[place - 1] if place > 0 else None
        coarser = levels[place + 1] if place + 1 < len(levels) else None
        sizes = {MID: x.shape[-2:]}
        if finer is not None:
            sizes[LOW] = x.shape[-2:]
        if coarser is not None:
            sizes[HIGH] = coarser.shape[-2:]
        maps = self.sampling_maps(x, sizes)
        result = self.spatial_conv_mid(x, *maps[MID])
        if finer is not None:
            result += self.spatial_conv_low(finer, *maps[LOW], stride=2)
        if coarser is not None:
            high = self.spatial_conv_high(coarser, *maps[HIGH])
            result += F.interpolate(high, size=x.shape[-2:], mode="bilinear", align_corners=True)
        return result.div_(len(maps))

    def sampling_maps(self, x: torch.Tensor, sizes: dict[Branch, torch.Size]) -> dict[Branch, Maps]:
        """What branches sample by, made on one level, in the sizes they are used in.

        The branch to the coarser level was trained with an operator that read its maps, made on the finer level, as if they had
        the coarser level's size: the first values in memory, in rows of another length. The same is done here, and only the
        channels are computed from which those values come.
        """
        whole = x.shape[-2] * x.shape[-1]
        starts = [(start, count, size) for branch, size in sizes.items() for start, count in zip(branch, (18, 9), strict=True)]
        used = [math.ceil(count * size[0] * size[1] / whole) for _, count, size in starts]
        rows = torch.cat([torch.arange(start, start + n) for (start, _, _), n in zip(starts, used, strict=True)]).to(x.device)
        # Rounded up to what processors compute at a time, which is quicker than a rest.
        rows = torch.cat([rows, rows.new_zeros(-len(rows) % 16)])
        weight, bias = self.spatial_conv_offset.weight, self.spatial_conv_offset.bias
        assert bias is not None
        parts = F.conv2d(x, weight[rows], bias[rows], padding=1)[:, : sum(used)].split(used, dim=1)
        maps = [
            part if size == x.shape[-2:] else part.flatten(1)[:, : count * size[0] * size[1]].view(-1, count, *size)
            for part, (_, count, size) in zip(parts, starts, strict=True)
        ]
        return dict(zip(sizes, zip(maps[::2], maps[1::2], strict=True), strict=True))


class Fusion(nn.Module):
    """Three fusion blocks."""

    def __init__(self):
        super().__init__()
        self.dyhead_blocks = nn.ModuleList(FusionBlock() for _ in range(3))

    def forward(self, levels: list[torch.Tensor], wanted: Collection[int]) -> list[torch.Tensor | None]:
        """The ``wanted`` levels after all blocks; what no later block reads is not computed."""
        needs = [set(wanted)]
        for _ in self.dyhead_blocks[1:]:
            needs.insert(0, {near for place in needs[0] for near in (place - 1, place, place + 1) if 0 <= near < LEVELS})
        result: list = levels
        for block, needed in zip(self.dyhead_blocks, needs, strict=True):
            result = block(result, needed)
        return result
