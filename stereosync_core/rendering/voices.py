"""Footstep voices for a scene: one mono voice for each track, timed by its gait, by a sound, or by a cadence."""

from __future__ import annotations

import logging

import numpy as np

from ..errors import StereoSyncError
from ..media.envelope import envelope_of_sound
from ..media.sound import Sound
from ..scene import Tracks
from .footsteps import render_footsteps
from .gait import Steps, steps_from_cadence, steps_from_envelope, steps_from_track

logger = logging.getLogger("stereosync")
TIMINGS = ("gait", "envelope", "cadence")
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


def footstep_voices(
    tracks: Tracks,
    *,
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
) -> tuple[np.ndarray, list[Steps]]:
    """A mono voice for each track.

    :param surface: one of :data:`surfaces.SURFACES`.
    :param fallback: where nothing is tracked: ``centre`` makes one voice at the cadence, ``error`` stops.
    :returns: float32 ``[B, 1, N]``, ``N = round(duration * rate)``, and the steps of each voice.
    """
    if len(tracks) == 0:
        if fallback == "error":
            raise StereoSyncError(NOTHING_TRACKED)
        logger.warning("%s One voice in the middle walks at %.2g steps a second instead.", NOTHING_TRACKED, cadence)
    steps = step_times(tracks, timing=timing, timing_sound=timing_sound, cadence=cadence, seed=seed)
    voices = [
        render_footsteps(
            own, surface, tracks.duration, rate, shoe=shoe, weight=weight, variation=variation, seed=seed + 1000 * place
        )
        for place, own in enumerate(steps)
    ]
    return np.stack(voices), steps
