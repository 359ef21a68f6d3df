"""The track head: from RoI features to an appearance embedding."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .roi import SIZE

EMBEDDING = 256


class GroupNormed(nn.Module):
    """3 x 3 convolution without bias, group norm of 32 groups, ReLU."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.gn = nn.GroupNorm(32, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu_(self.gn(self.conv(x)))


class EmbedHead(nn.Module):
    """RoI features ``[N, 256, 7, 7]`` -> embeddings ``[N, 256]``, not normalised: their length is part of the similarity."""

    def __init__(self, channels: int = 256):
        super().__init__()
        self.convs = nn.ModuleList(GroupNormed(channels) for _ in range(4))
        self.fcs = nn.ModuleList([nn.Linear(channels * SIZE * SIZE, 1024)])
        self.fc_embed = nn.Linear(1024, EMBEDDING)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for convolution in self.convs:
            x = convolution(x)
        return self.fc_embed(F.relu_(self.fcs[0](x.flatten(1))))


class TrackHead(nn.Module):
    """Holds the embedding head under the checkpoint's name."""

    def __init__(self):
        super().__init__()
        self.embed_head = EmbedHead()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.embed_head(x)
