"""A recording made into sounds of a library: takes that begin with their attack, loops without a seam, one level for all."""

from __future__ import annotations

import numpy as np
import pyloudnorm
from scipy.ndimage import maximum_filter1d, uniform_filter1d
from scipy.signal import butter, sosfilt

from ..media.loudness import integrated_loudness
from ..media.sound import Sound

#: Samples a second of every sound in a library.
RATE = 44100
#: Seconds that a one-shot lasts at most.
LONGEST = 3.0
#: K-weighted level of a one-shot's loudest 50 ms, dBFS; loops have it as their loudness in LUFS. No peak passes :data:`PEAK`.
LEVEL = -20.0
LOOP_LEVEL = -23.0
PEAK = 10 ** (-1 / 20)
#: An attack's first sample is the first above this part of the peak of the 30 ms after it.
_ATTACK = 0.1
_FLOOR = 1e-4  # -80 dBFS: what stays below counts as silent


def cleaned(samples: np.ndarray) -> np.ndarray:
    """Mono float32 ``[N]`` of ``[C, N]`` without what lies below 30 Hz. The louder channel is taken where the two cancel."""
    mono = samples.mean(0)
    loudest = samples[int(np.argmax((samples**2).mean(1)))]
    if (mono**2).mean() < 0.1 * (loudest**2).mean():
        mono = loudest
    return sosfilt(butter(2, 30.0, "highpass", fs=RATE, output="sos"), mono.astype(np.float64)).astype(np.float32)


def attack_of(samples: np.ndarray, start: int = 0, stop: int | None = None) -> int | None:
    """The sample of ``[N]`` at which the first sound between ``start`` and ``stop`` begins, None where all is silent."""
    part = np.abs(samples[start:stop])
    peak = float(part.max(initial=0.0))
    if peak < _FLOOR:
        return None
    # the noise before it may be loud: an attack stands out of the quietest tenth as well as near the peak
    smooth = np.sqrt(uniform_filter1d(part.astype(np.float64) ** 2, round(0.002 * RATE)).clip(0))
    threshold = max(0.04 * float(smooth.max()), min(3 * float(np.percentile(smooth, 10)), 0.3 * float(smooth.max())))
    rough = int(np.argmax(smooth > threshold))
    near = part[max(rough - round(0.003 * RATE), 0) : rough + round(0.03 * RATE)]
    return start + max(rough - round(0.003 * RATE), 0) + int(np.argmax(near >= _ATTACK * near.max()))


def takes_of(samples: np.ndarray, *, gap: float = 0.08, least: float = 0.04) -> list[np.ndarray]:
    """The single sounds in a recording ``[N]``, each from its attack to its end, at most :data:`LONGEST` seconds.

    :param gap: seconds of quiet (22 dB below the loudest) that part two sounds.
    :param least: seconds that a sound lasts at least; a shorter one is a click and left out.
    """
    envelope = np.sqrt(uniform_filter1d(samples.astype(np.float64) ** 2, round(0.005 * RATE)).clip(0))
    loud = maximum_filter1d(envelope, round(gap * RATE)) > 0.08 * envelope.max(initial=_FLOOR)
    edges = np.flatnonzero(np.diff(loud.astype(np.int8), prepend=0, append=0))
    takes = []
    for place, (start, stop) in enumerate(edges.reshape(-1, 2)):
        following = edges[2 * place + 2] if 2 * place + 2 < len(edges) else len(samples)
        first = attack_of(samples, start, stop)
        if first is None or stop - first < (least + gap / 2) * RATE:
            continue
        takes.append(one_shot(samples[first:following]))
    peaks = [float(np.abs(take).max()) for take in takes]
    return [take for take, peak in zip(takes, peaks, strict=True) if peak > 0.1 * max(peaks)]


def one_shot(samples: np.ndarray) -> np.ndarray:
    """``[N]`` that begins with its attack, ended where it has died away (50 dB) or at :data:`LONGEST`, faded at the end."""
    samples = samples[: round(LONGEST * RATE)]
    envelope = np.sqrt(uniform_filter1d(samples.astype(np.float64) ** 2, round(0.01 * RATE)).clip(0))
    audible = np.flatnonzero(envelope > max(10 ** (-50 / 20) * envelope.max(initial=0), _FLOOR / 2))
    end = min(len(samples), (int(audible[-1]) if len(audible) else 0) + round(0.03 * RATE))
    result = samples[:end].astype(np.float32)
    fade = min(round(0.1 * RATE), end // 4)
    if fade:
        result[-fade:] *= np.cos(np.linspace(0, np.pi / 2, fade, dtype=np.float32)) ** 2
    return result


def seamless(samples: np.ndarray, longest: float = 6.0) -> np.ndarray:
    """``[N]`` that may be repeated without a seam: its end is blended into what lies before its beginning, at equal power."""
    samples = samples[: round(longest * RATE)]
    fade = min(round(0.25 * RATE), len(samples) // 4)
    result = samples[fade:].astype(np.float32)
    angle = np.linspace(0, np.pi / 2, fade, dtype=np.float32)
    result[-fade:] = result[-fade:] * np.cos(angle) + samples[:fade] * np.sin(angle)
    return result


def levelled(samples: np.ndarray, loop: bool) -> np.ndarray:
    """``[N]`` at the library's level; less where its peak would pass :data:`PEAK`."""
    if loop:
        loudness = integrated_loudness(Sound(samples[None], RATE))
        wanted = LOOP_LEVEL - (LOOP_LEVEL if loudness is None else loudness)
    else:
        wanted = LEVEL - strike_level(samples)
    gain = min(10 ** (wanted / 20), PEAK / max(float(np.abs(samples).max()), _FLOOR))
    return (samples * np.float32(gain)).astype(np.float32)


def strike_level(samples: np.ndarray) -> float:
    """K-weighted level of the loudest 50 ms of ``[N]`` in dBFS: what a sound too short for a loudness is judged by."""
    weighted = np.pad(samples.astype(np.float64), (0, round(0.05 * RATE)))
    for stage in pyloudnorm.Meter(RATE)._filters.values():
        weighted = stage.apply_filter(weighted)
    power = uniform_filter1d(weighted**2, round(0.05 * RATE)).max()
    return float(10 * np.log10(max(power, 1e-12)))
