"""Modulated deformable convolution, 3 x 3, padding 1 (Zhu et al., "Deformable ConvNets v2", CVPR 2019). On a CPU torchvision's
operator copies the samples in one thread; here a sample is a weighted sum of four whole rows of a channels-last map, which is
what an embedding bag computes in all threads, and the rest one matrix product for as many pixels as stay in the cache."""

from contextlib import suppress

import torch
import torch.nn.functional as F
from torchvision.ops import deform_conv2d

TAPS = 9
#: Whether the embedding bag is used on a CPU; without it torchvision's operator (``python -m research bench tracking``).
EMBEDDING_BAG_ON_CPU = True
#: Output pixels whose samples (9 x 256 floats each, 28 MB) are held at a time. Blocks above 32 MB would be fetched from the
#: system anew, page by page, at each turn.
CHUNK = 3072


def deformable_convolution(
    x: torch.Tensor, offset: torch.Tensor, mask: torch.Tensor, weight: torch.Tensor, stride: int = 1
) -> torch.Tensor:
    """Output ``[B, D, h, w]``, channels last, of a map ``[B, C, H, W]``.

    :param offset: pixels ``[B, 18, h, w]`` by which each tap is moved: (down, right) pairs, taps row by row.
    :param mask: ``[B, 9, h, w]``, the factor of each tap.
    :param weight: kernel ``[D, C, 3, 3]``.
    :param stride: of the output on the map.
    """
    if x.device.type != "cpu" or not EMBEDDING_BAG_ON_CPU:
        with suppress(NotImplementedError):  # the device has no such operator
            x_, offset_, weight_ = x.contiguous(), offset.contiguous(), weight.contiguous()
            return deform_conv2d(x_, offset_, weight_, stride=stride, padding=1, mask=mask.contiguous())
    batch, channels, height, width = x.shape
    rows, columns = mask.shape[-2:]
    table = x.permute(0, 2, 3, 1).reshape(-1, channels)
    kernel = weight.permute(0, 2, 3, 1).reshape(len(weight), -1, 1, 1)
    offset = offset.permute(0, 2, 3, 1).reshape(-1, TAPS, 2)
    mask = mask.permute(0, 2, 3, 1).reshape(-1, TAPS)
    pixel, tap = torch.arange(len(mask), device=x.device), torch.arange(TAPS, device=x.device)
    picture = (pixel // (rows * columns) * (height * width))[:, None]
    regular_y = (pixel // columns % rows * stride)[:, None] + (tap // 3 - 1)
    regular_x = (pixel % columns * stride)[:, None] + (tap % 3 - 1)
    output = x.new_empty(len(mask), len(weight))
    for first in range(0, len(mask), CHUNK):
        part = slice(first, first + CHUNK)
        down = _neighbours(offset[part, :, 0] + regular_y[part], height)
        across = _neighbours(offset[part, :, 1] + regular_x[part], width)
        starts = [(y * width + picture[part], share * mask[part]) for y, share in down]
        corners = [(start + x, vertical * horizontal) for start, vertical in starts for x, horizontal in across]
        index, share = (torch.stack(values, dim=-1).view(-1, 4) for values in zip(*corners, strict=True))
        output[part] = _product(_weighted_rows(table, index, share).view(-1, TAPS * channels), kernel)
    return output.view(batch, rows, columns, -1).permute(0, 3, 1, 2)


def _product(samples: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """``samples`` ``[P, K]`` times ``kernel`` ``[D, K, 1, 1]``, as a convolution: with several threads that is the quicker."""
    return F.conv2d(samples.view(1, 1, *samples.shape).permute(0, 3, 1, 2), kernel).permute(0, 2, 3, 1).view(len(samples), -1)


def _neighbours(place: torch.Tensor, size: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The pixels before and after each place on a line of ``size``, and the share of each; that of one outside is 0."""
    place = place.clamp(-1, size)
    before = place.floor()
    share = place - before
    after = (before + 1).clamp_(max=size - 1)
    first = (before.clamp(0, size - 1).long(), (1 - share) * (before.ge(0) & before.lt(size)))
    return [first, (after.long(), share * before.lt(size - 1))]


def _weighted_rows(table: torch.Tensor, index: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """``sum(share[n, k] * table[index[n, k]])`` over k, ``[N, C]``."""
    if table.device.type == "cpu":
        return F.embedding_bag(index, table, mode="sum", per_sample_weights=share)
    return torch.stack([table[index[:, k]] * share[:, k, None] for k in range(index.shape[1])]).sum(dim=0)
