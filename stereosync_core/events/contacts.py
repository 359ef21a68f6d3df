"""Contacts of a person's hands and of both feet together: claps, and landings from a jump."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.signal import find_peaks

from ..scene_events import Event
from .body import RATE, Body, smooth, velocity
from .landmarks import ANKLES, HIPS, INDEX_FINGERS, WRISTS

#: Body heights a second: hands that close faster than this clap, and nobody closes them faster than the second number.
CLAP_SPEED, FASTEST_HANDS = 1.0, 9.0
#: Body heights between the hands' middles: touching, and far enough apart to clap.
TOUCHING, APART = 0.09, 0.14
#: The same between them by the other distance, metres of a body height, and frames from the fastest closing to the touch.
TOUCHING_OTHERWISE, STANDING_METRES, _SOON = 0.118, 1.7, 3
#: Body heights a second at which a jumper's feet and hips fall at least, and body heights that the feet come down.
FALL_SPEED, DROP = 0.55, 0.05
#: Seconds between two landings or claps at least.
SPACING = 0.2


def claps(body: Body, track: int | None) -> list[Event]:
    """Moments at which the hands close abruptly: in the picture, or in depth where they meet along the line of sight."""
    places = [[WRISTS[side], INDEX_FINGERS[side]] for side in (0, 1)]
    flat = body.hand(0) - body.hand(1)
    deep = (body.world[:, places[0]].mean(1) - body.world[:, places[1]].mean(1)) / STANDING_METRES
    distances = [np.linalg.norm(values, axis=1) for values in (flat, deep)]
    found: list[Event] = []
    for moving, resting, vector in ((*distances, flat), (*distances[::-1], deep)):
        for event in _closings(body, track, moving, resting, vector):
            if all(abs(event.time - other.time) > SPACING for other in found):
                found.append(event)
    return found


def _closings(body: Body, track: int | None, raw: np.ndarray, other: np.ndarray, vector: np.ndarray) -> Iterator[Event]:
    """Claps by one distance ``raw [N]`` of the hands, with ``vector [N, 2 or 3]`` from one to the other; by the ``other``
    distance they are near in the end as well. All in body heights."""
    distance = smooth(raw, 0.02)
    closing = -velocity(distance)
    own = [np.linalg.norm(velocity(smooth(body.hand(side), 0.02)), axis=1) for side in (0, 1)]
    seen = np.minimum(*(body.visibility[:, place] for place in WRISTS)) * body.trust()
    peaks, _ = find_peaks(closing, height=CLAP_SPEED, distance=max(1, round(SPACING * RATE)))
    for peak in peaks:
        before = distance[max(0, peak - round(0.3 * RATE)) : peak + 1]
        after = distance[peak : peak + round(0.2 * RATE) + 1]
        floor = float(after.min())
        if floor > TOUCHING or before.max() < floor + APART or closing[peak] > FASTEST_HANDS:
            continue
        apart, back = vector[max(0, peak - round(0.15 * RATE))], vector[min(len(body) - 1, peak + round(0.2 * RATE))]
        if apart @ back < -0.2 * apart @ apart:  # arms that swing past each other
            continue
        # a hand that jumps onto the other is the network's slip, not a clap
        if vector.shape[1] == 2 and min(own[0][peak], own[1][peak]) < 0.15 * closing[peak]:
            continue
        level = floor + 0.02
        place = peak + int(np.argmax(after <= level))
        if seen[peak] < 0.4 or place - peak > _SOON or distance[place] > level:
            continue
        if other[max(0, place - 1) : place + 2].min() > TOUCHING_OTHERWISE:
            continue
        part = (distance[place - 1] - level) / max(distance[place - 1] - distance[place], 1e-6)
        moment = body.times[place - 1] + np.clip(part, 0, 1) / RATE
        strength = float(np.clip(closing[peak] / 5.0, 0.3, 1.0))
        confidence = float(np.clip(seen[peak] * min(1.0, closing[peak] / 1.6), 0, 1))
        yield Event(float(moment), "clap", track, None, strength, confidence)


def landings(body: Body, track: int | None, likely: np.ndarray) -> list[Event]:
    """Moments at which both feet, after the hips have fallen with them, stop: the end of a jump.

    :param likely: the contact network's probability ``[N]`` of a landing.
    """
    feet = np.stack([smooth(body.foot(side))[:, 1] for side in (0, 1)])
    hips = smooth(body.hips())[:, 1]
    falling = np.stack([velocity(one) for one in feet])
    hips_falling = velocity(hips)
    together = np.minimum(falling.min(0), hips_falling + 0.3)
    seen = np.minimum(body.visible(HIPS), body.visible(ANKLES)) * body.trust()
    found = []
    peaks, _ = find_peaks(together, height=FALL_SPEED, distance=max(1, round(SPACING * RATE)))
    for peak in peaks:
        span = slice(max(0, peak - round(0.35 * RATE)), peak + round(0.25 * RATE) + 1)
        if peak < 3:  # nothing is known of how it began
            continue
        drop = float(np.min(feet[:, peak : span.stop].max(1) - feet[:, span].min(1)))
        fastest = falling[:, span].max(1)
        if drop < DROP or np.max(fastest) > 3 * np.min(fastest):
            continue
        speed = falling.mean(0)
        top = max(0, peak - 2) + int(np.argmax(speed[max(0, peak - 2) : peak + 3]))
        later = speed[top : top + round(0.25 * RATE) + 1]
        if later.min() > 0.4 * speed[top]:
            continue
        springy = later.min() < -0.3 * speed[top]
        if springy:
            # on a mattress the feet touch well before they stop, while they still fall faster and faster
            earlier = speed[max(0, top - round(0.2 * RATE)) : top + 1]
            level, place = 0.8 * speed[top], top - int(np.argmax(earlier[::-1] < 0.8 * speed[top])) + 1
        else:
            level, place = 0.4 * speed[top], top + int(np.argmax(later < 0.4 * speed[top]))
        part = (level - speed[place - 1]) / (speed[place] - speed[place - 1] or 1e-6)
        moment = body.times[place - 1] + np.clip(part, 0, 1) / RATE
        strength = float(np.clip(speed[top] / 2.0, 0.3, 1.0))
        believed = likely[max(0, place - 4) : place + 5].max()
        confidence = float(np.clip(seen[peak] * np.clip(3 * believed - 0.2, 0, 1), 0, 1))
        found.append(Event(float(moment), "landing", track, None, strength, confidence))
    return found
