"""Footstep voices for a scene: one mono voice for each track, timed by its gait, by a sound, or by a cadence."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from ..errors import StereoSyncError
from ..media.envelope import envelope_of_sound
from ..media.sound import Sound
from ..scene import Track, Tracks
from ..scene_events import FEET, Event, Events
from .footsteps import render_footsteps
from .gait import Steps, steps_from_cadence, steps_from_envelope, steps_from_track
from .lazy_voices import LazyVoices

logger = logging.getLogger("stereosync")
TIMINGS = ("gait", "envelope", "cadence", "events")
#: Loudness of a ball's contact after the heel's: an event is one moment, and the sound has one attack for it.
_TOE = 1e-4
#: Seconds in which a sound that is no step falls to a third, by the kind of its event, and its level beside a step's.
_BURSTS = {"clap": (0.02, 0.9), "impact": (0.035, 0.8), "onset": (0.04, 0.7)}
NOTHING_TRACKED = (
    "Nothing is tracked in this clip, so no step can be timed by a walker; lower the tracker's threshold, check its classes, "
    "or give tracks of your own."
)


def step_times(
    tracks: Tracks, *, timing: str = "gait", timing_sound: Sound | None = None, cadence: float = 1.8, seed: int = 0
) -> list[Steps]:
    """Steps of every track.

    :param timing: ``gait`` - from the motion of the walker's box; ``envelope`` - at the peaks of the loudness of
        ``timing_sound``; ``cadence`` - so many steps a second.
    :param timing_sound: needed for ``envelope`` only.
    """
    if timing not in TIMINGS:
        raise StereoSyncError(f"Step timing: '{timing}' is not known; choose {', '.join(TIMINGS)}.")
    if timing == "envelope":
        if timing_sound is None:
            raise StereoSyncError(
                "Step timing: 'envelope' needs a sound to take the loudness from; connect one, or choose gait."
            )
        envelope = envelope_of_sound(timing_sound.samples, timing_sound.rate)
        return [steps_from_envelope(envelope)] * max(1, len(tracks))
    if timing == "cadence" or len(tracks) == 0:
        # Two walkers in one step would sound like a machine: each gets an own start and an own variation.
        count = max(1, len(tracks))
        offsets = np.arange(count) * 0.37 / cadence if cadence > 0 else np.zeros(count)
        return [
            steps_from_cadence(cadence, tracks.duration, start=0.1 + offset, seed=seed + place)
            for place, offset in enumerate(offsets)
        ]
    return [steps_from_track(track, tracks.duration, max_gap=tracks.max_gap, aspect=tracks.aspect) for track in tracks]


def event_voices(
    events: Events,
    tracks: Tracks,
    *,
    surface: str = "concrete",
    rate: int = 48000,
    shoe: str = "sneaker",
    weight: float = 0.5,
    variation: float = 0.5,
    seed: int = 0,
    offset: float = 0.0,
) -> tuple[LazyVoices, list[Steps], list[Track | None]]:
    """A mono voice for each track with its own events: footsteps and landings on the surface, short bursts for the rest.

    The attack's first sample is the one nearest to the event's time. Events whose track is not among ``tracks`` go to the first
    one, the most prominent; without tracks there is one voice that is nobody's.

    :param offset: seconds by which all is later, or earlier where below 0.
    :returns: B voices float32 ``[1, N]``, ``N = round(duration * rate)``, and each one's steps and track.
    """
    parts = by_owner(events, tracks)
    walked = [steps_from_events(own, offset) for _, own in parts]

    def make(place: int) -> np.ndarray:
        own = parts[place][1]
        options = {"shoe": shoe, "weight": weight, "variation": variation, "toe": _TOE, "seed": seed + 1000 * place}
        voice = render_footsteps(walked[place], surface, tracks.duration, rate, **options)[0]
        for number, event in enumerate(own):
            start = round((event.time + offset) * rate)
            if event.kind in _BURSTS and 0 <= start < len(voice):
                burst = _burst(event, rate, np.random.default_rng([seed, place, number]))[: len(voice) - start]
                part = voice[start : start + len(burst)]
                np.clip(part + burst, -1, 1, out=part)
        return voice

    return LazyVoices(len(parts), make), walked, [owner for owner, _ in parts]


def by_owner(events: Events, tracks: Tracks) -> list[tuple[Track | None, list[Event]]]:
    """Each track with its own events.

    Events whose track is not among ``tracks`` go to the first one, the most prominent; without tracks all are nobody's.
    """
    owners: list[Track | None] = list(tracks) or [None]
    parts: dict[int | None, list[Event]] = {None if track is None else track.id: [] for track in owners}
    first = next(iter(parts.values()))
    for event in events:
        parts.get(event.track, first).append(event)
    return list(zip(owners, parts.values(), strict=True))


def steps_from_events(events: Sequence[Event], offset: float = 0.0) -> Steps:
    """The steps and landings among events as steps of one walker; a foot that is not known is the other one."""
    times, strengths, feet = [], [], []
    for event in events:
        if event.kind not in ("step", "landing") or event.time + offset < 0:
            continue
        moment = event.time + offset
        if times and moment <= times[-1]:  # two at one moment
            moment = times[-1] + 1e-4
        foot = 1 - feet[-1] if feet else 0
        times.append(moment)
        strengths.append(1.0 if event.kind == "landing" else event.strength)
        feet.append(foot if event.foot is None else FEET.index(event.foot))
    return Steps(np.array(times), np.array(strengths), np.array(feet, dtype=np.int64))


def _burst(event: Event, rate: int, random: np.random.Generator) -> np.ndarray:
    """Noise that begins at once and dies away."""
    decay, level = _BURSTS[event.kind]
    since = np.arange(round(7 * decay * rate)) / rate
    noise = random.standard_normal(len(since)) * np.exp(-since / decay)
    noise[0] = np.copysign(1.0, noise[0])
    return (0.25 * level * event.strength * noise).astype(np.float32)


def footstep_voices(
    tracks: Tracks,
    *,
    events: Events | None = None,
    offset: float = 0.0,
    surface: str = "concrete",
    rate: int = 48000,
    timing: str = "gait",
    timing_sound: Sound | None = None,
    cadence: float = 1.8,
    shoe: str = "sneaker",
    weight: float = 0.5,
    variation: float = 0.5,
    seed: int = 0,
    fallback: str = "centre",
) -> tuple[LazyVoices, list[Steps]]:
    """A mono voice for each track.

    :param events: of the clip, for the timing ``events``; ``offset`` seconds are added to each.
    :param surface: one of :data:`surfaces.SURFACES`.
    :param fallback: where nothing is tracked: ``centre`` makes one voice at the cadence, ``error`` stops.
    :returns: B voices float32 ``[1, N]``, ``N = round(duration * rate)``, each made on access, and their steps.
    """
    if len(tracks) == 0:
        if fallback == "error":
            raise StereoSyncError(NOTHING_TRACKED)
        logger.warning("%s One voice in the middle walks at %.2g steps a second instead.", NOTHING_TRACKED, cadence)
    if timing == "events":
        if events is None:
            raise StereoSyncError("Step timing: 'events' needs events; connect Detect Events, or choose gait.")
        options = {"shoe": shoe, "weight": weight, "variation": variation, "seed": seed, "offset": offset}
        return event_voices(events, tracks, surface=surface, rate=rate, **options)[:2]
    steps = step_times(tracks, timing=timing, timing_sound=timing_sound, cadence=cadence, seed=seed)
    options = {"shoe": shoe, "weight": weight, "variation": variation}

    def make(place: int) -> np.ndarray:
        return render_footsteps(steps[place], surface, tracks.duration, rate, **options, seed=seed + 1000 * place)[0]

    return LazyVoices(len(steps), make), steps
