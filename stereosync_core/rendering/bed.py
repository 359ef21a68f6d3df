"""An ambience bed: a sound that goes on under all else, wide, and out of the way of speech and of what is placed ahead."""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, oaconvolve, sosfiltfilt

from ..errors import StereoSyncError
from ..media.ducking import SPEECH
from ..media.loudness import amplified, integrated_loudness
from ..media.sound import Sound

#: Seconds of the crossfade from one turn of the bed to the next, at most a third of it.
_FADE = 1.0
#: Seconds of the noise that makes the two sides differ, and correlation of the channels above which they count as one.
_SPREAD, _ALIKE = 0.03, 0.9


def ambience_bed(
    sound: Sound, duration: float, *, centre_db: float = -12.0, loudness: float | None = -40.0, seed: int = 0
) -> Sound:
    """A stereo bed of any length out of a recording of any length.

    Its turns are crossfaded without a seam. What both channels have in common is turned down by ``centre_db`` in the band of
    speech, so that the centre stays free; a mono sound is made wide first, by noise of 30 ms a side.

    :param loudness: LUFS of the bed; None leaves its level.
    :return: ``[2, round(duration * rate)]``.
    :raises StereoSyncError: for numbers that make no sense, and a sound that is silent or too short for a loudness.
    """
    if not (np.isfinite(duration) and duration * sound.rate >= 1):
        raise StereoSyncError(f"Ambience bed: the duration is {duration} seconds; give the video's length, above zero.")
    if not -60 <= centre_db <= 0:
        raise StereoSyncError(f"Ambience bed: the centre is {centre_db} dB; give -60 to 0.")
    samples = _endless(sound.samples[:2].astype(np.float64), round(duration * sound.rate), sound.rate)
    left, right = _wide(samples, sound.rate, seed)
    middle, side = (left + right) / 2, (left - right) / 2
    corners = (SPEECH[0], min(SPEECH[1], 0.45 * sound.rate))
    speech = sosfiltfilt(butter(2, corners, "bandpass", fs=sound.rate, output="sos"), middle)  # in phase, to be subtracted
    middle = middle - speech * (1 - 10 ** (centre_db / 20))
    bed = Sound(np.stack([middle + side, middle - side]), sound.rate)
    if loudness is None:
        return bed
    now = integrated_loudness(bed)
    if now is None:
        raise StereoSyncError(
            "Ambience bed: the sound is silent or shorter than 0.4 s, so it has no loudness; give a longer one."
        )
    return amplified(bed, loudness - now)


def _endless(samples: np.ndarray, total: int, rate: int) -> np.ndarray:
    length = samples.shape[1]
    fade = max(1, min(round(_FADE * rate), length // 3))
    ramp = np.sin(np.linspace(0, np.pi / 2, fade)) ** 2
    result = np.zeros((len(samples), total))
    for start in range(0, total, max(1, length - fade)):
        turn = samples.copy()
        turn[:, -fade:] *= np.sqrt(ramp[::-1])
        if start:
            turn[:, :fade] *= np.sqrt(ramp)
        part = result[:, start : start + length]
        part += turn[:, : part.shape[1]]
    return result


def _wide(samples: np.ndarray, rate: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    left, right = samples[0], samples[-1]
    power = np.sqrt((left @ left) * (right @ right))
    if power > 0 and left @ right < _ALIKE * power:
        return left, right
    time = np.arange(max(2, round(_SPREAD * rate))) / rate
    noise = np.random.default_rng(seed).standard_normal((2, len(time))) * np.exp(-4 * time / _SPREAD)
    noise /= np.sqrt((noise**2).sum(1, keepdims=True))
    middle = (left + right) / 2
    return oaconvolve(middle, noise[0])[: len(middle)], oaconvolve(middle, noise[1])[: len(middle)]
