"""The bundled audio embedding for Frechet distances: sound as features with times."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..media.sound import Sound, resample
from . import aisfx, checks

#: ``(sound [C, N], rate) -> (features [K, D], times [K] of the windows' middles in seconds)``
AudioEmbedding = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]


def embed_aisfx(sound: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """The bundled embedding: 512 features every 1.16 s, of windows 2.3 s long. Sound shorter than a window is continued with
    silence; what is left over at the end of a longer one is not looked at.

    :raises StereoSyncError: for NaN, an empty sound, or when the weights are missing.
    """
    with torch.inference_mode():
        mono = checks.mono(sound)
        if rate != aisfx.RATE:
            mono = resample(Sound(mono[None].astype(np.float32), rate), aisfx.RATE).samples[0].astype(np.float64)
        frames = aisfx.spectrogram(mono)
        if len(frames) < aisfx.FRAMES:
            frames = torch.nn.functional.pad(frames, (0, 0, 0, aisfx.FRAMES - len(frames)))
        windows = frames.unfold(0, aisfx.FRAMES, aisfx.STEP).transpose(1, 2)
        features = torch.cat([aisfx.network()(part) for part in windows.split(8)]).double().numpy()
    times = (np.arange(len(features)) * aisfx.STEP + (aisfx.FRAMES - 1) / 2) * aisfx.HOP / aisfx.RATE
    return features, times


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
