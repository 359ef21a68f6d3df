"""Timbre of any sound as one vector, from a reference or from the name of a surface or of a thing.

It takes the mono mix, so that no place leaks in: the embedding of :mod:`...sound_embedding`, in the directions in which the
training sounds differ most, each as wide as the next.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import StereoSyncError
from ...sound_embedding import WIDTHS, embed_aisfx


def check_audible(mono: np.ndarray) -> None:
    """:raises StereoSyncError: when a sound ``[N]`` is silent, empty or not finite."""
    if not np.isfinite(mono).all() or not np.abs(mono).max(initial=0) > 0:
        raise StereoSyncError("Timbre: the reference is silent, empty or holds NaN; give one with samples above 0.")


class SoundTimbre(nn.Module):
    """A mono sound to a vector; ``vectors`` holds the mean one of each of ``names``: surfaces, and classes of sounds."""

    mean: Tensor
    directions: Tensor
    vectors: Tensor

    def __init__(self, names: Sequence[str], size: int = 64):
        super().__init__()
        self.size, self.names = size, tuple(names)
        self.config = {"type": "aisfx", "size": size, "names": list(names)}
        self.register_buffer("mean", torch.zeros(WIDTHS[-1]))
        self.register_buffer("directions", torch.zeros((WIDTHS[-1], size)))
        self.register_buffer("vectors", torch.zeros((len(names), size)))

    def forward(self, features: Tensor) -> Tensor:
        """Vectors ``[B, size]`` of length ``sqrt(size)`` of features ``[B, 512]`` of the embedding."""
        return nn.functional.normalize((features - self.mean) @ self.directions, dim=-1) * self.size**0.5

    def of_sound(self, samples: np.ndarray, rate: int) -> Tensor:
        """Vector ``[size]`` of a sound ``[C, N]``; its loudness does not matter. Raises StereoSyncError when it is silent,
        empty or not finite."""
        check_audible(np.asarray(samples, dtype=np.float64).mean(0))
        features = embed_aisfx(samples, rate)[0].mean(0)
        return self(torch.from_numpy(features).to(self.mean)[None])[0]

    def of_name(self, name: str) -> Tensor:
        """Vector ``[size]`` of a surface or a class of sounds. Raises StereoSyncError for a name that is not known."""
        if name not in self.names:
            raise StereoSyncError(f"Timbre: '{name}' is not known; choose one of {', '.join(self.names)}.")
        return self.vectors[self.names.index(name)]
