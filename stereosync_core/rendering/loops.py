"""What sounds as long as it is there: a loop that runs with its thing's presence, speed and approach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import resample as fourier_resample

from ..scene import Track, Tracks
from ..sounds.shape import RATE

#: What runs faster the faster it goes, with its height in metres, by which its distance is known for the Doppler shift.
ENGINES = {
    "car": 1.5,
    "truck": 3.2,
    "bus": 3.1,
    "train": 3.8,
    "motorcycle": 1.4,
    "boat": 2.5,
    "airplane": 6.0,
    "helicopter": 4.0,
}
_HEIGHT = 1.6  # metres of anything else
#: Distance over height of what fills the picture's height, at 60 degrees of width.
_FAR = 1.54
_SPEED_OF_SOUND = 343.0
_GRID = 50.0  # Hz
_FADE = 0.3  # seconds in which a loop comes and goes
_SLOW = 0.35  # seconds (standard deviation) over which speeds are averaged
#: Of an engine at rest and at full speed: octaves of pitch, dB.
_REST, _FULL = (-0.25, -7.0), (0.35, 0.0)
_OVERSAMPLED = 4  # between these samples a straight line is good enough
_BLOCK = 1 << 20  # samples made at a time


def loop_blocks(
    track: Track,
    tracks: Tracks,
    samples: np.ndarray,
    rate: int,
    total: int,
    *,
    begin: float,
    always: bool,
    doppler: bool,
) -> Iterator[tuple[int, np.ndarray]]:
    """``total`` samples of a loop ``[N]`` that goes with a track, as the first sample of a block and the block ``[n]``. Its
    loudness by distance is left to whoever places it.

    :param begin: where in the loop the voice begins, 0..1.
    :param always: whether it goes on while the thing is out of the picture.
    :param doppler: whether its pitch rises while the thing comes nearer.
    """
    times = np.arange(int(np.ceil(total / rate * _GRID)) + 2) / _GRID
    gliding = replace(tracks, max_gap=max(tracks.duration, track.end) + 1.0)
    boxes, _ = track.at(times, gliding.max_gap)

    def smooth(values: np.ndarray) -> np.ndarray:
        return gaussian_filter1d(values, _SLOW * _GRID, mode="nearest")

    height = np.exp(smooth(np.log(np.maximum(boxes[:, 3] - boxes[:, 1], 0.02))))
    pitch, level = np.zeros(len(times)), np.zeros(len(times))
    if track.label in ENGINES:
        across = smooth((boxes[:, 0] + boxes[:, 2]) / 2) * tracks.aspect
        # heights a second: across the picture, and towards or away from it
        speed = np.hypot(np.gradient(across, 1 / _GRID) / height, _FAR * np.gradient(np.log(height), 1 / _GRID) / height)
        effort = np.tanh(speed / 2)
        pitch, level = (low + (high - low) * effort for low, high in zip(_REST, _FULL, strict=True))
    reading = 2**pitch
    if doppler:
        distance = _FAR * ENGINES.get(track.label, _HEIGHT) / height
        reading = reading / np.clip(1 + np.gradient(distance, 1 / _GRID) / _SPEED_OF_SOUND, 0.5, 2.0)
    presence = np.ones(len(times))
    if not always:
        _, there = track.at(times, tracks.max_gap)
        ramp = np.hanning(round(_FADE * _GRID) + 2)[1:-1]
        presence = np.convolve(np.pad(there.astype(float), len(ramp), mode="edge"), ramp / ramp.sum(), "same")[
            len(ramp) : -len(ramp)
        ]
    # a loop is periodic: this way it is finer without a seam
    fine = np.asarray(fourier_resample(samples.astype(np.float64), _OVERSAMPLED * len(samples)))
    read = np.concatenate([[0.0], np.cumsum((reading[1:] + reading[:-1]) / (2 * _GRID))]) + begin * len(samples) / RATE
    gain = presence * 10 ** (level / 20)
    for start in range(0, total, _BLOCK):
        at = np.arange(start, min(start + _BLOCK, total)) / rate
        position = np.interp(at, times, read) * RATE * _OVERSAMPLED
        whole = np.floor(position)
        part, whole = position - whole, whole.astype(np.int64)
        sound = fine[whole % len(fine)] * (1 - part) + fine[(whole + 1) % len(fine)] * part
        yield start, sound * np.interp(at, times, gain)
