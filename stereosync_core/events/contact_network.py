"""The contact network: from a person's landmarks over time to foot contacts and landings. Trained on simulated people alone."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..assets import load_weights
from .body import RATE
from .landmarks import ANKLES, HEELS, HIPS, KNEES, SHOULDERS, TOES

#: Landmarks that the network sees, left before right.
SEEN = [place for pair in (SHOULDERS, HIPS, KNEES, ANKLES, HEELS, TOES) for place in pair]
#: Where each of them is in a mirror.
MIRRORED = [place ^ 1 for place in range(len(SEEN))]
_FEET = slice(6, 12)
#: What comes out, a frame: a foot's contact, a landing on both feet, the left and the right foot's contact, and whether each is
#: on the ground; as logits.
OUTPUTS = ("step", "landing", "left", "right", "left_grounded", "right_grounded")
FEATURES = len(SEEN) * 5 + 2 + 12
WIDTH, DILATIONS = 64, (1, 1, 2, 2, 4, 4, 8)


def features(points: np.ndarray, world: np.ndarray) -> np.ndarray:
    """What the network sees: float32 ``[..., N, FEATURES]``.

    :param points: ``[..., N, 12, 2]`` in body heights, the joints of :data:`SEEN`, :data:`RATE` frames a second.
    :param world: ``[..., N, 12, 3]`` in metres from the hips.
    """
    hips = points[..., 2:4, :].mean(-2, keepdims=True)
    moving = np.gradient(points[..., _FEET, :], axis=-3) * (RATE / 4)
    drift = np.gradient(hips[..., 0, :], axis=-2) * (RATE / 4)
    parts = [2 * (points - hips), world, moving, drift[..., None, :]]
    return np.concatenate([part.reshape(*part.shape[:-2], -1) for part in parts], axis=-1).astype(np.float32)


class ContactNetwork(nn.Module):
    """Dilated convolutions over time with skips (Bai et al., "An Empirical Evaluation of Generic Convolutional and Recurrent
    Networks for Sequence Modeling", 2018): ``[B, N, FEATURES]`` -> logits ``[B, N, 6]`` of :data:`OUTPUTS`."""

    def __init__(self):
        super().__init__()
        self.enter = nn.Conv1d(FEATURES, WIDTH, 3, padding=1)
        self.convs = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, 5, padding=2 * d, dilation=d) for d in DILATIONS)
        self.mixes = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, 1) for _ in DILATIONS)
        self.norms = nn.ModuleList(nn.GroupNorm(8, WIDTH) for _ in DILATIONS)
        self.leave = nn.Conv1d(WIDTH, len(OUTPUTS), 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.enter(x.transpose(1, 2))
        for conv, mix, norm in zip(self.convs, self.mixes, self.norms, strict=True):
            x = x + mix(F.gelu(conv(norm(x))))
        return self.leave(F.gelu(x)).transpose(1, 2)


def load_network() -> ContactNetwork:
    """The bundled weights on the CPU in single precision."""
    network = ContactNetwork()
    network.load_state_dict({key: value.float() for key, value in load_weights("contacts.safetensors").items()})
    return network.eval()
