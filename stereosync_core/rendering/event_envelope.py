"""The loudness envelope that a clip's events ask for: an attack at each, and the decay of the library's sounds of its class and
ground."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from scipy.ndimage import uniform_filter1d

from ..errors import StereoSyncError
from ..scene import DepthSequence, Envelope, Tracks
from ..scene_events import Events, check_events_fit
from ..sounds.library import bundled_library
from ..sounds.selection import SoundSelection
from ..sounds.shape import LONGEST, RATE
from .surfaces import SURFACES

#: Level of the loudest event, that of a step some three metres away in the rooms.
LEVEL = 0.05
_STEP = 0.001  # seconds from value to value before the window
_SHORTEST = 0.01  # seconds of a fall
#: Seconds after the loudest moment, and decibels below it, between which a tail is read; its level at the attack at most, and
#: decibels a second that it falls by at least: 60 in 1.2 s, as in a hall.
_TAIL, _DEPTH, _HIGHEST, _SLOWEST = (0.015, 0.4), -40.0, -10.0, -50.0
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
    :param surface: one of ``SURFACES``, for steps and landings.
    :param window: seconds of the root mean square, as the model was trained with.
    :param level: of the loudest event.
    :param offset: seconds by which all is later, or earlier where below 0.
    :raises StereoSyncError: for events of another clip, or an unknown surface.
    """
    check_events_fit(events, tracks.duration)
    if surface not in SURFACES:
        raise StereoSyncError(f"Envelope: the surface '{surface}' is not known; choose one of {', '.join(SURFACES)}.")
    times = np.arange(0.0, tracks.duration + 5 * _STEP, _STEP)
    owners = {track.id: track for track in tracks}
    powers: dict[int | None, np.ndarray] = {None: np.zeros(len(times))}
    for event in events:
        first = round((event.time + offset) / _STEP)
        if 0 <= first < len(times):
            gain, owner = event.strength * event.confidence, None if event.track is None else owners.get(event.track)
            if owner is not None:
                gain /= max(float(tracks.distance(owner, np.array([event.time]), depth)[0]), 0.1)
            power = powers.setdefault(None if owner is None else owner.id, np.zeros(len(times)))
            course = course_of_event(None if owner is None else owner.label, event.kind, surface)[: len(times) - first]
            power[first : first + len(course)] += gain**2 * course
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
    return Envelope(values, times[places], shares, replace(events, events=moved), only_events=True)


@cache
def course_of_event(label: str | None, kind: str, surface: str) -> np.ndarray:
    """Power of what happens to a track of that label, 1 at the event, every millisecond until it has died away, by the bundled
    library's takes: an attack that falls as fast as theirs, and the tail that theirs have in the mean."""
    _, library, sounds = SoundSelection(bundled_library()).one_shots(label, kind, surface)
    courses = [_course_of_take(library.samples(sound).astype(np.float64)) for sound in sounds]
    # an exponential with as much energy as a take's has after its loudest 5 ms
    fall = max(float(np.median([2 * course.sum() / RATE for course in courses])), _SHORTEST)
    times = np.arange(0.0, LONGEST, _STEP)
    power = np.maximum(np.exp(-2 * times / fall), _tail(courses, times))
    return power[: int(np.flatnonzero(power > _AUDIBLE**2)[-1]) + 1]


def _course_of_take(samples: np.ndarray) -> np.ndarray:
    """Power of a take ``[N]`` over 5 ms, from its loudest moment on, which has 1."""
    smooth = round(0.005 * RATE)
    power = np.maximum(uniform_filter1d(np.pad(samples**2, (0, smooth)), smooth), 0)
    peak = int(power.argmax())
    return power[peak:] / power[peak]


def _tail(courses: list[np.ndarray], times: np.ndarray) -> np.ndarray:
    """Power at ``times`` of the straight line in decibels that lies nearest to the takes' mean course: what is straight has no
    attack of its own. It goes on where the takes are over, for these are dry, and in a room sound goes on."""
    length = max(map(len, courses))
    mean = np.mean([np.pad(course, (0, length - len(course))) for course in courses], axis=0)
    decibels = 10 * np.log10(uniform_filter1d(mean, round(0.02 * RATE)) + 1e-12)
    moments = np.arange(length) / RATE
    read = (moments > _TAIL[0]) & (moments < _TAIL[1]) & (decibels > _DEPTH)
    if read.sum() < 2:
        return np.zeros(len(times))
    slope, begin = np.polyfit(moments[read], decibels[read], 1)
    return 10 ** ((min(begin, _HIGHEST) + min(slope, _SLOWEST) * times) / 10)
