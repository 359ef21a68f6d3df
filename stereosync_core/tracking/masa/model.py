"""MASA-R50: frames and boxes in, embeddings out, which give identities to the boxes of any detector (Li et al., "Matching
Anything by Segmenting Anything", CVPR 2024). Own implementation of the ResNet-50 variant; its parts are named as in the
released checkpoint (``masa_r50.pth``, Apache-2.0). He et al., CVPR 2016 (ResNet); Lin et al., CVPR 2017 (feature pyramid); Dai
et al., CVPR 2021 (Dynamic Head, of which the spatial part alone is kept); He et al., ICCV 2017 (RoIAlign)."""

import math
from collections import OrderedDict
from collections.abc import Collection, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torchvision import ops
from torchvision.models.resnet import Bottleneck

from ...errors import StereoSyncError
from .deformable import deformable_convolution

#: Pixels of the long side that frames are resized to.
LONG_SIDE = 1024
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
#: Bottlenecks of each backbone stage, and channels that each stage gives.
DEPTHS, CHANNELS = (3, 4, 6, 3), (256, 512, 1024, 2048)
#: Channels and number of the pyramid's levels; strides of those that boxes are read from, and side of what is read.
WIDTH, LEVELS = 256, 5
STRIDES, SIZE = (4, 8, 16, 32), 7
#: Side in pixels of a square box from which the second level on is used (half of it and less: the first).
FINEST = 56
EMBEDDING = 256
#: A branch of a fusion block: where its 18 offsets and its 9 masks begin among the channels of the offset convolution.
Branch = tuple[int, int]
MID, LOW, HIGH = (0, 54), (18, 63), (36, 72)


class ResNet50(nn.Module):
    """Normalised RGB ``[B, 3, H, W]`` -> features at strides 4, 8, 16 and 32 with 256, 512, 1024 and 2048 channels. As in the
    original Caffe release a stage strides in its first 1 x 1 convolution and not, as torchvision's, in the 3 x 3."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        before = 64
        for stage, (depth, channels) in enumerate(zip(DEPTHS, CHANNELS, strict=True)):
            stride = 1 if stage == 0 else 2
            shortcut = nn.Sequential(nn.Conv2d(before, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
            first = Bottleneck(before, channels // 4, stride, shortcut)
            first.conv1.stride, first.conv2.stride = first.conv2.stride, first.conv1.stride
            rest = (Bottleneck(channels, channels // 4) for _ in range(depth - 1))
            self.add_module(f"layer{stage + 1}", nn.Sequential(first, *rest))
            before = channels

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = F.max_pool2d(F.relu_(self.bn1(self.conv1(x))), 3, 2, 1)
        levels = []
        for stage in range(len(DEPTHS)):
            x = self.get_submodule(f"layer{stage + 1}")(x)
            levels.append(x)
        return levels


def _normed(channels: int, kernel: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels, WIDTH, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(OrderedDict(conv=convolution, bn=nn.BatchNorm2d(WIDTH)))


class FeaturePyramid(nn.Module):
    """Four backbone stages -> five levels of 256 channels at strides 4 to 64."""

    def __init__(self):
        super().__init__()
        self.lateral_convs = nn.ModuleList(_normed(channels, 1) for channels in CHANNELS)
        self.fpn_convs = nn.ModuleList(_normed(WIDTH, 3) for _ in CHANNELS)

    def forward(self, stages: list[torch.Tensor]) -> list[torch.Tensor]:
        levels = [lateral(stage) for lateral, stage in zip(self.lateral_convs, stages, strict=True)]
        for finer in reversed(range(len(levels) - 1)):
            levels[finer] += F.interpolate(levels[finer + 1], size=levels[finer].shape[-2:], mode="nearest")
        levels = [convolution(level) for convolution, level in zip(self.fpn_convs, levels, strict=True)]
        return [*levels, F.max_pool2d(levels[-1], 1, 2)]


class DeformableNormed(nn.Module):
    """Deformable convolution without bias and its group norm."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(16, WIDTH)

    def forward(self, x: torch.Tensor, offset: torch.Tensor, mask: torch.Tensor, stride: int = 1) -> torch.Tensor:
        return self.norm(deformable_convolution(x, offset, mask.sigmoid(), self.conv.weight, stride))


