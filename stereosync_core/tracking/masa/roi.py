"""RoI features: which level a box is read from, and what is read there.

He et al., "Mask R-CNN", ICCV 2017 (RoIAlign); Lin et al., "Feature Pyramid Networks", CVPR 2017 (choice of the level).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torchvision.ops import roi_align as operator

STRIDES = (4, 8, 16, 32)
SIZE = 7
#: Side in pixels of a square box from which the second level on is used (half of it and less: the first).
FINEST = 56


def roi_levels(boxes: torch.Tensor) -> torch.Tensor:
    """Level 0..3 ``[N]`` of boxes ``[N, 4]`` in pixels of the resized frame."""
    side = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).clamp(min=0).sqrt()
    return torch.log2(side / FINEST + 1e-6).floor().clamp(0, len(STRIDES) - 1).long()


def roi_features(levels: Sequence[torch.Tensor | None], rois: torch.Tensor) -> torch.Tensor:
    """Features ``[N, C, 7, 7]`` of ``rois`` ``[N, 5]`` (place in the batch, x0, y0, x1, y1 in pixels of the resized frame).

    :param levels: maps ``[B, C, H, W]`` at strides 4 to 32; those that no box falls on may be None.
    """
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
    try:
        return operator(level, rois.to(level.dtype), SIZE, scale, sampling_ratio=0, aligned=True)
    except NotImplementedError:
        return operator(level.cpu(), rois.to("cpu", level.dtype), SIZE, scale, sampling_ratio=0, aligned=True).to(level.device)
