"""A session: the picture, a track a voice with its dry sound and its moves, and markers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..rendering.panning import pan_gains
from ..rendering.room import distance_gain
from ..rendering.spatialize import SpatializeSettings
from ..rendering.stems import stem_names
from ..rendering.trajectory import CONTROL_RATE, assigned, follow
from ..scene import DepthSequence, Tracks
from ..scene_events import Event, Events

#: Points of an envelope a second.
_POINTS = 25


@dataclass(frozen=True)
class Marker:
    """A moment with a name: an event, or where a shot begins."""

    time: float
    name: str
    kind: str  # as an event's, or ``shot``


@dataclass(frozen=True)
class SessionTrack:
    """A voice: its file, and the automation ``[N]`` that places it.

    At a balance control whose far channel falls linearly and whose near one stays, which is what DAWs call a pan law of 0 dB,
    gain and pan together are the gains of ``spatialize`` in the mode ``pan``, dry.
    """

    name: str
    file: str  # as the session's files name it
    times: np.ndarray  # seconds
    gain: np.ndarray  # amplitude
    pan: np.ndarray  # -1 left .. 1 right
    azimuth: np.ndarray  # -1 .. 1 of the frame
    distance: np.ndarray  # 1 = the clip's median


@dataclass(frozen=True)
class Session:
    """A scene for other programs. Every time is in seconds from the first frame."""

    name: str
    picture: str  # as the session's files name it
    picture_start: float  # seconds of the picture's file that lie before its first frame
    frame_rate: Fraction
    duration: float
    rate: int  # of the sounds
    tracks: tuple[SessionTrack, ...]
    markers: tuple[Marker, ...]


def session_tracks(
    voices: Sequence[np.ndarray],
    files: Sequence[str],
    tracks: Tracks,
    settings: SpatializeSettings,
    duration: float,
    depth: DepthSequence | None = None,
) -> tuple[SessionTrack, ...]:
    """The automation of each voice, which goes along its track as in :func:`~stereosync_core.rendering.spatialize.spatialize`;
    one without a track stays in the middle."""
    placed = assigned(len(voices), tracks)
    result = []
    for place, (name, file) in enumerate(zip(stem_names(len(voices), tracks), files, strict=True)):
        if place >= len(placed):
            still = [np.array([value]) for value in (0.0, np.sqrt(0.5), 0.0, 0.0, 1.0)]
            result.append(SessionTrack(name, file, *still))
            continue
        way = follow(tracks, placed[place], duration, depth, settings.offscreen, settings.distance_from)
        times = np.append(np.arange(0, duration, 1 / _POINTS), duration)
        grid = np.arange(len(way)) / CONTROL_RATE
        near = distance_gain(way.distance, settings.distance) * way.presence
        azimuth, distance, gain = (np.interp(times, grid, values) for values in (way.azimuth, way.distance, near))
        left, right = pan_gains(azimuth * settings.width)
        pan = np.where(right > left, 1 - left / right, right / left - 1)
        columns = np.stack([gain * np.maximum(left, right), pan, azimuth, distance])
        kept = bends(columns)
        result.append(SessionTrack(name, file, times[kept], *columns[:, kept]))
    return tuple(result)


def bends(columns: np.ndarray) -> np.ndarray:
    """Bool ``[N]``: the points without which lines through the others would not be the same."""
    same = np.abs(np.diff(columns, axis=1)).max(0) < 1e-6
    return ~(np.append(True, same) & np.append(same, True)) | (np.arange(columns.shape[1]) % (columns.shape[1] - 1) == 0)


def markers_of(events: Events | None, tracks: Tracks) -> tuple[Marker, ...]:
    """A marker for each event, and for each cut, in order of time."""
    labels = {track.id: f" {track.label} {track.id}" for track in tracks}

    def name(event: Event) -> str:
        return f"{event.kind}{labels.get(event.track, '') if event.track is not None else ''}"

    found = [Marker(event.time, name(event), event.kind) for event in events or ()]
    shots = [Marker(cut, f"shot {number}", "shot") for number, cut in enumerate(tracks.cuts, 2)]
    return tuple(sorted(found + shots, key=lambda marker: marker.time))
