"""The filters of the voices and the room, fixed and block by block."""

from typing import Literal

import numpy as np
from scipy.signal import butter, sosfilt

Kind = Literal["lowpass", "highpass", "bandpass"]


def butterworth(signal: np.ndarray, corner: float | tuple[float, float], kind: Kind, rate: float, order: int) -> np.ndarray:
    """The signal ``[..., N]`` through a Butterworth filter; corners (Hz) beyond the Nyquist frequency are held below it."""
    corners = np.minimum(np.atleast_1d(np.asarray(corner, dtype=np.float64)), 0.45 * rate)
    if len(corners) == 2:
        corners[0] = min(corners[0], 0.5 * corners[1])
    sections = butter(order, corners if len(corners) == 2 else corners[0], kind, fs=rate, output="sos")
    return np.asarray(sosfilt(sections, signal, axis=-1))


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