class FusionBlock(nn.Module):
    """Five levels -> five levels, each the mean of itself and its neighbours, all sampled at offsets from the level itself."""

    def __init__(self):
        super().__init__()
        self.spatial_conv_offset = nn.Conv2d(WIDTH, 81, 3, padding=1)
        self.spatial_conv_mid = DeformableNormed()
        self.spatial_conv_low = DeformableNormed()
        self.spatial_conv_high = DeformableNormed()

    def forward(self, levels: list[torch.Tensor], wanted: Collection[int]) -> list[torch.Tensor | None]:
        """The ``wanted`` levels, None for the others; of the maps ``[B, 256, H, W]`` only those and their neighbours are
        read."""
        return [self.fuse(levels, place) if place in wanted else None for place in range(len(levels))]

    def fuse(self, levels: list[torch.Tensor], place: int) -> torch.Tensor:
        """One level."""
        x, size = levels[place], levels[place].shape[-2:]
        has_finer, has_coarser = place > 0, place + 1 < len(levels)
        sizes = {MID: size} | ({LOW: size} if has_finer else {}) | ({HIGH: levels[place + 1].shape[-2:]} if has_coarser else {})
        maps = self.sampling_maps(x, sizes)
        result = self.spatial_conv_mid(x, *maps[MID])
        if has_finer:
            result += self.spatial_conv_low(levels[place - 1], *maps[LOW], stride=2)
        if has_coarser:
            high = self.spatial_conv_high(levels[place + 1], *maps[HIGH])
            result += F.interpolate(high, size=size, mode="bilinear", align_corners=True)
        return result.div_(len(maps))

    def sampling_maps(self, x: torch.Tensor, sizes: dict[Branch, torch.Size]) -> dict[Branch, tuple[torch.Tensor, ...]]:
        """What branches sample by, made on one level, in the sizes they are used in: offsets ``[B, 18, h, w]`` and raw masks
        ``[B, 9, h, w]``.

        The branch to the coarser level was trained with an operator that read its maps, made on the finer level, as if they had
        the coarser level's size: the first values in memory, in rows of another length. So it is here, and only the channels
        are computed from which those values come.
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


def _embedding_head() -> nn.Sequential:
    """RoI features ``[N, 256, 7, 7]`` -> embeddings ``[N, 256]``, not normalised: their length is part of the similarity."""

    def convolution() -> nn.Sequential:
        conv = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False)
        return nn.Sequential(OrderedDict(conv=conv, gn=nn.GroupNorm(32, WIDTH), relu=nn.ReLU(inplace=True)))

    return nn.Sequential(
        OrderedDict(
            convs=nn.Sequential(*(convolution() for _ in range(4))),
            flatten=nn.Flatten(),
            fcs=nn.Sequential(nn.Linear(WIDTH * SIZE * SIZE, 1024), nn.ReLU(inplace=True)),
            fc_embed=nn.Linear(1024, EMBEDDING),
        )
    )


class Masa(nn.Module):
    """The network. Fill it with :func:`loader.load_masa`."""

    def __init__(self):
        super().__init__()
        self.backbone = ResNet50()
        self.masa_adapter = nn.ModuleList([FeaturePyramid(), Fusion()])
        self.track_head = nn.Sequential(OrderedDict(embed_head=_embedding_head()))

    @property
    def weights_device(self) -> torch.device:
        """Where the weights are now; a host may move them between two calls, and keeps a ``device`` of its own here."""
        return self.backbone.conv1.weight.device

    def features(self, pixels: torch.Tensor, wanted: Collection[int] = range(len(STRIDES))) -> list[torch.Tensor | None]:
        """Levels 0..4 (strides 4 to 64, 256 channels) of normalised frames ``[B, 3, H, W]``; None where not ``wanted``."""
        pyramid, fusion = self.masa_adapter
        return fusion(pyramid(self.backbone(pixels)), wanted)

    @torch.inference_mode()
    def embed(self, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray], long_side: int = LONG_SIDE) -> list[np.ndarray]:
        """Embeddings float32 ``[N, 256]`` of the boxes of each frame.

        :param frames: uint8 or float RGB ``[H, W, 3]`` in 0..255, all of one size.
        :param boxes: float ``[N, 4]`` for each frame, x0, y0, x1, y1 in its pixels; they may reach beyond the frame.
        :param long_side: pixels of the long side that the network sees; the weights were trained with 1024.
        :raises StereoSyncError: the frames' sizes differ.
        """
        if len({frame.shape for frame in frames}) > 1:
            raise StereoSyncError("Frames: pictures of one size are needed at a time; embed each size for itself.")
        busy = [place for place, found in enumerate(boxes) if len(found)]
        result = [np.zeros((0, EMBEDDING), dtype=np.float32) for _ in frames]
        if not busy:
            return result
        weight = self.backbone.conv1.weight
        pixels, scale = prepare(np.stack([frames[place] for place in busy]), long_side, weight.device)
        rois = torch.cat([_rois(boxes[place], scale, row) for row, place in enumerate(busy)]).to(weight.device)
        wanted = set(roi_levels(rois[:, 1:]).tolist())
        levels = self.features(pixels.to(weight.dtype), wanted)[: len(STRIDES)]
        embeddings = self.track_head(roi_features(levels, rois)).float().cpu().numpy()
        counts = np.cumsum([len(boxes[place]) for place in busy])[:-1]
        for place, part in zip(busy, np.split(embeddings, counts), strict=True):
            result[place] = part
        return result


def prepare(frames: np.ndarray, long_side: int, device: torch.device | str = "cpu") -> tuple[torch.Tensor, np.ndarray]:
    """Normalised frames ``[B, 3, H, W]`` with sides divisible by 32, of RGB ``[B, H, W, 3]`` in 0..255, and the factors
    (across, down) from frame to it."""
    from kornia.enhance import normalize
    from kornia.geometry.transform import resize
    from kornia.utils import image_to_tensor

    height, width = frames.shape[1:3]
    scale = long_side / max(height, width)
    size = int(height * scale + 0.5), int(width * scale + 0.5)
    pixels = resize(image_to_tensor(frames).to(device).float(), size, align_corners=False)
    pixels = normalize(pixels, torch.tensor(MEAN), torch.tensor(DEVIATION))
    pixels = F.pad(pixels, (0, -size[1] % 32, 0, -size[0] % 32))
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    return pixels, np.array([size[1] / width, size[0] / height])


def _rois(boxes: np.ndarray, scale: np.ndarray, row: int) -> torch.Tensor:
    """Boxes ``[N, 5]`` of the batch's entry ``row`` in pixels of the resized frame."""
    scaled = torch.from_numpy(np.asarray(boxes, dtype=np.float32)) * torch.tensor([*scale, *scale], dtype=torch.float32)
    return torch.cat([torch.full((len(scaled), 1), float(row)), scaled], dim=1)


