"""Whether a sound begins when something happens in the picture: its attacks against events.

An attack is a rise of 6 dB within 40 ms above 200 Hz, within 30 dB of the loudest; stricter than :func:`.timing.onsets`, which
follows soft sounds too. People notice sound 45 ms early or 125 ms late (ITU-R BT.1359).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.signal import butter, sosfilt

from . import checks

#: Seconds between an attack and its event at most.
TOLERANCE = 0.05
_HOP, _SPAN, _RISE, _RANGE, _APART = 0.005, 0.04, 6.0, 30.0, 0.06


@dataclass(frozen=True)
class SyncScore:
    """Events with a sound, events without, sounds without an event, and the hits' offsets in seconds (late is positive)."""

    hits: int
    misses: int
    others: int
    offsets: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def f1(self) -> float:
        """1 where nothing happens and nothing sounds."""
        total = 2 * self.hits + self.misses + self.others
        return 2 * self.hits / total if total else 1.0

    @property
    def offset(self) -> float | None:
        """Median of the offsets; None without a hit."""
        return float(np.median(self.offsets)) if len(self.offsets) else None


def attacks(sound: np.ndarray, rate: int) -> np.ndarray:
    """Seconds at which ``[C, N]`` begins to sound; an empty list for silence."""
    treble = np.asarray(sosfilt(butter(2, 200, "highpass", fs=rate, output="sos"), checks.mono(sound)))
    hop, span = max(1, round(_HOP * rate)), round(_SPAN / _HOP)
    count = len(treble) // hop
    power = (treble[: count * hop].reshape(count, hop) ** 2).mean(1) if count else np.zeros(0)
    if not len(power) or power.max() <= 1e-14:
        return np.zeros(0)
    level = 10 * np.log10(power / power.max() + 1e-6)
    before = np.concatenate([np.full(span, level.min()), level])
    quiet = np.lib.stride_tricks.sliding_window_view(before, span).min(1)[: len(level)]
    risen = (level - quiet >= _RISE) & (level >= -_RANGE)
    moments: list[float] = []
    for start in np.flatnonzero(risen & ~np.concatenate([[False], risen[:-1]])):
        # the attack: where the rise is steepest
        first = max(0, start - span)
        moment = (first + int(np.argmax(np.diff(level[first : start + 2]))) + 1) * hop / rate
        if not moments or moment - moments[-1] > _APART:
            moments.append(moment)
    return np.array(moments)


def sync_score(
    times: np.ndarray,
    true: np.ndarray,
    reach: np.ndarray | float = TOLERANCE,
    counted: np.ndarray | None = None,
    pairs: np.ndarray | None = None,
) -> SyncScore:
    """Times ``[N]`` against true ones ``[M]`` in seconds, each paired once, for the smallest differences in all.

    :param reach: how far from a true time a hit may be, for all or for each ``[M]``.
    :param counted: bool ``[N]``, False for what is nothing wrong where it hits nothing.
    :param pairs: bool ``[M, N]``, False for what may not hit each other.
    """
    times, true = np.asarray(times, dtype=np.float64), np.asarray(true, dtype=np.float64)
    hit, offsets = np.zeros(len(times), dtype=bool), np.zeros(0)
    if len(times) and len(true):
        apart = np.abs(times[None] - true[:, None])
        near = apart <= np.broadcast_to(np.asarray(reach), true.shape)[:, None] + 1e-9
        cost = np.where(near if pairs is None else near & pairs, apart, 1e3)
        rows, columns = linear_sum_assignment(cost)
        good = cost[rows, columns] < 1e3
        hit[columns[good]] = True
        offsets = times[columns[good]] - true[rows[good]]
    wrong = ~hit if counted is None else ~hit & counted
    return SyncScore(int(hit.sum()), len(true) - int(hit.sum()), int(wrong.sum()), offsets)


def sync_by_chance(times: np.ndarray, true: np.ndarray, duration: float, shifts: int = 200, **options) -> float:
    """Mean F1 of the same times, shifted at random round the clip; ``options`` of :func:`sync_score`."""
    random = np.random.default_rng(0)
    moved = [(np.asarray(times) + random.uniform(0, duration)) % duration for _ in range(shifts)]
    return float(np.mean([sync_score(one, true, **options).f1 for one in moved]))
