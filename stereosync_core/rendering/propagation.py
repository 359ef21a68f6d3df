"""What distance does to a sound: it grows softer, and air takes its treble."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

#: Bounds of the distance gain in dB: nothing disappears and nothing jumps at the listener.
SOFTEST, LOUDEST = -12.0, 9.0
#: Hz above which air absorbs noticeably, and what it takes there in dB for each unit of relative distance.
AIR_CORNER, AIR_LOSS, AIR_LOSS_MOST = 4000.0, 3.0, 12.0


def distance_gain(distance: np.ndarray, amount: float = 1.0) -> np.ndarray:
    """Gain ``[N]`` of a point source, 1 / distance (inverse distance law, 6 dB a doubling), gently bounded to -12..+9 dB.

    :param distance: relative ``[N]``, above zero, 1 = the clip's median.
    :param amount: exponent of the law: 0 = distance changes no level, 1 = physical.
    """
    level = -20 * amount * np.log10(np.maximum(distance, 1e-3))
    return 10 ** (np.where(level > 0, LOUDEST * np.tanh(level / LOUDEST), -SOFTEST * np.tanh(level / -SOFTEST)) / 20)


def air_gain(distance: np.ndarray, amount: float = 1.0) -> np.ndarray:
    """Gain ``[N]`` of the treble after the way through the air."""
    return 10 ** (-np.minimum(AIR_LOSS * amount * distance, AIR_LOSS_MOST) / 20)


class LowPass:
    """First-order low-pass that is given a signal piece by piece. The signal less its output is the matching high-pass, so a
    moving gain on the treble alone is a shelf that moves without clicks."""

    def __init__(self, corner: float, rate: float):
        """:param corner: Hz at which 3 dB are lost; held below the Nyquist frequency."""
        warped = np.tan(np.pi * min(corner, 0.45 * rate) / rate)
        self._b = np.array([warped, warped]) / (1 + warped)
        self._a = np.array([1.0, (warped - 1) / (1 + warped)])
        self._state: np.ndarray | None = None

    def __call__(self, signal: np.ndarray) -> np.ndarray:
        if self._state is None:
            self._state = np.zeros((*signal.shape[:-1], 1))
        result, self._state = lfilter(self._b, self._a, signal, axis=-1, zi=self._state)
        return result.astype(signal.dtype)