def roi_levels(boxes: torch.Tensor) -> torch.Tensor:
    """Level 0..3 ``[N]`` of boxes ``[N, 4]`` in pixels of the resized frame."""
    side = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).clamp(min=0).sqrt()
    return torch.log2(side / FINEST + 1e-6).floor().clamp(0, len(STRIDES) - 1).long()


def roi_features(levels: Sequence[torch.Tensor | None], rois: torch.Tensor) -> torch.Tensor:
    """Features ``[N, C, 7, 7]`` of ``rois`` ``[N, 5]`` (place in the batch, x0, y0, x1, y1 in pixels of the resized frame), off
    maps ``[B, C, H, W]`` at strides 4 to 32; those that no box falls on may be None."""
    chosen = roi_levels(rois[:, 1:])
    present = next(level for level in levels if level is not None)
    result = present.new_zeros(len(rois), present.shape[1], SIZE, SIZE)
    for place, stride in enumerate(STRIDES):
        here = torch.nonzero(chosen == place).flatten()
        level = levels[place]
        if len(here) and level is not None:
            result[here] = roi_align(level, rois[here], 1.0 / stride).to(result.dtype)
    return result


def roi_align(level: torch.Tensor, rois: torch.Tensor, scale: float) -> torch.Tensor:
    """RoIAlign 7 x 7: average, aligned, a sample for each pixel of a bin; on the CPU where the device has no operator."""
    rois = rois.to(level.dtype)
    try:
        return ops.roi_align(level, rois, SIZE, scale, sampling_ratio=0, aligned=True)
    except NotImplementedError:
        return ops.roi_align(level.cpu(), rois.cpu(), SIZE, scale, sampling_ratio=0, aligned=True).to(level.device)
