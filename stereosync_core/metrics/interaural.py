"""How alike two stereo sounds are between their channels, as binaural generation is measured, and what one sound has there.

Level and phase differences by time and frequency (ILD and IPD distance), the interaural cross-correlation within a millisecond
(IACC, ISO 3382-1) with its lag, and the coherence of both channels by band.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import checks

_SIZE, _HOP = 1024, 256
#: dB beyond which level differences do not count as more, and Hz below which phases are compared.
LEVEL_LIMIT, PHASE_LIMIT = 25.0, 1500.0
#: Largest lag between the ears in seconds.
LARGEST_LAG = 0.001


def _spectra(stereo: np.ndarray) -> np.ndarray:
    """``[2, frames, bins]``."""
    padded = np.pad(stereo, [(0, 0), (_SIZE // 2, _SIZE)])
    frames = np.lib.stride_tricks.sliding_window_view(padded, _SIZE, axis=1)[:, ::_HOP]
    return np.fft.rfft(frames * np.hanning(_SIZE + 1)[:-1], axis=-1)


def _pair(sound: np.ndarray, reference: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spectra of both sounds and the part of the reference's power in each bin, zero in a silent reference."""
    first, second = checks.same_length(checks.stereo(sound), checks.stereo(reference, "reference"), rate)
    a, b = _spectra(first), _spectra(second)
    weight = np.square(np.abs(b)).sum(0)
    return a, b, weight


def ild_distance(sound: np.ndarray, reference: np.ndarray, rate: int) -> float | None:
    """Mean absolute difference of the level differences in dB, over time and frequency, weighted by the reference's power.

    None when the reference is silent. Where the sound itself is silent, its level difference counts as none.

    :raises StereoSyncError: for sounds that are not stereo, of different lengths, or with NaN.
    """
    a, b, weight = _pair(sound, reference, rate)
    if weight.sum() <= 0:
        return None
    floor = 1e-6 * np.sqrt(weight.max())
    differences = [
        20 * np.log10((np.abs(one[1]) + floor) / (np.abs(one[0]) + floor)).clip(-LEVEL_LIMIT, LEVEL_LIMIT) for one in (a, b)
    ]
    return float((weight * np.abs(differences[0] - differences[1])).sum() / weight.sum())


def ipd_distance(sound: np.ndarray, reference: np.ndarray, rate: int) -> float | None:
    """Mean absolute difference of the phase differences in radians, 0..pi, below 1.5 kHz, weighted by the weaker channel's
    power of the reference: a phase against silence says nothing. None when no bin has both channels."""
    a, b, _ = _pair(sound, reference, rate)
    low = np.fft.rfftfreq(_SIZE, 1 / rate) < PHASE_LIMIT
    weight = np.square(np.abs(b)).min(0)[:, low]
    if weight.sum() <= 0:
        return None
    turns = [(one[1] * one[0].conj())[:, low] for one in (a, b)]
    return float((weight * np.abs(np.angle(turns[0] * turns[1].conj()))).sum() / weight.sum())


@dataclass(frozen=True)
class CrossCorrelation:
    """:param peak: largest normalised cross-correlation within a millisecond, 0..1; None when a channel is silent.
    :param lag: seconds by which the left channel is late at the peak.
    """

    peak: float | None
    lag: float | None


def cross_correlation(sound: np.ndarray, rate: int) -> CrossCorrelation:
    """Interaural cross-correlation over the whole sound; 1 for one source at one place, lower for wide sound."""
    left, right = checks.stereo(sound)
    power = float(np.sqrt((left @ left) * (right @ right)))
    if power <= 0:
        return CrossCorrelation(None, None)
    reach = max(round(LARGEST_LAG * rate), 1)
    size = 1 << int(np.ceil(np.log2(len(left) + reach + 1)))
    across = np.fft.irfft(np.fft.rfft(left, size) * np.fft.rfft(right, size).conj(), size)
    lags = np.arange(-reach, reach + 1)
    values = np.abs(across[lags]) / power
    best = int(values.argmax())
    return CrossCorrelation(float(min(values[best], 1.0)), float(lags[best] / rate))


def coherence(sound: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres in Hz ``[B]`` of octave bands from 125 Hz on, and the magnitude-squared coherence of the channels
    ``[B]``: 1 where one is a filtered copy of the other, near 0 where they are independent, NaN in a band that is silent."""
    spectra = _spectra(checks.stereo(sound))
    frequencies = np.fft.rfftfreq(_SIZE, 1 / rate)
    centres = 125.0 * 2.0 ** np.arange(max(int(np.log2(0.45 * rate / 125)) + 1, 1))
    cross = np.abs((spectra[0] * spectra[1].conj()).sum(0)) ** 2
    power = np.square(np.abs(spectra)).sum(1)
    both = power[0] * power[1]
    result = np.full(len(centres), np.nan)
    for n, centre in enumerate(centres):
        band = (frequencies >= centre / 2**0.5) & (frequencies < centre * 2**0.5)
        known = band & (both > 1e-12 * max(both.max(), 1e-300))
        if known.any():
            result[n] = float((cross[known] / both[known] * np.sqrt(both[known])).sum() / np.sqrt(both[known]).sum())
    return centres, result
