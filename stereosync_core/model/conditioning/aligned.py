"""The ``aligned`` form of spatial conditions: cues tied to their latent frame. Each track's box and the depth under it become
one vector a latent frame; a softmax over the tracks, from their gaits and the envelope, assigns each moment to them; the sum is
added along the latent axis to the blocks' inputs. Order and number of tracks do not matter."""

import math

import torch
from torch import Tensor, nn

from ..control import ControlOutput, zero_module
from ..precision import LSTM
from .features import DEPTH_GRID, MOMENT_VALUES, SUBFRAMES, SceneFeatures, moment_features

#: Octaves of the azimuth's Fourier features.
_OCTAVES = 4
_BOX_VALUES = SUBFRAMES * 6 + 2 * _OCTAVES + 6
#: Logit of a track that is not seen.
UNSEEN = -1e4


def dilated_convolutions(entering: int, width: int, count: int) -> nn.Sequential:
    """Convolutions over nine moments, each with twice the dilation of the one before."""
    layers: list[nn.Module] = []
    for n in range(count):
        layers += [nn.Conv1d(width if n else entering, width, 9, padding=4 * 2**n, dilation=2**n), nn.GELU()]
    return nn.Sequential(*layers)


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


class TrackAssignment(nn.Module):
    """Which track makes the sound of a moment: a logit of each track, from its gait, the others', and the envelope
    (docs/training.md)."""

    def __init__(self, width: int):
        super().__init__()
        self.track = dilated_convolutions(MOMENT_VALUES + 1, width, 4)
        self.recurrent = LSTM(2 * width, width, batch_first=True, bidirectional=True)
        self.claim = nn.Linear(2 * width, 1)  # the logits; named as in saved weights

    def forward(self, moments: Tensor, envelope: Tensor) -> Tensor:
        """Logarithms of the shares ``[B, 1 + K, M]`` of no track and of each track in each moment, of :func:`moment_features`
        and an envelope ``[B, SUBFRAMES, T]``."""
        batch, count = moments.shape[:2]
        seen = moments[..., -1]
        loudness = envelope.mT.flatten(1)[:, None, :, None].expand(-1, count, -1, -1)
        values = torch.cat([moments, loudness], dim=-1)
        own = self.track(values.flatten(0, 1).mT).mT.unflatten(0, (batch, count)) * seen[..., None]
        others = own.sum(1, keepdim=True) - own
        hidden = self.recurrent(torch.cat([own, others], dim=-1).flatten(0, 1))[0]
        logits = self.claim(hidden)[..., 0].unflatten(0, (batch, count)).masked_fill(seen == 0, UNSEEN)
        # the logit of no track is zero: where no track's is above it, the sound is assigned to none
        return torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1).log_softmax(1)


class AlignedConditions(nn.Module):
    """Scene features to residuals for the backbone's blocks.

    :param width: of the backbone's hidden state, ``inner`` of the tracks' vectors, ``gait`` of :class:`TrackAssignment`.
    :param blocks: how many blocks the backbone has; every ``every``-th gets a residual, the first one always.
    """

    form = "aligned"

    def __init__(self, width: int, blocks: int, inner: int = 128, every: int = 2, gait: int = 64):
        super().__init__()
        self.ownership = TrackAssignment(gait)
        self.track = nn.Sequential(nn.Linear(_BOX_VALUES + SUBFRAMES, inner), Mix(inner), Mix(inner))
        self.owned = nn.Linear(SUBFRAMES * MOMENT_VALUES, inner, bias=False)
        self.nobody = nn.Parameter(torch.zeros(inner))  # the vector of no track; named as in saved weights
        self.maps = nn.Sequential(nn.Linear(DEPTH_GRID[0] * DEPTH_GRID[1] + 1, inner), nn.GELU(), nn.Linear(inner, inner))
        self.mix = Mix(inner)
        self.norm = nn.LayerNorm(inner)
        self.into = nn.ModuleList(zero_module(nn.Linear(inner, width)) for _ in range(0, blocks, every))
        self.every = every

    def forward(self, scene: SceneFeatures, envelope: Tensor) -> ControlOutput:
        """Residuals ``[B, T, width]``, no tokens, and the track assignment; ``envelope [B, SUBFRAMES, T]`` is zeros where there
        is none."""
        batch, count, frames = scene.boxes.shape[:3]
        maps = torch.cat([scene.depth.flatten(2), scene.has_depth[:, None].expand(-1, frames, -1)], dim=-1)
        summed, log_probs = self.maps(maps), None
        if count:
            values = torch.cat([box_values(scene), envelope.mT[:, None].expand(-1, count, -1, -1)], dim=-1)
            vectors = self.track(values.flatten(0, 1)).unflatten(0, (batch, count))
            moments = moment_features(scene)
            log_probs = self.ownership(moments, envelope)
            shares = with_owners(log_probs.exp(), scene.owners.flatten(2))
            # the assigned track's box at every moment, and its vector at every latent frame
            owned = (shares[:, 1:, :, None] * moments).sum(1)
            shares = shares.unflatten(2, (frames, SUBFRAMES)).mean(-1)
            summed = summed + (shares[:, 1:, :, None] * vectors).sum(1) + shares[:, 0, :, None] * self.nobody
            summed = summed + self.owned(owned.unflatten(1, (frames, SUBFRAMES)).flatten(2))
        else:
            summed = summed + self.nobody
        mixed, skipped = self.norm(self.mix(summed)), [None] * (self.every - 1)
        return ControlOutput(None, tuple(each for into in self.into for each in (into(mixed), *skipped)), log_probs)


def with_owners(shares: Tensor, owners: Tensor) -> Tensor:
    """The head's shares ``[B, 1 + K, M]``, but for what is known of them, ``owners [B, K, M]``."""
    return (1 - owners.sum(1, keepdim=True)).clamp(min=0) * shares + nn.functional.pad(owners, (0, 0, 1, 0))


def box_values(scene: SceneFeatures) -> Tensor:
    """Features of boxes ``[B, K, T, _BOX_VALUES]``: at every moment its place, size and whether it is seen; once a latent frame
    the azimuth's Fourier features, elevation, extent and the depth under it."""
    x0, y0, x1, y1 = scene.boxes.unbind(-1)  # [B, K, T, S]
    seen = scene.seen
    width, height = (x1 - x0).clamp(min=1e-3), (y1 - y0).clamp(min=1e-3)
    moments = [value * seen for value in (x0 + x1 - 1, 1 - y0 - y1, y1 - 0.5, width.log(), height.log())] + [seen]
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
