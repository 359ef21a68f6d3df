"""The filters of the voices and the room, fixed and block by block."""

from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.signal import butter, sosfilt

Kind = Literal["lowpass", "highpass", "bandpass"]


def butterworth(signal: np.ndarray, corner: float | tuple[float, float], kind: Kind, rate: float, order: int) -> np.ndarray:
    """The signal ``[..., N]`` through a Butterworth filter; corners (Hz) beyond the Nyquist frequency are held below it."""
    corners = tuple(np.minimum(np.atleast_1d(corner), 0.45 * rate).tolist())
    return np.asarray(sosfilt(_sections(corners, kind, rate, order), signal, axis=-1))


@lru_cache(maxsize=64)
def _sections(corners: tuple[float, ...], kind: Kind, rate: float, order: int) -> np.ndarray:
    """Designing a filter takes longer than filtering a footstep with it."""
    if len(corners) == 2:
        return np.asarray(butter(order, (min(corners[0], 0.5 * corners[1]), corners[1]), kind, fs=rate, output="sos"))
    return np.asarray(butter(order, corners[0], kind, fs=rate, output="sos"))


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
