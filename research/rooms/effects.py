"""Changes to a recorded sound that make many voices of a few takes: pitch, equaliser, a second sound laid under the first."""

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.signal import sosfilt

#: Corners in Hz of the equaliser's shelves.
LOW_SHELF, HIGH_SHELF = 250.0, 3500.0


def shift_pitch(sound: np.ndarray, semitones: float, loop: bool = False) -> np.ndarray:
    """The sound ``[N]`` played faster or slower, float32 ``[about N / 2 ** (semitones / 12)]``: its first sample stays the
    first. ``loop``: the end is joined to the beginning, and stays so."""
    factor = 2 ** (semitones / 12)
    length = max(round(len(sound) / factor), 1)
    # a loop's step is rounded to whole samples of its length, so that it closes
    step = len(sound) / length if loop else factor
    places = np.arange(length) * step
    mode = "grid-wrap" if loop else "constant"
    return map_coordinates(sound.astype(np.float64), places[None], order=3, mode=mode).astype(np.float32)


def equalise(sound: np.ndarray, rate: float, low: float = 0.0, middle: tuple[float, float] = (1000.0, 0.0), high: float = 0.0):
    """The sound ``[N]`` with dB ``low`` below 250 Hz, dB ``high`` above 3.5 kHz, and a bell of an octave: ``middle`` is its Hz
    and dB. Filters as in R. Bristow-Johnson's "Cookbook formulae for audio EQ biquad filter coefficients"; float32."""
    sections = [_shelf(LOW_SHELF, low, rate, -1), _bell(*middle, rate), _shelf(HIGH_SHELF, high, rate, 1)]
    return np.asarray(sosfilt(np.array(sections), sound)).astype(np.float32)


def layered(sound: np.ndarray, under: np.ndarray, decibels: float) -> np.ndarray:
    """Both sounds from their first sample on, float32; the peak of ``under`` is ``decibels`` from that of ``sound``."""
    result = np.zeros(max(len(sound), len(under)), np.float32)
    result[: len(sound)] = sound
    result[: len(under)] += under * np.float32(peak_of(sound) * 10 ** (decibels / 20) / max(peak_of(under), 1e-9))
    return result


def peak_of(sound: np.ndarray) -> float:
    """Largest magnitude."""
    return float(np.abs(sound).max(initial=0.0))


def _shelf(corner: float, decibels: float, rate: float, side: int) -> list[float]:
    """Second-order section of a shelf of slope 1; ``side`` -1 = low, 1 = high."""
    a, angle = 10 ** (decibels / 40), 2 * np.pi * corner / rate
    cosine, width = side * np.cos(angle), 2 * np.sqrt(a) * np.sin(angle) / 2 * np.sqrt(2)
    rows = [
        a * ((a + 1) + (a - 1) * cosine + width),
        -side * 2 * a * ((a - 1) + (a + 1) * cosine),
        a * ((a + 1) + (a - 1) * cosine - width),
        (a + 1) - (a - 1) * cosine + width,
        side * 2 * ((a - 1) - (a + 1) * cosine),
        (a + 1) - (a - 1) * cosine - width,
    ]
    return [row / rows[3] for row in rows]


def _bell(centre: float, decibels: float, rate: float) -> list[float]:
    a, angle = 10 ** (decibels / 40), 2 * np.pi * centre / rate
    width, cosine = np.sin(angle) / (2 * 1.4), -2 * np.cos(angle)
    rows = [1 + width * a, cosine, 1 - width * a, 1 + width / a, cosine, 1 - width / a]
    return [row / rows[3] for row in rows]
