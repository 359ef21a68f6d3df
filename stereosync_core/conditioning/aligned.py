"""The ``aligned`` form of spatial conditions: cues tied to their latent frame.

Each track's box and the depth under it become one vector a latent frame; a softmax over the tracks, which hears the envelope,
says whose moment it is; the sum is injected along the latent axis, into the blocks' inputs. Order and number of tracks do not
matter.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..diffusion.control import zero
from .features import DEPTH_GRID, SUBFRAMES, SceneFeatures

#: Octaves of the azimuth's Fourier features.
_OCTAVES = 4
_BOX_VALUES = SUBFRAMES * 6 + 2 * _OCTAVES + 6


class Mix(nn.Module):
    """A residual block over time: each channel with its neighbours in time, then the channels with each other."""

    def __init__(self, width: int, kernel: int = 7):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.time = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.inner = nn.Linear(width, 2 * width)
        self.outer = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.time(self.norm(x).mT).mT
        return x + self.outer(nn.functional.gelu(self.inner(mixed)))


class AlignedConditions(nn.Module):
    """Scene features to residuals for the backbone's blocks.

    :param width: of the backbone's hidden state.
    :param blocks: how many blocks the backbone has; every ``every``-th is spoken to, the first one always.
    :param inner: width of the tracks' vectors.
    """

    form = "aligned"

    def __init__(self, width: int, blocks: int, inner: int = 128, every: int = 2):
        super().__init__()
        self.track = nn.Sequential(nn.Linear(_BOX_VALUES + SUBFRAMES, inner), Mix(inner), Mix(inner))
        self.claim = nn.Linear(inner, 1)
        self.nobody = nn.Parameter(torch.zeros(inner))
        self.maps = nn.Sequential(nn.Linear(DEPTH_GRID[0] * DEPTH_GRID[1] + 1, inner), nn.GELU(), nn.Linear(inner, inner))
        self.mix = Mix(inner)
        self.norm = nn.LayerNorm(inner)
        self.into = nn.ModuleList(zero(nn.Linear(inner, width)) for _ in range(0, blocks, every))
        self.every = every

    def forward(self, scene: SceneFeatures, envelope: Tensor) -> tuple[Tensor | None, list[Tensor | None]]:
        """Tokens for cross-attention (none in this form) and residuals ``[B, T, width]``.

        :param envelope: ``[B, SUBFRAMES, T]``; zeros where there is none.
        """
        batch, count, frames = scene.boxes.shape[:3]
        maps = torch.cat([scene.depth.flatten(2), scene.has_depth[:, None].expand(-1, frames, -1)], dim=-1)
        summed = self.maps(maps)
        if count:
            values = torch.cat([box_values(scene), envelope.mT[:, None].expand(-1, count, -1, -1)], dim=-1)
            vectors = self.track(values.flatten(0, 1)).unflatten(0, (batch, count))
            present = scene.seen.amax(-1)
            claims = self.claim(vectors)[..., 0].masked_fill(present == 0, -1e4)
            # nobody's claim is zero: where no track speaks up, the sound is nobody's
            weights = torch.softmax(torch.cat([torch.zeros_like(claims[:, :1]), claims], dim=1), dim=1)
            summed = summed + (weights[:, 1:, :, None] * vectors).sum(1) + weights[:, 0, :, None] * self.nobody
        else:
            summed = summed + self.nobody
        mixed = self.norm(self.mix(summed))
        residuals: list[Tensor | None] = []
        for into in self.into:
            residuals += [into(mixed), *[None] * (self.every - 1)]
        return None, residuals


def box_values(scene: SceneFeatures) -> Tensor:
    """What a box says, ``[B, K, T, _BOX_VALUES]``: at every moment its place, size and whether it is seen; once a latent frame
    the azimuth's Fourier features, elevation, extent and the depth under it."""
    x0, y0, x1, y1 = scene.boxes.unbind(-1)  # [B, K, T, S]
    seen = scene.seen
    width, height = (x1 - x0).clamp(min=1e-3), (y1 - y0).clamp(min=1e-3)
    moments = [x0 + x1 - 1, 1 - y0 - y1, y1 - 0.5, width.log(), height.log(), seen]
    moments = [value * seen for value in moments[:-1]] + [seen]
    some = seen.sum(-1).clamp(min=1)
    azimuth = (moments[0].sum(-1) / some).clamp(-1.2, 1.2)
    turns = [azimuth * (math.pi / 2 * 2**octave) for octave in range(_OCTAVES)]
    nearness = depth_under(scene)
    once = [value for turn in turns for value in (turn.sin(), turn.cos())]
    logs = [moments[n].sum(-1) / some for n in (1, 2, 3, 4)]
    present = (seen.sum(-1) > 0).to(azimuth.dtype)
    frame = torch.stack([*once, azimuth, *logs, nearness], dim=-1) * present[..., None]
    return torch.cat([torch.stack(moments, dim=-1).flatten(-2), frame], dim=-1)


def depth_under(scene: SceneFeatures) -> Tensor:
    """Nearness ``[B, K, T]`` at the middle of each box."""
    batch, _, frames = scene.boxes.shape[:3]
    boxes = scene.boxes.mean(3)
    places = torch.stack([boxes[..., 0] + boxes[..., 2] - 1, boxes[..., 1] + boxes[..., 3] - 1], dim=-1)  # [B, K, T, 2]
    maps = scene.depth.flatten(0, 1)[:, None]
    grid = places.transpose(1, 2).flatten(0, 1)[:, :, None]
    under = nn.functional.grid_sample(maps, grid, padding_mode="border", align_corners=False)[:, 0, :, 0]
    return under.unflatten(0, (batch, frames)).transpose(1, 2) * scene.has_depth[:, :, None]
