"""NanoDet-g: an anchor-free one-stage detector with a small cross-stage-partial backbone, 3.8 M parameters, 80 COCO classes.

Li, "NanoDet" (Apache-2.0); boxes as distributions after Li et al., "Generalized Focal Loss", NeurIPS 2020. Batch norms are
folded into the convolutions of the bundled weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

CLASSES = [
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light", "fire hydrant",
    "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra",
    "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite",
    "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle", "wine glass", "cup", "fork",
    "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut",
    "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard",
    "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear",
    "hair drier", "toothbrush",
]  # fmt: skip
#: Mean and deviation of the input's blue, green and red, in 0..255.
MEAN, DEVIATION = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
STRIDES = (8, 16, 32)
#: A side of a box is a distribution over 0..10 strides.
BINS = 11
WIDTH = 128


def _conv(channels: int, out_channels: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out_channels, kernel, stride, kernel // 2)


def _activate(x: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu(x, 0.1)


class PartialStage(nn.Module):
    """A cross-stage-partial block: ``depth`` pairs of half-width convolutions, joined with the stage's own input."""

    def __init__(self, channels: int, out_channels: int, stride: int, depth: int):
        super().__init__()
        half = out_channels // 2
        self.enter = _conv(channels, out_channels, stride=stride)
        self.first = nn.ModuleList(_conv(out_channels, half) for _ in range(depth))
        self.second = nn.ModuleList(_conv(half, half) for _ in range(depth))
        self.leave = _conv(out_channels, out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        entered = x = _activate(self.enter(x))
        for first, second in zip(self.first, self.second, strict=True):
            head = _activate(first(x))
            x = torch.cat([_activate(second(head)), head], dim=1)
        return torch.cat([_activate(self.leave(x)), entered], dim=1)


class NanoDet(nn.Module):
    """Normalised blue-green-red ``[B, 3, H, W]``, sides divisible by 32 -> scores and boxes of every anchor point.

    :returns: scores ``[B, P, 80]`` in 0..1 and boxes ``[B, P, 4]`` as x0, y0, x1, y1 in pixels of the input.
    """

    def __init__(self):
        super().__init__()
        self.stem = _conv(3, 32, stride=2)
        self.stages = nn.ModuleList(
            [PartialStage(32, 32, 1, 1), PartialStage(64, 64, 2, 2), PartialStage(128, 128, 2, 2), PartialStage(256, 256, 2, 3)]
        )
        self.laterals = nn.ModuleList(_conv(channels, WIDTH, kernel=1) for channels in (128, 256, 512))
        self.towers = nn.ModuleList(_conv(WIDTH, WIDTH) for _ in STRIDES)
        self.outputs = nn.ModuleList(_conv(WIDTH, len(CLASSES) + 4 * BINS, kernel=1) for _ in STRIDES)

    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The path-aggregation pyramid at strides 8, 16 and 32."""
        x = F.max_pool2d(_activate(self.stem(x)), 3, 2, 1)
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        fine, middle, coarse = (lateral(level) for lateral, level in zip(self.laterals, levels[1:], strict=True))
        middle = middle + _resize(coarse, middle)
        fine = fine + _resize(middle, fine)
        middle = middle + _resize(fine, middle)
        coarse = coarse + _resize(middle, coarse)
        return [fine, middle, coarse]

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scores, boxes = [], []
        for feature, tower, output, stride in zip(self.features(x), self.towers, self.outputs, STRIDES, strict=True):
            rows, columns = feature.shape[-2:]
            raw = output(_activate(tower(feature))).flatten(2).transpose(1, 2)
            scores.append(raw[..., : len(CLASSES)].sigmoid())
            bins = raw[..., len(CLASSES) :].unflatten(-1, (4, BINS)).softmax(-1)
            reach = bins @ torch.arange(BINS, dtype=raw.dtype, device=raw.device) * stride
            y, x_ = torch.meshgrid(
                (torch.arange(rows, dtype=raw.dtype, device=raw.device) + 0.5) * stride,
                (torch.arange(columns, dtype=raw.dtype, device=raw.device) + 0.5) * stride,
                indexing="ij",
            )
            centre = torch.stack([x_.flatten(), y.flatten()], dim=-1)
            boxes.append(torch.cat([centre - reach[..., :2], centre + reach[..., 2:]], dim=-1))
        return torch.cat(scores, dim=1), torch.cat(boxes, dim=1)


def _resize(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
