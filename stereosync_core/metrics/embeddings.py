"""Features of sounds as the Frechet distance takes them, in memory and in a journal."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class SoundFeatures:
    """Features of one sound: ``[K, D]``, and in the joint form ``[K, D + V]`` with ``split`` = D, else 0."""

    features: np.ndarray
    split: int = 0

    def record(self) -> dict[str, Any]:
        data = base64.b64encode(self.features.astype(np.float32).tobytes()).decode()
        return {"data": data, "width": int(self.features.shape[1]), "split": self.split}

    @staticmethod
    def of_record(data: Mapping[str, Any]) -> SoundFeatures:
        flat = np.frombuffer(base64.b64decode(data["data"]), np.float32).astype(np.float64)
        return SoundFeatures(flat.reshape(-1, data["width"]), int(data["split"]))


def stacked(sounds: Sequence[SoundFeatures]) -> tuple[np.ndarray, np.ndarray]:
    """Features ``[N, D]`` of all sounds, and the number of the sound that each is of ``[N]``."""
    groups = np.repeat(np.arange(len(sounds)), [len(one.features) for one in sounds])
    return np.concatenate([one.features for one in sounds]), groups
