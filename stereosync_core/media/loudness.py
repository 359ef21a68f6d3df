"""Loudness after ITU-R BS.1770 and the true peak."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyloudnorm
from scipy.ndimage import maximum_filter1d
from scipy.signal import lfilter, oaconvolve, resample_poly

from ..errors import StereoSyncError
from ..scratch import extremes, multiply, release, zeros
from .sound import Sound, to_stereo

#: LUFS of kinds of delivery: music and video services, EBU R 128, and films on services.
PRESETS = {"streaming": -14.0, "broadcast": -23.0, "film": -27.0}

#: Length of BS.1770's gating block in seconds; shorter sounds have no loudness.
_BLOCK = 0.4

#: BS.1770's absolute gate in LUFS: what is quieter counts as silence.
_GATE = -70.0
#: LUFS of K-weighted power 1.
_UNIT = -0.691

#: Decibels that are as good as none; rounds in which a limited sound is brought to its loudness, and how near it has to come.
_CLOSE, _ROUNDS, _NEAR = 0.01, 8, 0.05
#: Decibels by which a sound may be amplified into the limiter.
_DEEPEST = 24.0
#: The limiter's seconds of turning down, decibels a second of letting go, and seconds that a part looks back and ahead.
_ATTACK, _LET_GO, _MEMORY = 0.005, 100.0, 0.5
#: Samples of a part that is worked on at a time, and around it that resampling needs.
_STEP, _EDGE = 1 << 18, 64


@dataclass(frozen=True)
class Levelled:
    """A sound whose level was changed."""

    sound: Sound
    before: float | None  # LUFS, None where it cannot be measured
    after: float | None  # LUFS, likewise
    gain_db: float  # of the whole; a limiter's share is not in it
    peak_dbtp: float | None = None  # true peak, None where it was not measured
    reason: str = ""  # why the target was not reached, or why the level was changed without one; empty when all is as wanted


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
    weights = np.array([1.0, 1.0, 1.0, 1.41, 1.41])[: len(samples)]
    power = weights @ _block_powers(samples, sound.rate)
    with np.errstate(divide="ignore"):
        loudness = _UNIT + 10 * np.log10(power)
        loud = power[loudness >= _GATE]
        relative = _UNIT + 10 * np.log10(loud.mean()) - 10.0 if len(loud) else 0.0
        kept = power[(loudness > relative) & (loudness > _GATE)]
        result = _UNIT + 10 * np.log10(kept.mean()) if len(kept) else -np.inf
    return float(result) if result >= _GATE else None


def _block_powers(samples: np.ndarray, rate: int) -> np.ndarray:
    """K-weighted mean square ``[C, J]`` of the gating blocks of ``samples [C, N]``, a quarter of a block apart. The sound is
    filtered piece by piece, for in double precision a long one would not fit into memory."""
    length = samples.shape[1]
    count = round((length / rate - _BLOCK) / (_BLOCK / 4)) + 1
    starts, ends = ((_BLOCK * (np.arange(count) / 4 + more) * rate).astype(np.int64).clip(0, length) for more in (0, 1))
    filters = [(np.asarray(stage.b), np.asarray(stage.a)) for stage in pyloudnorm.Meter(rate)._filters.values()]
    states = [np.zeros((len(samples), len(b) - 1)) for b, _ in filters]
    bounds = np.unique(np.concatenate([starts, ends]))
    until = np.zeros((len(samples), len(bounds)))  # energy before each bound
    total = np.zeros((len(samples), 1))
    for at in range(0, length, _STEP):
        part = samples[:, at : at + _STEP].astype(np.float64)
        for n, (b, a) in enumerate(filters):
            part, states[n] = lfilter(b, a, part, axis=1, zi=states[n])
        energy = np.concatenate([total, total + np.cumsum(part**2, axis=1)], axis=1)
        here = (bounds >= at) & (bounds <= at + part.shape[1])
        until[:, here] = energy[:, bounds[here] - at]
        total = energy[:, -1:]
        release(samples)
    return (until[:, np.searchsorted(bounds, ends)] - until[:, np.searchsorted(bounds, starts)]) / (_BLOCK * rate)


def true_peak(sound: Sound) -> float:
    """Highest absolute value between and at the samples, by 4-fold oversampling (ITU-R BS.1770-4, annex 2); 1 = full scale."""
    peak = 0.0
    for at in range(0, sound.length, _STEP):
        part = sound.samples[:, max(0, at - _EDGE) : at + _STEP + _EDGE]
        peak = max(peak, float(np.abs(part).max()), float(np.abs(resample_poly(part, 4, 1, axis=1)).max()))
        release(sound.samples)
    return peak


def in_decibels(peak: float) -> float:
    """Decibels of a peak, 0 at full scale."""
    return float(20 * np.log10(max(peak, 1e-9)))


def level_text(loudness: float | None, peak_dbtp: float | None) -> str:
    """A loudness in LUFS and a true peak, for people."""
    measured = "too short or silent for a loudness" if loudness is None else f"{loudness:.1f} LUFS"
    return measured if peak_dbtp is None else f"{measured}, true peak {peak_dbtp:.1f} dBTP"


def to_loudness(sound: Sound, target_lufs: float, peak_dbtp: float = -1.0, *, limiter: bool = False) -> Levelled:
    """The sound at a loudness, by one gain for all of it; nothing is clipped.

    Where the gain would drive the true peak above ``peak_dbtp``, it is less, and the reason is given. Silent sound and sound
    shorter than 0.4 s come back unchanged, with the reason.

    :param target_lufs: integrated loudness in LUFS, for example -23 (EBU R 128) or -14 (streaming).
    :param limiter: turn moments above ``peak_dbtp`` down instead of the whole, by :func:`limited`.
    :raises StereoSyncError: a number that makes no sense.
    """
    check_loudness(target_lufs)
    if not (np.isfinite(peak_dbtp) and peak_dbtp <= 0):
        raise StereoSyncError(f"Loudness: the peak bound is {peak_dbtp} dBTP; give a number up to 0, for example -1.")
    before, peak = integrated_loudness(sound), in_decibels(true_peak(sound))
    if before is None:
        reason = f"it is shorter than {_BLOCK} s" if sound.duration < _BLOCK else f"it is silent (below {_GATE:.0f} LUFS)"
        return Levelled(sound, None, None, 0.0, peak, f"The sound was left as it is: {reason}.")
    gain, room = target_lufs - before, peak_dbtp - peak
    if gain <= room + _CLOSE or not limiter:
        gain = min(gain, room)
        result = amplified(sound, gain)
        after = integrated_loudness(result)
    else:
        for _ in range(_ROUNDS):  # what the limiter takes is missing in the loudness
            gain = min(gain, room + _DEEPEST)
            result = limited(amplified(sound, gain), peak_dbtp)
            after = integrated_loudness(result)
            missing = target_lufs - (after or target_lufs)
            if abs(missing) < _NEAR or (missing > 0 and gain == room + _DEEPEST):
                break
            gain += missing
    reason, help = "", " with a limiter" if limiter else "; a limiter would turn these down alone"
    if after is not None and after < target_lufs - 0.2:
        reason = f"Its peaks allow {after:.1f} LUFS only, not {target_lufs:g} (true peak {peak_dbtp:g} dBTP){help}."
    return Levelled(result, before, after, gain, in_decibels(true_peak(result)), reason)


def check_loudness(target_lufs: float) -> None:
    """Raises StereoSyncError where this is no loudness to bring a sound to."""
    if not (np.isfinite(target_lufs) and _GATE <= target_lufs <= 0):
        raise StereoSyncError(f"Loudness: the target is {target_lufs} LUFS; give a number from -70 to 0, for example -23.")


def below_full_scale(sound: Sound) -> Levelled:
    """The sound, turned down as a whole where its samples pass full scale, which most codecs would clip, with the reason."""
    low, high = extremes(sound.samples)
    peak = in_decibels(max(high, -low))
    gain = min(0.0, -peak)
    reason = f"The sound passes full scale by {peak:.1f} dB, so it was turned down by as much." if peak > _CLOSE else ""
    result = amplified(sound, gain) if gain else sound
    return Levelled(result, None, None, gain, None, reason)


def levelled(sound: Sound, target_lufs: float | None = None, *, limiter: bool = False, clips: bool = True) -> Levelled:
    """A sound as it is to be written: :func:`to_loudness` where there is a target; else :func:`below_full_scale` where what it
    is written as ``clips``."""
    if target_lufs is not None:
        return to_loudness(sound, target_lufs, limiter=limiter)
    if clips:
        return below_full_scale(sound)
    return Levelled(sound, None, None, 0.0)


def amplified(sound: Sound, gain_db: float) -> Sound:
    result = zeros(sound.samples.shape)
    multiply(sound.samples, 10 ** (gain_db / 20), result)
    return Sound(result, sound.rate)


def limited(sound: Sound, peak_dbtp: float = -1.0) -> Sound:
    """The sound with a true peak of at most ``peak_dbtp``: all channels are turned down together where they are higher, from
    5 ms before, and let go at 100 dB a second."""
    ceiling, fade = 10 ** (peak_dbtp / 20), max(1, round(_ATTACK * sound.rate / 2))
    kernel = np.hanning(2 * fade + 3)[1:-1] / (fade + 1)
    result, edge = zeros(sound.samples.shape), round(_MEMORY * sound.rate)
    for at in range(0, sound.length, _STEP):
        first, end = max(0, at - edge), min(sound.length, at + _STEP)
        part = sound.samples[:, first : min(sound.length, end + edge)]
        between = np.abs(resample_poly(part, 4, 1, axis=1)).max(axis=0).reshape(-1, 4).max(axis=1)
        above = 20 * np.log10(np.maximum(np.maximum(between, np.abs(part).max(axis=0)) / ceiling, 1.0))
        falling = _LET_GO / sound.rate * np.arange(len(above))
        above = np.maximum.accumulate(above + falling) - falling
        # of the most that the kernel covers, the mean is nowhere less than what is needed
        most = maximum_filter1d(np.pad(above, 2 * fade, mode="edge"), 2 * fade + 1)
        gain = 10 ** (-oaconvolve(most, kernel, "same")[2 * fade : -2 * fade] / 20)
        result[:, at:end] = (part * gain)[:, at - first : end - first]
        release(sound.samples)
        release(result)
    return amplified(Sound(result, sound.rate), min(0.0, peak_dbtp - in_decibels(true_peak(Sound(result, sound.rate)))))
