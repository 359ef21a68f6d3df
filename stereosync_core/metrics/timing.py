"""Whether things sound when they should: loudness curves (E-L1 as in Stable-V2A, arXiv 2412.15023) and onsets, whose F1 is
mir_eval's (Raffel et al. 2014): docs/metrics.md."""

from dataclasses import dataclass

import mir_eval
import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from ..errors import StereoSyncError
from . import checks
from .truth import Counted

RATE, CURVE_FRAME, CURVE_HOP = 44100, 512, 128
#: Seconds by which a detected onset may differ from a true one.
TOLERANCE = 0.05
#: dB that an onset must rise by; tuned on validation rooms.
RISE = 2.5
#: Seconds within which what begins at the same place, to so many dB of level difference, is the same step's second contact.
_CONTACTS, _SAME_PLACE = 0.12, 1.5
_HOP, _FRAME = 0.005, 0.023


def rms_curve(sound: np.ndarray) -> np.ndarray:
    """Root-mean-square level ``[1 + N // 128]`` of the mono mix of ``[C, N]`` at 44.1 kHz; frames are centred on multiples of
    128 samples, silence is beyond the ends. Raises StereoSyncError for NaN or a shape that is no sound."""
    power = np.square(checks.mono(sound))
    sums = np.concatenate([[0.0], np.cumsum(power)])
    centres = np.arange(0, len(power) + 1, CURVE_HOP)
    first, last = np.clip(centres - CURVE_FRAME // 2, 0, len(power)), np.clip(centres + CURVE_FRAME // 2, 0, len(power))
    return np.sqrt(np.maximum(sums[last] - sums[first], 0.0) / CURVE_FRAME)


def envelope_l1(sound: np.ndarray, reference: np.ndarray, rate: int = RATE, reference_rate: int = RATE) -> float:
    """E-L1 of ``[C, N]`` against ``[C, M]``, full scale = 1. The shorter sound is continued with silence. Raises
    StereoSyncError for rates other than 44.1 kHz, NaN, or lengths more than a quarter of a second apart."""
    if not rate == reference_rate == RATE:
        raise StereoSyncError(f"Metrics: sounds of {rate} and {reference_rate} samples a second; resample them to {RATE}.")
    sounds = checks.mono(sound), checks.mono(reference, "reference")
    lengths = [len(one) for one in sounds]
    if abs(lengths[0] - lengths[1]) > checks.LENGTH_TOLERANCE * RATE:
        seconds = " and ".join(f"{length / RATE:.2f} s" for length in lengths)
        raise StereoSyncError(f"Metrics: the sounds last {seconds}; compare sounds of the same clip and at the same rate.")
    first, second = (rms_curve(np.pad(one, (0, max(lengths) - len(one)))) for one in sounds)
    return float(np.abs(first - second).mean())


def onsets(sound: np.ndarray, rate: int) -> np.ndarray:
    """Times in seconds at which something starts to sound in ``[C, N]``; an empty list for silence.

    Candidates are peaks of the rise of log energy in third-octave bands (spectral flux, as in Dixon 2006). One counts when the
    level after it stands 2.5 dB above the loudest of the 0.12 s before it, on average of the sound and of its treble: the toe
    that comes after the heel, and the grains of gravel, do not. A toe that is louder than its heel comes from where it did,
    and is left out for that.
    """
    mono = checks.mono(sound)
    hop, size = round(_HOP * rate), round(_FRAME * rate)
    padded = np.pad(mono, (size - hop, size))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)) ** 2
    edges = np.unique(np.searchsorted(np.fft.rfftfreq(size, 1 / rate), 100 * 2 ** (np.arange(0, 8, 1 / 3))))
    bands = np.add.reduceat(power, edges[:-1], axis=1)
    loudest = bands.sum(1).max()
    if loudest <= 1e-20:
        return np.zeros(0)
    level = 10 * np.log10(bands / loudest + 1e-4)
    # The last hop of a frame is its newest sound: row n compares frames n + 2 and n.
    flux = np.maximum(level[2:] - level[:-2], 0.0).mean(1)
    peaks = (flux >= maximum_filter1d(flux, 11)) & (flux > 0.08 * flux.max())
    found = np.flatnonzero(peaks)
    risen = np.mean([_rise(np.square(one), hop, found + 1) for one in (mono, np.diff(mono, prepend=0.0))], axis=0)
    return _first_contacts((found[risen > RISE] + 1.5) * hop / rate, np.asarray(sound, dtype=np.float64), rate)


def _first_contacts(times: np.ndarray, sound: np.ndarray, rate: int) -> np.ndarray:
    """Of onsets ``[M]`` in ``[C, N]``, those that are no second contact of the one before."""
    kept: list[float] = []
    places: list[float] = []
    for time in times.tolist():
        part = sound[:, max(round(time * rate), 0) : round((time + 0.03) * rate)]
        power = 10 * np.log10(np.square(part).sum(1) + 1e-12)
        place = float(power[-1] - power[0])
        if not kept or time - kept[-1] > _CONTACTS or abs(place - places[-1]) > _SAME_PLACE:
            kept.append(time)
            places.append(place)
    return np.array(kept)


def _rise(power: np.ndarray, hop: int, at: np.ndarray) -> np.ndarray:
    """dB ``[len(at)]`` by which the loudest of the 50 ms from hop ``at`` on stands above the loudest of the 120 ms before."""
    smooth = 10 * np.log10(uniform_filter1d(power, 4 * hop)[::hop] + 1e-4 * power.max() * hop / len(power) + 1e-20)
    before, after = round(0.12 / _HOP), round(0.04 / _HOP)
    padded = np.pad(smooth, (before, after + 2), constant_values=smooth.min())
    spans = np.lib.stride_tricks.sliding_window_view(padded, before + after)
    # span n holds the hops from n - before to n + after; the moment itself belongs to neither side
    rows = spans[np.clip(at, 0, len(spans) - 1)]
    return rows[:, before - 2 :].max(1) - rows[:, : before - 4].max(1)


@dataclass(frozen=True)
class OnsetCounts(Counted):
    """Onsets that were paired, true ones in all and detected ones in all."""

    paired: int = 0
    true: int = 0
    detected: int = 0

    @property
    def f1(self) -> float | None:
        """None when there was nothing to find and nothing found; 0 only when the one is without the other."""
        return 2 * self.paired / (self.true + self.detected) if self.true + self.detected else None


def onset_counts(true: np.ndarray, detected: np.ndarray, ignored: np.ndarray | None = None) -> OnsetCounts:
    """Onsets of one clip compared, all in seconds.

    :param ignored: times of onsets that are neither wanted nor wrong: steps that the picture does not show. Detected onsets
        that pair with one of these and with no true one are left out.
    """
    true, detected = np.sort(np.asarray(true, dtype=np.float64)), np.sort(np.asarray(detected, dtype=np.float64))
    pairs = mir_eval.util.match_events(true, detected, TOLERANCE) if len(true) and len(detected) else []
    left = np.delete(detected, [second for _, second in pairs])
    count = len(detected)
    if ignored is not None and len(ignored) and len(left):
        count -= len(mir_eval.util.match_events(np.sort(np.asarray(ignored, dtype=np.float64)), left, TOLERANCE))
    return OnsetCounts(len(pairs), len(true), count)
