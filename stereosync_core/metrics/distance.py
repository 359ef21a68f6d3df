"""Whether near things sound near: level and the part of direct sound, step by step, against true distance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from . import checks
from .truth import Truth

#: Seconds of a step that are measured, and that must be free of other objects' steps before and after.
STEP, ALONE = 0.12, 0.2
#: Seconds after a step that hold its direct sound, and those that hold what the room answers.
DIRECT, ROOM = (0.0, 0.04), (0.06, 0.25)
#: Steps, and doublings of distance, that an object must have to count: else how hard a foot comes down decides.
LEAST_STEPS, LEAST_SPAN = 3, 0.5
_EARLY = 0.005


@dataclass(frozen=True)
class StepLevels:
    """Steps of one object: log2 of distance ``[N]``, level in dB ``[N]`` and direct over reverberant energy in dB ``[N]``."""

    id: int
    doublings: np.ndarray
    level_db: np.ndarray
    direct_db: np.ndarray


def step_levels(sound: np.ndarray, rate: int, truth: Truth) -> list[StepLevels]:
    """Levels of every object's visible steps in ``[C, N]``; those that run into another's, or into silence, are left out."""
    power = np.square(np.atleast_2d(np.asarray(sound, dtype=np.float64))).sum(0)
    checks.finite(power, "sound")
    sums = np.concatenate([[0.0], np.cumsum(power)])
    silence = 1e-8 * power.max() * STEP * rate if power.size else 0.0

    def energy(begin: np.ndarray, end: np.ndarray) -> np.ndarray:
        first = np.clip(np.rint(begin * rate).astype(int), 0, len(power))
        last = np.clip(np.rint(end * rate).astype(int), 0, len(power))
        return np.maximum(sums[last] - sums[first], 0.0)

    result = []
    for one in truth.objects or ():
        others = np.sort(np.concatenate([np.zeros(0), *(other.times for other in truth.objects or () if other is not one)]))
        free = np.searchsorted(others, one.times - ALONE) == np.searchsorted(others, one.times + ALONE)
        whole = one.times + STEP <= len(power) / rate
        loudness = energy(one.times - _EARLY, one.times + STEP)
        use = free & whole & one.visible & (loudness > max(silence, 1e-14)) & (one.distance > 0)
        at = one.times[use]
        direct = energy(at + DIRECT[0] - _EARLY, at + DIRECT[1])
        room = energy(at + ROOM[0], at + ROOM[1])
        result.append(
            StepLevels(
                one.id,
                np.log2(one.distance[use]),
                10 * np.log10(loudness[use]),
                10 * np.log10(np.maximum(direct, 1e-14) / np.maximum(room, 1e-14)),
            )
        )
    return result


@dataclass(frozen=True)
class DistanceScore:
    """How ``steps`` follow distance: rank correlation of level, and of the direct part, with nearness (-1..1; 1 = every nearer
    step is louder), and dB a doubling of distance of the level (-6 in the open air) and of the direct-to-reverberant ratio."""

    level: float | None
    level_slope: float | None
    direct: float | None
    direct_slope: float | None
    steps: int


def distance_score(objects: Sequence[StepLevels]) -> DistanceScore:
    """Over the steps of all objects with enough of them, each object taken relative to its own middle: how loud somebody
    walks, and how loud a clip is made, do not depend on distance."""
    rows = [
        np.stack([one.doublings, one.level_db, one.direct_db])
        for one in objects
        if len(one.doublings) >= LEAST_STEPS and np.ptp(one.doublings) >= LEAST_SPAN
    ]
    if not rows:
        return DistanceScore(None, None, None, None, 0)
    far, level, direct = np.concatenate([row - np.median(row, axis=1, keepdims=True) for row in rows], axis=1)
    return DistanceScore(
        _rank_correlation(level, -far), _slope(far, level), _rank_correlation(direct, -far), _slope(far, direct), far.size
    )


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    if min(np.ptp(first), np.ptp(second)) < 1e-9:
        return None
    return float(spearmanr(first, second)[0])  # type: ignore[arg-type]


def _slope(x: np.ndarray, y: np.ndarray) -> float | None:
    return float(np.polyfit(x, y, 1)[0]) if np.ptp(x) > 1e-9 else None
