"""The rise and fall of a walking body, which is seen from every side: the trunk is lowest a moment after a foot has come down.

Inman, "Human Walking" (1981): the centre of mass falls into double support and is highest over the standing leg. What a foot
does is hidden from in front and from behind; how high shoulders and hips are is not.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter1d, minimum_filter1d, uniform_filter1d
from scipy.signal import find_peaks

from .body import RATE, Body
from .landmarks import HIPS, SHOULDERS

#: Seconds of the Gaussians between whose widths the rise and fall lies, and body heights that it has at least.
_FINE, _COARSE, _LEAST = 0.04, 0.35, 0.004
#: Seconds from step to step, and the spread of the logarithm of one interval over the next.
_SHORTEST, _LONGEST, _EVEN = 0.25, 0.95, 0.3
#: Seconds from a contact to the lowest moment: walking, and running, whose steps are less than so many seconds apart.
_AFTER, _AFTER_RUNNING, _RUNNING = 0.065, 0.10, 0.45
#: Probability of a step in each of five cycles up to which it is no walking at all, and from which it is.
_IDLE, _WALKING = 0.15, 0.35
#: Body heights that the trunk climbs or sinks from step to step, from which it moves as on stairs; so many more, and it does.
_CLIMB, _CLIMBING = 0.05, 0.03
#: Body heights by which one foot is higher than the other in turn, up to which they do not take turns, and from which they do.
_TOGETHER, _IN_TURN = 0.006, 0.01
#: Seconds of a contact's likely deviation, and the log odds at stake.
_WIDTH, _ODDS = 0.05, 2.0


def bounce_log_odds(body: Body, curve: np.ndarray) -> np.ndarray:
    """Log odds ``[N]`` that the trunk's rise and fall adds to a step at each moment; below 0 where none is due.

    :param curve: probability ``[N]`` of a step by what the feet do; where it is low, the body bounces for another reason.
    """
    trunk = body.points[:, [*HIPS, *SHOULDERS], 1].mean(1)  # y points down
    course = gaussian_filter1d(trunk, _COARSE * RATE)
    lows, _ = find_peaks(gaussian_filter1d(trunk, _FINE * RATE) - course, prominence=_LEAST)
    odds = np.zeros(len(body))
    if len(lows) < 3:
        return odds
    gaps = np.diff(lows) / RATE
    unlike = np.exp(-0.5 * (np.diff(np.log(gaps)) / _EVEN) ** 2)
    even = np.array([unlike[max(0, n - 1) : n + 1].mean() for n in range(len(gaps))])
    even *= (gaps > _SHORTEST) & (gaps < _LONGEST)
    stepped = np.array([curve[first : last + 1].max() for first, last in pairwise(lows)])
    stepped = minimum_filter1d(stepped, 5, mode="nearest")
    apart = body.foot(0)[:, 1] - body.foot(1)[:, 1]
    turns = np.abs(np.diff([apart[first : last + 1].mean() for first, last in pairwise(lows)]))
    turns = np.interp(np.arange(len(gaps)), np.arange(len(turns)) + 0.5, uniform_filter1d(turns, 3, mode="nearest"))
    climb = np.abs(np.diff(course[lows]))
    trust = even * np.clip((stepped - _IDLE) / (_WALKING - _IDLE), 0, 1) * np.clip(1 - (climb - _CLIMB) / _CLIMBING, 0, 1)
    trust *= np.clip((turns - _TOGETHER) / (_IN_TURN - _TOGETHER), 0, 1)
    for n, low in enumerate(lows):
        around = slice(max(0, n - 1), n + 1)
        gap = gaps[around].mean()
        contact = low / RATE - (_AFTER_RUNNING if gap < _RUNNING else _AFTER)
        away = np.arange(len(body)) / RATE - contact
        cycle = np.abs(away) <= gap / 2
        odds[cycle] = _ODDS * trust[around].mean() * (2 * np.exp(-0.5 * (away[cycle] / _WIDTH) ** 2) - 1)
    return odds
