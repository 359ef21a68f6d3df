"""The one kind of fixed filter that the voices and the room use."""

from __future__ import annotations

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
