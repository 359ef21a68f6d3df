"""What distance does to a sound: it grows softer, and air takes its treble."""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, sosfilt

#: Bounds of the distance gain in dB: nothing falls silent and nothing jumps close to the camera.
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
        self._sections = butter(1, min(corner, 0.45 * rate), fs=rate, output="sos")
        self._state: np.ndarray | None = None

    def __call__(self, signal: np.ndarray) -> np.ndarray:
        if self._state is None:
            self._state = np.zeros((1, *signal.shape[:-1], 2))
        result, self._state = sosfilt(self._sections, signal, axis=-1, zi=self._state)
        return result.astype(signal.dtype)
