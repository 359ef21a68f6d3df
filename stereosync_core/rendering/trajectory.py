"""Trajectory of a tracked object: azimuth, elevation, distance and presence on an even grid, smooth enough for sound
without audible steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ..scene import DepthSequence, Track, Tracks

#: Hz of the grid. Boxes come 10 to 30 a second; this is far above what a body does and far below the sampling rate.
CONTROL_RATE = 200.0
#: Seconds (standard deviation) over which a detector's jitter is averaged out.
SMOOTHING = 0.06
FADE, DECLICK = 0.15, 0.01  # seconds to fade in and out: audibly, and to avoid a click only
_DISTANCE_RATE = 12.0  # Hz; depth under a box changes slowly and is dear to look up


@dataclass(frozen=True)
class Trajectory:
    """An object's way, all ``[N]`` at ``arange(N) / CONTROL_RATE`` seconds.

    :param azimuth: -1 (left edge) to 1 (right edge).
    :param elevation: -1 (lower edge) to 1 (upper edge).
    :param distance: relative, 1 = the clip's median.
    :param presence: gain 0..1 that takes the sound away while the object is off screen.
    """

    azimuth: np.ndarray
    elevation: np.ndarray
    distance: np.ndarray
    presence: np.ndarray

    def __len__(self) -> int:
        return len(self.azimuth)


def follow(
    tracks: Tracks, track: Track, duration: float, depth: DepthSequence | None, offscreen: str, cue: str = "both"
) -> Trajectory:
    """The way of ``track`` (one of ``tracks``) from 0 to ``duration`` seconds.

    Between two boxes the object moves in a straight line, however long the gap: a sound that is held or fades while its object
    is hidden glides on rather than jumps.

    :param cue: what distance is taken from, see :meth:`Tracks.distance`.
    :param offscreen: ``fade`` (150 ms), ``mute`` (10 ms, only against the click) or ``hold`` (goes on sounding).
    """
    times = np.arange(int(np.ceil(duration * CONTROL_RATE)) + 2) / CONTROL_RATE
    gliding = replace(tracks, max_gap=max(tracks.duration, duration, track.end) + 1.0)

    def smooth(values: np.ndarray) -> np.ndarray:
        return gaussian_filter1d(values, SMOOTHING * CONTROL_RATE, mode="nearest")

    coarse = np.append(np.arange(0.0, times[-1], 1 / _DISTANCE_RATE), times[-1])
    distance = np.interp(times, coarse, np.log(np.maximum(gliding.distance(track, coarse, depth, cue), 1e-3)))
    presence = np.ones(len(times))
    if offscreen != "hold":
        _, visible = track.at(times, tracks.max_gap)
        length = max(round((FADE if offscreen == "fade" else DECLICK) * CONTROL_RATE), 1)
        ramp = np.hanning(length + 2)[1:-1]
        padded = np.pad(visible.astype(float), length, mode="edge")
        presence = np.convolve(padded, ramp / ramp.sum(), mode="same")[length:-length]
    return Trajectory(
        azimuth=smooth(track.azimuth(times, gliding.max_gap)),
        elevation=smooth(track.elevation(times, gliding.max_gap)),
        distance=np.exp(smooth(distance)),
        presence=np.clip(presence, 0.0, 1.0),
    )
