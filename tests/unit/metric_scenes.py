"""Scenes whose scores are known by construction: bursts of noise, panned by the curve that the localiser reads, along
known boxes."""

import numpy as np

from stereosync_core.metrics.truth import ObjectSteps, Truth
from stereosync_core.rendering.panning_laws import panning_law
from stereosync_core.scene import Track, Tracks

RATE, DURATION = 44100, 4.0
TIMES = np.arange(0.0, DURATION, 0.05)


def track(number: int, start: float, stop: float, width: float = 0.06, begin: float = 0.0, end: float = DURATION) -> Track:
    """A box that goes from azimuth ``start`` to ``stop`` in a straight line over the clip, seen from ``begin`` to ``end``."""
    times = TIMES[(begin <= TIMES) & (end >= TIMES)]
    middle = (start + (stop - start) * times / DURATION + 1) / 2
    boxes = np.stack([middle - width / 2, 0 * middle + 0.3, middle + width / 2, 0 * middle + 0.8], axis=1)
    return Track(number, "person", times, boxes)


def tracks(*of: Track) -> Tracks:
    return Tracks(of, duration=DURATION, max_gap=0.2)


def placed(azimuth, steps, *, gain=None, late: float = 0.0, seed: int = 0) -> np.ndarray:
    """Stereo float64 ``[2, N]``: a burst at each step, at ``azimuth(step)``, by the panning law ``rooms``."""
    law = panning_law("rooms")
    sound = np.zeros((2, round(DURATION * RATE)))
    generator = np.random.default_rng(seed)
    size = round(0.12 * RATE)
    shape = np.exp(-np.arange(size) / (0.03 * RATE))
    for n, step in enumerate(steps):
        ratio = 10 ** (np.interp(azimuth(step), law.azimuth, law.broadband()) / 20)
        left, right = 1 / np.hypot(1, ratio), ratio / np.hypot(1, ratio)
        first = round((step + late) * RATE)
        burst = (0.3 if gain is None else gain[n]) * generator.standard_normal(size) * shape
        part = burst[: max(sound.shape[1] - first, 0)]
        sound[:, first : first + len(part)] += np.array([[left], [right]]) * part
    return sound


STEPS = np.arange(0.2, 3.8, 0.45)


def walk(start: float = -0.8, stop: float = 0.8, number: int = 1, steps: np.ndarray = STEPS, distance=None):
    """A truth of one walker, and the function that gives their azimuth."""
    far = np.ones(len(steps)) if distance is None else distance
    truth = Truth(tracks(track(number, start, stop)), (ObjectSteps(number, steps, np.ones(len(steps), bool), far),))
    return truth, lambda time: start + (stop - start) * time / DURATION


def defined(value: float | None) -> float:
    """A score that must be there."""
    assert value is not None
    return value
