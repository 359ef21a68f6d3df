"""Loudness envelopes of sounds."""

from __future__ import annotations

import numpy as np

from ..scene import Envelope

_HOP = 0.005  # seconds from value to value


def envelope_of_sound(samples: np.ndarray, rate: int, *, window: float = 0.03) -> Envelope:
    """Root-mean-square level over time of the mono mix of ``[C, N]``: whatever is spatial must come from the scene, not leak in
    through the timing. A value is averaged over ``window`` seconds, centred on its time."""
    power = np.square(np.asarray(samples, dtype=np.float64).mean(axis=0))
    total = np.concatenate([[0.0], np.cumsum(power)])
    times = np.arange(0.0, max(len(power) / rate, _HOP), _HOP)
    first = np.clip(((times - window / 2) * rate).round().astype(int), 0, len(power))
    last = np.clip(((times + window / 2) * rate).round().astype(int), 0, len(power))
    # Cumulative sums of non-negative numbers may still differ by a rounding below zero.
    mean = np.maximum(total[last] - total[first], 0.0) / np.maximum(last - first, 1)
    return Envelope(np.sqrt(mean), times)
