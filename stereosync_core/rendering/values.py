"""What is known of an object as numbers a frame: for pictures, animations and effects that are to go with it."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass

import numpy as np

from ..errors import StereoSyncError
from ..media.envelope import envelope_of_sound
from ..media.sound import Sound
from ..scene import DepthSequence, Track, Tracks
from .room import distance_gain
from .trajectory import CONTROL_RATE, follow

VALUES = ("azimuth", "distance", "level", "visibility")
#: Most values of a clip: two hours of 240 frames a second.
_MOST = 2_000_000


@dataclass(frozen=True)
class TrackValues:
    """An object's values, all float64 ``[N]``, at ``times`` in seconds."""

    times: np.ndarray
    azimuth: np.ndarray  # -1 left edge .. 1 right edge
    distance: np.ndarray  # 1 = the clip's median
    level: np.ndarray  # gain of its distance, or the level of a sound, 0 where it is out of the picture
    visibility: np.ndarray  # 1 in the picture, 0 out of it, with short ramps

    def of(self, name: str, unit: bool = False) -> np.ndarray:
        """One of :data:`VALUES`; ``unit`` brings it to 0..1: azimuth from edge to edge, distance and level by their own range.

        :raises StereoSyncError: for another name.
        """
        if name not in VALUES:
            raise StereoSyncError(f"Values: there is no '{name}'; choose one of {', '.join(VALUES)}.")
        values = getattr(self, name)
        if not unit or name == "visibility":
            return values
        low, high = (-1.0, 1.0) if name == "azimuth" else (float(values.min()), float(values.max()))
        return (values - low) / max(high - low, 1e-9)

    def text(self, form: str) -> str:
        """All values as ``json`` (a list a name) or ``csv`` (a line a frame)."""
        names = ("times", *VALUES)
        columns = [np.round(getattr(self, name), 6).tolist() for name in names]
        if form == "json":
            return json.dumps(dict(zip(names, columns, strict=True)))
        sheet = io.StringIO()
        csv.writer(sheet, lineterminator="\n").writerows([names, *zip(*columns, strict=True)])
        return sheet.getvalue()


def chosen_track(tracks: Tracks, text: str) -> Track:
    """The track of the id in a text, or the most prominent of each moment where the text is empty.

    :raises StereoSyncError: where there is none of that id, or none at all.
    """
    if not text.strip():
        return tracks.in_turn()
    found = [track for track in tracks if str(track.id) == text.strip()]
    if not found:
        known = ", ".join(f"{track.id} ({track.label})" for track in tracks) or "there is none"
        raise StereoSyncError(f"Values: there is no track '{text}'; give the id of one: {known}.")
    return found[0]


def track_values(
    tracks: Tracks, track: Track, rate: float, *, depth: DepthSequence | None = None, sound: Sound | None = None
) -> TrackValues:
    """Values of a track, ``rate`` a second from the clip's first frame on: ``round(duration * rate)`` of them.

    :param sound: its root-mean-square level, 1 = its loudest moment, is the level, in place of the gain of the distance.
    :raises StereoSyncError: for a rate that makes no sense.
    """
    if not (np.isfinite(rate) and rate > 0 and tracks.duration * rate <= _MOST):
        raise StereoSyncError(f"Values: the rate is {rate} a second; give that of the frames, such as 30.")
    way = follow(tracks, track, tracks.duration, depth)
    times = np.arange(max(1, round(tracks.duration * rate))) / rate
    grid = np.arange(len(way)) / CONTROL_RATE
    azimuth, distance, presence = (np.interp(times, grid, value) for value in (way.azimuth, way.distance, way.presence))
    if sound is None:
        level = distance_gain(distance)
    else:
        envelope = envelope_of_sound(sound.samples, sound.rate, window=1 / rate)
        level = envelope.at(times + 0.5 / rate) / max(float(envelope.values.max()), 1e-9)
    return TrackValues(times, azimuth, distance, level * presence, presence)
