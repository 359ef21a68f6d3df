"""The loudness envelope that a clip's events ask for: an attack at each event, and a decay of its kind or ground."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..errors import StereoSyncError
from ..media.source import Source
from ..scene import DepthSequence, Envelope, Tracks
from ..scene_events import Event, Events, check_events_fit
from .detect import detect_events

Progress = Callable[[float, float], None]
#: Level of the loudest event, that of a step some three metres away in the rooms.
LEVEL = 0.05
#: How an envelope is read off a picture: from events, or by the model's own network.
ENVELOPE_METHODS = ("events", "learned")
#: Seconds in which a step's amplitude falls to a third, by the ground, and that of other kinds of event.
DECAYS = {"concrete": 0.03, "wood": 0.04, "gravel": 0.06, "grass": 0.05, "snow": 0.06, "metal": 0.08, "tile": 0.03}
DECAYS |= {"water": 0.07, "sand": 0.05}
_KINDS = {"clap": 0.02, "impact": 0.035, "onset": 0.04}
_LANDING = 1.5  # times a step's
#: Seconds by which a generated attack begins before its envelope's: the same 10 ms on each of five real clips.
_EARLY = 0.010
_STEP = 0.001  # seconds from value to value before the window
_AUDIBLE = 1e-4  # of the loudest moment's power


def envelope_from_events(
    events: Events,
    tracks: Tracks,
    depth: DepthSequence | None = None,
    *,
    surface: str = "concrete",
    window: float = 0.024,
    level: float = LEVEL,
    offset: float = 0.0,
) -> Envelope:
    """Envelope of what sounds at the events, each as loud as its strength, its confidence and its owner's distance have it.

    :param tracks: of the same clip; an event of none of them is as far as the clip's median.
    :param depth: for the distance, beside the boxes' height.
    :param surface: a key of :data:`DECAYS`, for steps and landings.
    :param window: seconds of the root mean square, as the model was trained with.
    :param level: of the loudest event.
    :param offset: seconds by which all is later, or earlier where below 0.
    :raises StereoSyncError: for events of another clip, or an unknown surface.
    """
    check_events_fit(events, tracks.duration)
    if surface not in DECAYS:
        raise StereoSyncError(f"Envelope: the surface '{surface}' is not known; choose one of {', '.join(DECAYS)}.")
    times = np.arange(0.0, tracks.duration + 5 * _STEP, _STEP)
    owners = {track.id: track for track in tracks}
    powers: dict[int | None, np.ndarray] = {None: np.zeros(len(times))}
    for event in events:
        first = round((event.time + offset + _EARLY) / _STEP)
        if 0 <= first < len(times):
            gain = event.strength * event.confidence
            if event.track in owners:
                gain /= max(float(tracks.distance(owners[event.track], np.array([event.time]), depth)[0]), 0.1)
            since = times[: len(times) - first]
            power = powers.setdefault(event.track if event.track in owners else None, np.zeros(len(times)))
            power[first:] += gain**2 * np.exp(-2 * since / _decay(event, surface))
    half = max(1, round(window / _STEP / 2))
    places = np.arange(0, len(times), 5)
    last, begin = np.minimum(places + half, len(times)), np.maximum(places - half, 0)
    totals = {owner: np.concatenate([[0.0], np.cumsum(power)]) for owner, power in powers.items()}
    means = {owner: np.maximum(total[last] - total[begin], 0.0) / (last - begin) for owner, total in totals.items()}
    whole = np.sum(list(means.values()), axis=0)
    # far below the loudest nobody is known, nor does it matter
    audible = np.maximum(whole, _AUDIBLE * whole.max() + 1e-12)
    values = np.sqrt(whole)
    shares = {owner: mean / audible for owner, mean in means.items() if owner is not None}
    moved = tuple(replace(event, time=event.time + offset) for event in events if 0 <= event.time + offset <= events.duration)
    values = values * (level / values.max() if values.max() > 0 else 0.0)
    return Envelope(values, times[places], shares, replace(events, events=moved))


def envelope_from_video_events(source: Source, tracks: Tracks, *, window: float, progress: Progress | None = None) -> Envelope:
    """The same of the events that are found in a clip.

    :param progress: called with seconds done and in all; raising inside it stops the work.
    """
    return envelope_from_events(detect_events(source, tracks, progress=progress), tracks, window=window)


def _decay(event: Event, surface: str) -> float:
    if event.kind in _KINDS:
        return _KINDS[event.kind]
    return DECAYS[surface] * (_LANDING if event.kind == "landing" else 1.0)
