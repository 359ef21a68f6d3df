"""The ``paper`` form of spatial conditions (arXiv 2510.05828): one flat list of tokens in cross-attention.

Depth maps, four a second, each through an image encoder into one pooled vector and a projection: a token a map. Boxes through a
number conditioner: a token a coordinate, ``box_rate`` boxes a second for each track (the paper has 30). No token holds a time.
"""

import torch
from torch import Tensor, nn

from ..control import ControlOutput
from .features import SUBFRAMES, SceneFeatures


class NumberToken(nn.Module):
    """A number in 0..1 as a token: itself, and sines and cosines of learned frequencies, through a linear layer."""

    def __init__(self, width: int, frequencies: int = 64):
        super().__init__()
        self.frequencies = nn.Parameter(torch.randn(frequencies))
        self.project = nn.Linear(2 * frequencies + 1, width)

    def forward(self, numbers: Tensor) -> Tensor:
        """``[..., width]`` of ``[...]``."""
        turns = 2 * torch.pi * numbers[..., None] * self.frequencies
        return self.project(torch.cat([numbers[..., None], turns.sin(), turns.cos()], dim=-1))


#: Maps, and boxes of a track, a second: more than any clip has.
MOST_PER_SECOND = 240


class PaperConditions(nn.Module):
    """Scene features to a flat list of tokens, of so many maps and boxes a second; ``inner`` channels in the image encoder."""

    form = "paper"

    def __init__(self, token_width: int, latent_rate: float, depth_rate: float = 4.0, box_rate: float = 30.0, inner: int = 32):
        super().__init__()
        if not (0 < depth_rate <= MOST_PER_SECOND and 0 < box_rate <= MOST_PER_SECOND):
            raise ValueError(f"{depth_rate} maps and {box_rate} boxes a second")
        self.latent_rate, self.depth_rate, self.box_rate = latent_rate, depth_rate, box_rate
        layers: list[nn.Module] = []
        for entering, leaving, stride in ((1, inner, 1), (inner, 2 * inner, 2), (2 * inner, 4 * inner, 2)):
            layers += [nn.Conv2d(entering, leaving, 3, stride, padding=1), nn.GELU()]
        self.encoder = nn.Sequential(*layers, nn.Flatten(-2))
        self.project = nn.Linear(4 * inner * 2, token_width)
        self.number = NumberToken(token_width)

    def forward(self, scene: SceneFeatures, envelope: Tensor) -> ControlOutput:
        """Tokens ``[B, N, token_width]`` alone; ``envelope`` plays no part in this form."""
        _, count, frames = scene.boxes.shape[:3]
        seconds = frames / self.latent_rate
        maps = scene.depth[:, _evenly(frames, round(seconds * self.depth_rate))]
        features = self.encoder(maps.flatten(0, 1)[:, None])
        pooled = torch.cat([features.mean(-1), features.amax(-1)], dim=-1).unflatten(0, maps.shape[:2])
        # a condition that is not there is a token of zeros, which attention with keys and values without bias passes over
        tokens = [self.project(pooled) * scene.has_depth[:, :, None]]
        if count:
            moments = _evenly(frames * SUBFRAMES, round(seconds * self.box_rate))
            boxes, seen = scene.boxes.flatten(2, 3)[:, :, moments], scene.seen.flatten(2, 3)[:, :, moments]
            numbers = self.number(boxes) * seen[..., None, None]
            tokens.append(numbers.flatten(1, 3))
        return ControlOutput(torch.cat(tokens, dim=1))


def _evenly(count: int, wanted: int) -> Tensor:
    wanted = max(1, wanted)
    return ((torch.arange(wanted) + 0.5) * count / wanted).long().clamp(max=count - 1)
