"""Foot contacts of a walking, running or marching person, from the motion of one foot against the other."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from ..scene_events import FEET, Event
from .body import RATE, Body, smooth
from .landmarks import ANKLES

LEAST_SWING = 0.06


def steps_by_rule(body: Body, track: int | None) -> list[Event]:
    apart = smooth(body.foot(0) - body.foot(1))
    ahead = ((body.foot(0, True) - body.foot(1, True)) * body.heading()).sum(1) / 1.7
    v = np.concatenate([apart, smooth(ahead)[:, None]], axis=1)
    v = v - gaussian_filter1d(v, 0.5 * RATE, axis=0, mode="nearest")
    cov = gaussian_filter1d(v[:, :, None] * v[:, None], 0.5 * RATE, axis=0, mode="nearest")
    axes = np.linalg.eigh(cov)[1][:, :, -1]
    axes *= np.sign(np.einsum("ni,ni->n", axes, cov[:, 2]))[:, None]
    g = (axes * v).sum(1)
    size = np.sqrt(2 * gaussian_filter1d(g**2, 0.5 * RATE, mode="nearest"))
    found = []
    seen = body.visible(ANKLES)
    for side, sign in ((0, 1), (1, -1)):
        peaks, _ = find_peaks(sign * g / np.maximum(size, LEAST_SWING), height=0.3, prominence=0.6)
        for peak in peaks:
            if size[peak] < LEAST_SWING:
                continue
            c = np.clip((size[peak] - LEAST_SWING) / LEAST_SWING, 0, 1) * min(1, seen[peak] + 0.3)
            found.append(Event(body.times[peak], "step", track, FEET[side], 0.6, float(c)))
    return sorted(found, key=lambda e: e.time)
