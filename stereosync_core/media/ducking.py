"""One sound that makes way for another: its gain follows the other's level in the band of speech."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.signal import butter, sosfilt

from ..scratch import release, zeros
from .sound import Sound

#: Hz of the band by which speech is intelligible.
SPEECH = (300.0, 3400.0)
_HOP = 0.01  # seconds of a level
_HOPS = 2000  # that are worked on at a time
#: dB below the loudest at which the other begins to count, and over which it comes to count wholly; dBFS below which it never
#: does.
_BEGIN, _RISE, _SILENCE = 30.0, 12.0, -60.0
#: Seconds before and after the other that the gain is down, and over which it glides (standard deviation).
_HOLD, _GLIDE = (0.06, 0.3), 0.06
DEPTH = 12.0  # dB


def ducking_gain(key: Sound, depth_db: float = DEPTH) -> Callable[[np.ndarray], np.ndarray]:
    """Gain float32 ``[N]`` as a function of seconds ``[N]``: ``depth_db`` down while ``key`` sounds in the band of speech, from
    shortly before until a while after, and 1 elsewhere. Steady noise far below the key's loudest does not count."""
    hop = max(1, round(_HOP * key.rate))
    level = _speech_levels(key, hop)
    loudest = float(np.percentile(level, 95))
    present = np.clip((level - max(loudest - _BEGIN, _SILENCE)) / _RISE, 0.0, 1.0)
    before, after = (round(seconds / _HOP) for seconds in _HOLD)
    width = before + after + 1
    held = maximum_filter1d(present, width, origin=(after - before) // 2, mode="constant")
    smooth = gaussian_filter1d(held, _GLIDE / _HOP, mode="nearest")
    times = (np.arange(len(smooth)) + 0.5) * hop / key.rate
    return lambda seconds: (10 ** (-depth_db * np.interp(seconds, times, smooth) / 20)).astype(np.float32)


def _speech_levels(key: Sound, hop: int) -> np.ndarray:
    """Decibels of each ``hop`` samples in the band of speech."""
    high = min(SPEECH[1], 0.45 * key.rate)
    band = np.asarray(butter(2, (min(SPEECH[0], high / 2), high), "bandpass", fs=key.rate, output="sos"))
    state, powers = np.zeros((len(band), 2)), []
    for at in range(0, key.length, _HOPS * hop):
        part, state = sosfilt(band, key.samples[:, at : at + _HOPS * hop].mean(0), zi=state)
        powers.append((np.pad(part, (0, -len(part) % hop)).reshape(-1, hop) ** 2).mean(1))
        release(key.samples)
    return 10 * np.log10(np.maximum(np.concatenate(powers), 1e-12))


def ducked(sound: Sound, key: Sound, depth_db: float = DEPTH) -> Sound:
    """The sound, down by ``depth_db`` while ``key`` sounds in the band of speech; both begin at the same moment."""
    gain, step = ducking_gain(key, depth_db), _HOPS * max(1, round(_HOP * sound.rate))
    result = zeros(sound.samples.shape)
    for at in range(0, sound.length, step):
        part = sound.samples[:, at : at + step]
        np.multiply(part, gain((at + np.arange(part.shape[1])) / sound.rate), out=result[:, at : at + step])
        release(sound.samples)
        release(result)
    return Sound(result, sound.rate)
