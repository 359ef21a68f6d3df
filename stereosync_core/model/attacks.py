"""Attacks at the events alone, and to the sample: decoded sound begins to rise before its event, by the windows that levels are
read in, and the noise of a tail rises where nothing happens."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, sosfilt

from ..scene import Envelope

#: Seconds before an event in which sound rises that belongs to it, and of what went before, whose level is held there.
_RISE, _BEFORE = 0.024, 0.024
#: Seconds in which the level is read, and over which the gain is smoothed, so that nothing clicks.
_LEVEL, _SMOOTH = 0.003, 0.0005
#: Hertz above which sound is looked at; decibels a second by which it may rise where nothing happens, beside what its course
#: does; and seconds before and after an event in which it may rise as it likes.
_HERTZ, _EVEN, _FREE = 200.0, 100.0, (0.024, 0.03)
#: Seconds from one level of a tail to the next, and how many are read at once.
_STEP, _STEPS = 0.001, 5


def moments_of(times: Iterable[float], moments: np.ndarray) -> np.ndarray:
    """Bool ``[M]``: of evenly spaced ``moments`` (seconds) those that are next to one of the ``times``."""
    apart = np.abs(moments[:, None] - np.array([*times], dtype=np.float64))
    return apart.min(1, initial=np.inf) <= moments[1] - moments[0]


def with_sharp_attacks(samples: np.ndarray, rate: int, times: Iterable[float]) -> np.ndarray:
    """The sound float32 ``[C, N]`` without what rises ahead of its events at ``times`` (seconds): up to each it goes on
    no louder than it was, in both channels alike, so that their difference in level stays. An event that soon after another
    rises out of the other's sound, which stays."""
    rise, before, smooth = (max(1, round(seconds * rate)) for seconds in (_RISE, _BEFORE, _LEVEL))
    power = uniform_filter1d((samples.astype(np.float64) ** 2).sum(0), smooth, mode="constant")
    gain = np.ones(samples.shape[1])
    previous = 0
    for event in sorted(round(time * rate) for time in times):
        first, last = max(event - rise, 0), min(event, len(gain))
        before_it, previous = previous, event
        if not before_it <= first < last:
            continue  # what sounds there is the event before it, or it lies behind the end
        held = power[max(first - before, 0) : first].mean() if first else 0.0
        gain[first:last] = np.minimum(gain[first:last], np.sqrt(held / np.maximum(power[first:last], held + 1e-30)))
    return samples * uniform_filter1d(gain, max(1, round(_SMOOTH * rate))).astype(np.float32)


def with_even_tails(samples: np.ndarray, rate: int, envelope: Envelope) -> np.ndarray:
    """The sound float32 ``[C, N]`` without attacks that neither the envelope's course has nor its events: noise that dies away
    has some of its own. Channels are brought down alike, so that their difference in level stays."""
    hop = max(1, round(_STEP * rate))
    highpass, starts = butter(2, _HERTZ, "highpass", fs=rate, output="sos"), np.arange(0, samples.shape[1], hop)
    treble = np.sum([np.add.reduceat(np.asarray(sosfilt(highpass, channel)) ** 2, starts) for channel in samples], axis=0)
    moments = (starts + hop / 2) / rate
    course = np.interp(moments, envelope.times, envelope.values)
    over = 10 * np.log10(uniform_filter1d(treble / hop, _STEPS).clip(1e-12)) - 20 * np.log10(course.clip(1e-6))
    excess = np.zeros(len(over))
    for event, following in pairwise([-np.inf, *sorted(event.time for event in envelope.events or ()), np.inf]):
        calm = slice(*np.searchsorted(moments, [event + _FREE[1], following - _FREE[0]]))
        held = over[calm] - _EVEN * moments[calm]
        excess[calm] = held - np.minimum.accumulate(held)
    return samples * np.interp(np.arange(samples.shape[1]) / rate, moments, 10 ** (-excess / 20)).astype(np.float32)
