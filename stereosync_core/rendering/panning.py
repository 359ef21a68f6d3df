"""Where a sound comes from: level and time differences between the ears, and the moving delay that makes the latter."""

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import oaconvolve

from .hrtf import hrirs

SPEED_OF_SOUND = 343.0
HEAD_RADIUS = 0.0875
#: Level difference at the edge of the frame, in dB. Finite, so that the far channel never falls silent altogether.
EDGE_LEVEL_DIFFERENCE = 24.0

_PAN_ARC = 2 * np.arctan(10 ** (EDGE_LEVEL_DIFFERENCE / 20)) - np.pi / 2


def pan_gains(azimuth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left and right gain ``[N]`` of the constant-power pan law for azimuth ``[N]`` in -1..1: the cosine and sine of one angle,
    -3 dB each in the middle, the level difference growing all the way to the edges."""
    angle = np.pi / 4 + np.clip(azimuth, -1.0, 1.0) * _PAN_ARC / 2
    return np.cos(angle), np.sin(angle)


def interaural_time_difference(angle: np.ndarray) -> np.ndarray:
    """Seconds ``[N]`` by which the sound reaches the left ear later, for a source at ``angle`` radians ``[N]`` to the right, up
    to 0.66 ms: Woodworth's formula for a rigid spherical head (Woodworth and Schlosberg, "Experimental Psychology", 1954)."""
    angle = np.clip(angle, -np.pi / 2, np.pi / 2)
    return HEAD_RADIUS / SPEED_OF_SOUND * (angle + np.sin(angle))


@lru_cache(maxsize=1)
def _farrow_coefficients(taps: int = 32, degree: int = 6) -> np.ndarray:
    """Polynomials ``[degree + 1, taps]`` in (fraction - 0.5) of a Kaiser-windowed sinc's taps."""
    fraction = np.linspace(0, 1, 65)
    distance = np.arange(taps) - (taps // 2 - 1) - fraction[:, None]
    window = np.i0(8.0 * np.sqrt(np.clip(1 - (distance / (taps / 2)) ** 2, 0, 1))) / np.i0(8.0)
    filters = np.sinc(distance) * window
    filters /= filters.sum(1, keepdims=True)
    powers = np.vander(fraction - 0.5, degree + 1, increasing=True)
    return np.linalg.lstsq(powers, filters, rcond=None)[0]


class MovingDelay:
    """A signal read at places that move continuously, band-limited and free of clicks (C. Farrow, "A continuously variable
    digital delay element", ISCAS 1988): fixed filters run once over the signal, after which any number of delays, each changing
    from sample to sample, cost one polynomial a sample."""

    def __init__(self, signal: np.ndarray):
        coefficients = _farrow_coefficients().astype(signal.dtype)
        before = coefficients.shape[1] // 2
        padded = np.pad(signal, (before - 1, before))
        self._bank = coefficients @ np.ascontiguousarray(sliding_window_view(padded, coefficients.shape[1]).T)

    def read(self, position: np.ndarray) -> np.ndarray:
        """The signal ``[N]`` at the (fractional) sample positions ``[N]``; outside the signal its ends are held."""
        position = np.clip(position, 0, self._bank.shape[1] - 1)
        whole = position.astype(np.intp)
        fraction = (position - whole - 0.5).astype(self._bank.dtype)
        result = self._bank[-1][whole]
        for row in self._bank[-2::-1]:
            result *= fraction
            result += row[whole]
        return result


def filter_binaural(channels: np.ndarray, azimuth: np.ndarray, elevation: np.ndarray, rate: int, hop: int) -> np.ndarray:
    """Both channels ``[2, M]`` through the head-related responses of a moving direction, as ``[2, M + taps - 1]``: pieces under
    a triangle window, ``hop`` samples apart, each filtered with the response at its centre, overlap-add to a steady crossfade.

    :param azimuth: degrees ``[M // hop + 1]``, at samples 0, hop, 2 hop ...; so is ``elevation``. M is a multiple of hop.
    """
    filters = np.stack(hrirs(azimuth, elevation, rate)[:2]).astype(channels.dtype)
    taps = filters.shape[-1]
    rise = np.arange(hop, dtype=channels.dtype) / hop
    output = np.zeros((2, channels.shape[1] + hop + taps - 1), dtype=channels.dtype)
    for side, signal in enumerate(channels):
        chunks = signal.reshape(-1, hop)
        # the chunk after a centre fades out of the centre's response, and into the next centre's
        pieces = np.zeros((len(azimuth), 2 * hop), dtype=channels.dtype)
        pieces[1:, :hop] = chunks * rise
        pieces[:-1, hop:] = chunks * (1 - rise)
        filtered = oaconvolve(pieces, filters[side], axes=-1)
        span = filtered.shape[-1]
        for k in range(len(azimuth)):
            start = (k - 1) * hop
            skip = max(-start, 0)
            stop = min(start + span, output.shape[1])
            output[side, start + skip : stop] += filtered[k, skip : skip + stop - start - skip]
    return output[:, : channels.shape[1] + taps - 1]
