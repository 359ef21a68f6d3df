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
from ..sounds.shape import RATE
from .surfaces import SURFACES

#: Level of the loudest event, that of a step some three metres away in the rooms.
LEVEL = 0.05
_STEP = 0.001  # seconds from value to value before the window
_SHORTEST = 0.01  # seconds of a fall
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
            fall = fall_of_event(None if owner is None else owner.label, event.kind, surface)
            power[first:] += gain**2 * np.exp(-2 * times[: len(times) - first] / fall)
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


@cache
def fall_of_event(label: str | None, kind: str, surface: str) -> float:
    """Seconds in which the amplitude of what happens to a track of that label falls to a third: the median of the bundled
    library's takes. A take's is that of an exponential with as much energy after the loudest 5 ms as it has itself."""
    _, library, sounds = SoundSelection(bundled_library()).one_shots(label, kind, surface)
    falls, smooth = [], round(0.005 * RATE)
    for sound in sounds:
        power = np.maximum(uniform_filter1d(np.pad(library.samples(sound).astype(np.float64) ** 2, (0, smooth)), smooth), 0)
        peak = int(power.argmax())
        falls.append(2 * float(power[peak:].sum()) / (float(power[peak]) * RATE))
    return max(float(np.median(falls)), _SHORTEST)
