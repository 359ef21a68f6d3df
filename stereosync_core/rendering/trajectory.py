"""The way of an object through a clip, as whatever places a sound needs it: smoothed, without gaps, with what fades it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ..scene import DepthSequence, Track, Tracks

OFFSCREEN = ("fade", "hold", "mute")
#: Hz of the trajectories. Boxes come 10 to 30 a second; this is far above what a body does and far below the sampling rate.
CONTROL_RATE = 200.0
SMOOTHING = 0.06  # seconds (standard deviation) over which a detector's jitter is averaged out
FADE, DECLICK = 0.15, 0.01  # seconds to fade in and out: audibly, and to avoid a click only
_DISTANCE_RATE = 12.0  # Hz; depth under a box changes slowly and is dear to look up
_PIECE = 1 << 16  # moments whose boxes are looked up at a time
_VERTICAL = 9 / 16  # height of the frame over its width, for the angle of elevation


@dataclass(frozen=True)
class Trajectory:
    """An object's way, all ``[N]`` at ``arange(N) / CONTROL_RATE`` seconds."""

    azimuth: np.ndarray  # -1 (left edge) to 1 (right edge)
    elevation: np.ndarray  # -1 (lower edge) to 1 (upper edge)
    distance: np.ndarray  # relative, 1 = the clip's median
    presence: np.ndarray  # gain 0..1 that takes the sound away while the object is off screen

    def __len__(self) -> int:
        return len(self.azimuth)

    def degrees(self, width: float, field_of_view: float) -> tuple[np.ndarray, np.ndarray]:
        """Azimuth and elevation in degrees ``[N]``, right and up above 0, where the frame spans ``field_of_view`` degrees."""
        half = field_of_view / 2
        return self.azimuth * width * half, self.elevation * half * _VERTICAL

    def around(self, start: int, count: int, rate: int) -> tuple[Trajectory, Callable[[np.ndarray], np.ndarray]]:
        """The part of the way in which ``count`` samples from sample ``start`` on lie, and linear interpolation of its values
        ``[n]`` to them: what a renderer makes of a long clip's way as a whole would not fit into memory."""
        position = (start + np.arange(count)) * (CONTROL_RATE / rate)
        whole = np.minimum(position.astype(np.intp), len(self) - 2)
        part = np.clip(position - whole, 0.0, 1.0)
        first, end = whole[0], whole[-1] + 2
        whole -= first

        def interpolate(values: np.ndarray) -> np.ndarray:
            result = np.diff(values)[whole]
            result *= part
            result += values[whole]
            return result

        ways = (self.azimuth, self.elevation, self.distance, self.presence)
        return Trajectory(*(values[first:end] for values in ways)), interpolate


def assigned(count: int, tracks: Tracks | None) -> list[Track]:
    """The tracks that so many voices go along: one each, a single voice along the most prominent of every moment."""
    if tracks is None or count > 1:
        return list(tracks or ())[:count]
    return [tracks.in_turn()] if len(tracks) else []


def follow(
    tracks: Tracks,
    track: Track,
    duration: float,
    depth: DepthSequence | None = None,
    offscreen: str = "fade",
    cue: str = "both",
) -> Trajectory:
    """The way of ``track`` from 0 to ``duration`` seconds. Between two boxes the object moves in a straight line, however long
    the gap: a sound that is held or fades while its object is hidden glides on rather than jumps.

    :param offscreen: what its presence is while it is out of the picture, one of :data:`OFFSCREEN`.
    :param cue: of its distance, as :meth:`Tracks.distance` has it.
    """
    times = np.arange(int(np.ceil(duration * CONTROL_RATE)) + 2) / CONTROL_RATE
    gap = max(tracks.duration, duration, track.end) + 1.0

    def of_all(measure: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Of a long clip's times piece by piece, since boxes take many times the memory of what is made of them."""
        return np.concatenate([measure(some) for some in np.array_split(times, len(times) // _PIECE + 1)])

    def smooth(values: np.ndarray) -> np.ndarray:
        return gaussian_filter1d(values, SMOOTHING * CONTROL_RATE, mode="nearest")

    coarse = np.append(np.arange(0.0, times[-1], 1 / _DISTANCE_RATE), times[-1])
    distance = np.interp(times, coarse, np.log(np.maximum(tracks.distance(track, coarse, depth, cue, gap), 1e-3)))
    presence = np.ones(len(times))
    if offscreen != "hold":
        visible = of_all(lambda some: track.at(some, tracks.max_gap)[1])
        length = max(round((FADE if offscreen == "fade" else DECLICK) * CONTROL_RATE), 1)
        ramp = np.hanning(length + 2)[1:-1]
        padded = np.pad(visible.astype(float), length, mode="edge")
        presence = np.convolve(padded, ramp / ramp.sum(), mode="same")[length:-length]
    return Trajectory(
        azimuth=smooth(of_all(lambda some: track.azimuth(some, gap))),
        elevation=smooth(of_all(lambda some: track.elevation(some, gap))),
        distance=np.exp(smooth(distance)),
        presence=np.clip(presence, 0.0, 1.0),
    )
