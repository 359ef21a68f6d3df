"""Loudness after ITU-R BS.1770 and the true peak."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pyloudnorm
from scipy.signal import resample_poly

from ..errors import StereoSyncError
from .sound import Sound, to_stereo

#: Length of BS.1770's gating block in seconds; shorter sounds have no loudness.
_BLOCK = 0.4

#: BS.1770's absolute gate in LUFS: what is quieter counts as silence.
_GATE = -70.0


@dataclass(frozen=True)
class Levelled:
    """What :func:`to_loudness` made."""

    sound: Sound  # changed by ``gain_db``
    before: float | None  # LUFS, None where it cannot be measured
    after: float | None  # LUFS, likewise
    gain_db: float
    reason: str = ""  # why the target was not reached; empty when it was


def integrated_loudness(sound: Sound) -> float | None:
    """Integrated loudness in LUFS after ITU-R BS.1770-4, None for sound that is silent (below -70 LUFS) or shorter than 0.4 s.

    The LFE of 5.1 does not count, as in the standard; sound with more than six channels is mixed to stereo first.
    """
    if sound.duration < _BLOCK:
        return None
    samples = sound.samples
    if sound.channels == 6:
        samples = np.delete(samples, 3, axis=0)
    elif sound.channels > 5:
        samples = to_stereo(samples)
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore")
        loudness = float(pyloudnorm.Meter(sound.rate, block_size=_BLOCK).integrated_loudness(samples.T.astype(np.float64)))
    return loudness if np.isfinite(loudness) and loudness >= _GATE else None


def true_peak(sound: Sound) -> float:
    """Highest absolute value between and at the samples, by 4-fold oversampling (ITU-R BS.1770-4, annex 2); 1 = full scale."""
    peak, step, edge = 0.0, 1 << 18, 64
    for at in range(0, sound.length, step):
        part = sound.samples[:, max(0, at - edge) : at + step + edge]
        peak = max(peak, float(np.abs(part).max()), float(np.abs(resample_poly(part, 4, 1, axis=1)).max()))
    return peak


def to_loudness(sound: Sound, target_lufs: float, peak_dbtp: float = -1.0) -> Levelled:
    """The sound at a loudness, by one gain for all of it; nothing is clipped or compressed.

    Where the gain would drive the true peak above ``peak_dbtp``, it is less, and the reason is given. Silent sound and sound
    shorter than 0.4 s come back unchanged, with the reason.

    :param target_lufs: integrated loudness in LUFS, for example -23 (EBU R 128) or -14 (streaming).
    :raises StereoSyncError: a number that makes no sense.
    """
    if not (np.isfinite(target_lufs) and _GATE <= target_lufs <= 0):
        raise StereoSyncError(f"Loudness: the target is {target_lufs} LUFS; give a number from -70 to 0, for example -23.")
    if not (np.isfinite(peak_dbtp) and peak_dbtp <= 0):
        raise StereoSyncError(f"Loudness: the peak bound is {peak_dbtp} dBTP; give a number up to 0, for example -1.")
    before = integrated_loudness(sound)
    if before is None:
        reason = f"it is shorter than {_BLOCK} s" if sound.duration < _BLOCK else f"it is silent (below {_GATE:.0f} LUFS)"
        return Levelled(sound, None, None, 0.0, f"The sound was left as it is: {reason}.")
    wanted = target_lufs - before
    room = peak_dbtp - 20 * np.log10(max(true_peak(sound), 1e-9))
    gain = float(min(wanted, room))
    reason = "" if gain > wanted - 0.01 else f"Its peaks allow {before + gain:.1f} LUFS only (true peak {peak_dbtp:g} dBTP)."
    return Levelled(Sound(sound.samples * np.float32(10 ** (gain / 20)), sound.rate), before, before + gain, gain, reason)
