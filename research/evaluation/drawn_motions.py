"""Motions of drawn people with the true times of what they touch: steps, landings, claps, and nothing at all.

Made apart from the simulation that the contact network was trained on: feet swing by key frames after D. Winter, "The
Biomechanics and Motor Control of Human Gait", 1991, and T. Novacheck, "The biomechanics of running", 1998, and a foot touches
where its clearance, a curve of its own, reaches 0. Only ``wander`` is that simulation's, with seeds that training never drew.
Lengths are in body heights, times in seconds; x is ahead, y left, z up.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from research.training.walker_simulation import RATE as SIMULATED_RATE
from research.training.walker_simulation import SECONDS as LONGEST
from research.training.walker_simulation import Footfalls, knee, simulate

#: Moments a second at which a motion is worked out, and of a body 1.7 m high, what it falls by (body heights per s²).
FINE, GRAVITY = 240.0, 9.81 / 1.7
THIGH, SHANK, SOLE, REACH, BEHIND = 0.245, 0.246, 0.045, 0.145, 0.035
UPPER_ARM, FOREARM, HAND = 0.165, 0.15, 0.085
#: Joints, left before right: the simulation's (shoulders, wrists, hips, knees, ankles, heels, toes), then elbows, fingertips
#: and the head's middle.
JOINTS = 19
AHEAD, LEFT, UP = np.eye(3)


@dataclass(frozen=True)
class Manner:
    """How somebody steps.

    :param swing: rows of share of the swing, way ahead, way up, clearance of the sole's lowest point, pitch (toe up positive).
    :param strike: pitch at contact, which fades within ``settle`` seconds.
    :param push: pitch at which the toes leave; the heel begins to rise at the last ``roll`` of the stance.
    :param duty: share of a stride that a foot stands.
    :param low: share of a step after contact at which the hips are lowest.
    :param forward: how far a foot in the air goes ahead and back again.
    """

    swing: tuple[tuple[float, float, float, float, float], ...]
    strike: float
    settle: float
    push: float
    roll: float
    duty: float
    bob: float
    low: float
    crouch: float
    lean: float
    arms: float
    bent: bool = False
    rise: float = 0.0
    forward: float = 0.0


MANNERS = {
    "walk": Manner(
        ((0, 0, 0, 0, -1.0), (0.15, 0.08, 0, 0.018, -1.1), (0.35, 0.3, 0, 0.016, -0.7), (0.5, 0.52, 0, 0.011, -0.2),
         (0.75, 0.86, 0, 0.018, 0.3), (0.9, 0.97, 0, 0.01, 0.36), (1, 1, 0, 0, 0.32)),
        0.32, 0.1, -1.0, 0.42, 0.62, 0.02, 0.1, 0.005, 0.04, 0.9,
    ),
    "run": Manner(
        ((0, 0, 0, 0, -1.1), (0.25, 0.08, 0, 0.12, -1.8), (0.5, 0.45, 0, 0.13, -1.2), (0.75, 0.85, 0, 0.07, -0.1),
         (0.9, 0.965, 0, 0.03, 0.14), (1, 1, 0, 0, 0.12)),
        0.12, 0.05, -1.1, 0.5, 0.35, 0.045, 0.35, 0.03, 0.12, 1.3, bent=True,
    ),
    "march": Manner(
        ((0, 0, 0, 0, -0.6), (0.25, 0.3, 0, 0.1, -0.6), (0.5, 0.6, 0, 0.15, -0.45), (0.75, 0.9, 0, 0.1, -0.3),
         (1, 1, 0, 0, -0.2)),
        -0.2, 0.07, -0.6, 0.25, 0.6, 0.01, 0.1, 0.005, 0.0, 1.0, forward=0.12,
    ),
    "stairs": Manner(
        ((0, 0, 0, 0, -0.7), (0.2, 0.04, 0.4, 0.02, -0.6), (0.4, 0.25, 0.9, 0.05, -0.3), (0.6, 0.6, 1, 0.05, 0),
         (0.85, 0.95, 1, 0.03, 0), (1, 1, 1, 0, -0.08)),
        -0.08, 0.07, -0.7, 0.3, 0.62, 0.01, 0.1, 0.02, 0.1, 0.5, rise=0.1,
    ),
    "jump": Manner(
        ((0, 0, 0, 0, -0.7), (0.4, 0.4, 0, 0, -0.7), (1, 1, 0, 0, -0.35)),
        -0.35, 0.08, -0.7, 0.12, 0.62, 0.0, 0.0, 0.0, 0.05, 0.0,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class DrawnMotion:
    """Joints ``[T, JOINTS, 3]`` at ``T`` times, true events (time, kind, place ``[3]``), boxes of furniture (low, high)."""

    joints: np.ndarray
    events: list[tuple[float, str, np.ndarray]]
    furniture: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)


def motion(
    gait: str, times: np.ndarray, random: np.random.Generator, *, cadence: float = 0.0, stops: bool = False
) -> DrawnMotion:
    """Somebody who moves.

    :param gait: a key of :data:`MANNERS`, ``wander``, ``clap``, or one of stand, dance, sit and wave, which touch nothing.
    :param times: seconds ``[T]`` from 0, at most six.
    :param cadence: steps, jumps or claps a second.
    :param stops: begins and ends standing.
    """
    if gait == "wander":
        walk = simulate(random, gait)
        clock = np.arange(round(LONGEST * SIMULATED_RATE)) / SIMULATED_RATE
        events = [(float(t), "step", walk.joints[round(t * SIMULATED_RATE), 12 + s]) for s in (0, 1) for t in walk.contacts[s]]
        return DrawnMotion(_completed(_resampled(walk.joints, clock, times)), sorted(events, key=lambda event: event[0]))
    fine = np.arange(-0.5, times[-1] + 0.5, 1 / FINE)
    seated, furniture, manner = gait == "sit", [], MANNERS.get(gait, MANNERS["walk"])
    if gait in ("walk", "run", "march", "stairs"):
        falls = _footfalls(gait, manner, times[-1], random, cadence, stops)
    else:
        falls = [Footfalls() for _ in range(2)]
        half = random.uniform(0.045, 0.08)
        for one, y in zip(falls, (half, -half), strict=True):
            one.add(-10.0, [0.3 if seated else 0.0, y, 0.0], 0.0)
    hips_by, events = np.zeros(len(fine)), []
    if gait == "jump":
        hips_by, events = _jumps(falls, fine, random, cadence)
    feet = [_foot(one, manner, fine) for one in falls]
    if manner.rise:
        treads = [place for one in falls for place in one.place if place[2] > 0]
        furniture = [(np.array([x - 0.01, -0.4, -1.0]), np.array([x + 20.0, 0.4, z])) for x, _, z in treads]
    landed = sorted((t, s) for s in (0, 1) for t in falls[s].land[1:])
    if gait != "jump":
        events = [(t, "step", falls[s].place[falls[s].land.index(t)] + [REACH / 2, 0, 0]) for t, s in landed]
    hips = _hips(falls, landed, manner, fine)
    hips[:, 2] += hips_by
    lean, sway, swing = np.full(len(fine), manner.lean), np.zeros(len(fine)), feet[1][0][:, 0] - feet[0][0][:, 0]
    beat = 2 * np.pi * random.uniform(0.7, 1.1) * fine + random.uniform(0, 6)
    if gait == "dance":
        sway, lean = 0.055 * np.sin(beat), 0.05 * np.sin(beat * 0.7)
        hips += sway[:, None] * LEFT - (0.03 + 0.03 * np.cos(2 * beat))[:, None] * UP
    elif gait in ("stand", "clap", "wave"):
        sway = 0.006 * np.sin(beat / 3)
        hips += sway[:, None] * LEFT
    elif seated:
        hips[:] = np.array([0.0, 0.0, 0.29])
        lean = 0.03 * np.sin(beat / 2)
        chair = [[(-0.14, -0.15, 0.0), (0.1, 0.15, 0.22)], [(-0.16, -0.15, 0.0), (-0.13, 0.15, 0.5)]]
        furniture = [(low, high) for low, high in np.array(chair)]
    joints = np.zeros((len(fine), 14, 3))
    _place_legs(joints, hips, feet)
    chest = joints[:, 4:6].mean(1) + 0.29 * np.stack([np.sin(lean), -1.7 * sway, np.cos(lean)], 1)
    for side, sign in ((0, 1.0), (1, -1.0)):
        joints[:, side] = chest + sign * (0.105 * LEFT + 0.12 * swing[:, None] * AHEAD)
    hands = _arms(gait, manner, joints, swing, beat, fine, random, cadence, events)
    inside = [event for event in events if -0.3 <= event[0] <= times[-1] + 0.3]
    return DrawnMotion(_completed(_resampled(joints, fine, times), hands), inside, furniture)


def _footfalls(
    gait: str, manner: Manner, seconds: float, random: np.random.Generator, cadence: float, stops: bool
) -> list[Footfalls]:
    """Steps at an even cadence with a hundredth of unevenness; a walker's length of step goes with the cadence."""
    period, width = 1 / cadence, random.uniform(0.05, 0.11)
    length = {"walk": 0.39 * np.sqrt(cadence / 1.9), "run": 0.2 * cadence + 0.1, "march": 0.0, "stairs": 0.17}[gait]
    moment, side = (random.uniform(0.7, 1.0), int(random.integers(2))) if stops else (-3.0 + random.uniform(0, 0.5), 0)
    last = seconds - random.uniform(0.8, 1.1) if stops else seconds + 1.5
    falls, place = [Footfalls(), Footfalls()], np.zeros(3)
    for foot, y in ((0, width / 2), (1, -width / 2)):
        falls[foot].add(-10.0, [0.0, y, 0.0], 0.0)
    closing = False
    while not closing:
        closing = moment > last
        place = place + (0.0 if closing else 1.0) * np.array([length * random.normal(1, 0.02), 0.0, manner.rise])
        swing = min(2 * period * (1 - manner.duty), moment - falls[side].land[-1] - 0.06)
        falls[side].leave.append(moment - swing)
        falls[side].add(moment, [place[0], falls[side].place[0][1], place[2]], 0.0)
        moment, side = moment + period * random.normal(1, 0.015), 1 - side
    return falls


def _jumps(falls: list[Footfalls], fine: np.ndarray, random: np.random.Generator, cadence: float) -> tuple[np.ndarray, list]:
    """Hips over where they stand ``[N]`` and the landings; the feet leave and land, a few milliseconds apart."""
    knots, events, moment = [(-10.0, 0.0)], [], 0.75 + random.uniform(0, 0.3)
    while moment < fine[-1] - 1.0:
        flight = random.uniform(0.3, 0.46)
        ahead = random.choice([0.0, 0.12]) * AHEAD
        landed = moment + flight
        for one in falls:
            one.leave.append(moment)
            one.add(landed + random.choice([0.0, 0.008]), one.place[-1] + ahead, 0.0)
        landed = min(one.land[-1] for one in falls)
        events.append((landed, "jump_landing", (falls[0].place[-1] + falls[1].place[-1]) / 2 + [REACH / 2, 0, 0]))
        knots += [(moment - 0.45, 0.0), (moment - 0.2, -0.11)]
        part = np.linspace(0, 1, 9)
        height = 0.5 * GRAVITY * flight**2 * part * (1 - part)
        knots += list(zip(moment + flight * part, 0.06 - 0.03 * part + height, strict=True))
        knots += [(landed + 0.06, -0.015), (landed + 0.17, -0.2 * flight - 0.02), (landed + 0.5, 0.0)]
        moment = landed + max(1 / cadence - flight, 1.0)
    knots.append((fine[-1] + 5, 0.0))
    return PchipInterpolator(*np.array(knots).T)(fine), events


def _foot(falls: Footfalls, manner: Manner, times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heel, toe and ankle ``[N, 3]``, heel and toe on the sole."""
    where, pitch, clear = np.zeros((len(times), 3)), np.zeros(len(times)), np.zeros(len(times))
    share, *curves = np.array(manner.swing).T
    ahead, up, clearance, tilt = (PchipInterpolator(share, curve) for curve in curves)
    for n, (land, place) in enumerate(zip(falls.land, falls.place, strict=True)):
        leave = falls.leave[n] if n < len(falls.leave) else np.inf
        rests = (times >= land) & (times < leave)
        roll = min(manner.roll * min(leave - land, 1.0), 0.3)
        pitch[rests] = manner.strike * np.clip(1 - (times[rests] - land) / manner.settle, 0, 1) ** 2 if n else 0.0
        pitch[rests] += manner.push * np.clip(1 - (leave - times[rests]) / roll, 0, 1) ** 1.5
        where[rests] = place
        if np.isfinite(leave):
            until, following = falls.land[n + 1], falls.place[n + 1]
            swings = (times >= leave) & (times < until)
            part = (times[swings] - leave) / (until - leave)
            way = np.stack([ahead(part), ahead(part), up(part)], 1)
            where[swings] = place + way * (following - place) + manner.forward * np.sin(np.pi * part)[:, None] ** 2 * AHEAD
            pitch[swings], clear[swings] = tilt(part), clearance(part) * min(1.0, (until - leave) / 0.3)
            if manner is MANNERS["jump"]:
                clear[swings] = 0.5 * GRAVITY * (until - leave) ** 2 * part * (1 - part) + 0.03 * np.sin(np.pi * part) ** 2
    along = np.cos(pitch)[:, None] * AHEAD + np.sin(pitch)[:, None] * UP
    heel = where + clear[:, None] * UP + np.where((pitch < 0)[:, None], REACH * (AHEAD - along), 0.0)
    ankle = heel + BEHIND * along + SOLE * (np.cos(pitch)[:, None] * UP - np.sin(pitch)[:, None] * AHEAD)
    return heel, heel + REACH * along, ankle


def _hips(falls: list[Footfalls], landed: list, manner: Manner, times: np.ndarray) -> np.ndarray:
    """The hips' middle ``[N, 3]``: over the feet, up and down with the steps."""
    knots, now = [(-10.0, (falls[0].place[0] + falls[1].place[0]) / 2)], [falls[0].place[0], falls[1].place[0]]
    for moment, side in landed:
        now[side] = falls[side].place[falls[side].land.index(moment)]
        knots.append((moment, (now[0] + now[1]) / 2))
    if landed:  # stands until shortly before the first step
        knots.insert(1, (landed[0][0] - 0.6, knots[0][1]))
    moments, places = np.array([moment for moment, _ in knots]), np.array([place for _, place in knots])
    # the hips are over the foot in the middle of a stance, which in a short stance is earlier
    early = max(0.0, 0.62 - manner.duty) * float(np.median(np.diff(moments))) if landed else 0.0
    middle = np.stack([np.interp(times + early, moments, column) for column in places.T], 1)
    middle = gaussian_filter1d(middle, 0.1 * FINE, axis=0, mode="nearest")
    hips = middle + np.array([BEHIND + 0.01, 0.0, THIGH + SHANK + SOLE - 0.006 - manner.crouch])
    if manner.bob and landed:
        lands = np.array([moment for moment, _ in landed])
        going = gaussian_filter1d(((times > lands[0] - 0.3) & (times < lands[-1])).astype(float), 0.1 * FINE)
        phase = np.interp(times, lands, np.arange(len(lands))) - manner.low
        hips[:, 2] -= manner.bob * going * (1 + np.cos(2 * np.pi * phase)) / 2
    return hips


def _place_legs(joints: np.ndarray, hips: np.ndarray, legs: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
    """Hips that come down where a leg would be too long, and knees."""
    lacking = np.zeros(len(hips))
    for (_, _, ankle), sign in zip(legs, (1.0, -1.0), strict=True):
        level = np.linalg.norm((ankle - hips - 0.05 * sign * LEFT)[:, :2], axis=1)
        highest = ankle[:, 2] + np.sqrt(np.maximum(((THIGH + SHANK) * 0.998) ** 2 - level**2, 0.0))
        lacking = np.maximum(lacking, hips[:, 2] - highest)
    lacking = gaussian_filter1d(maximum_filter1d(lacking, round(0.08 * FINE)), 0.02 * FINE)
    for side, ((heel, toe, ankle), sign) in enumerate(zip(legs, (1.0, -1.0), strict=True)):
        joints[:, 4 + side] = hips + 0.05 * sign * LEFT - lacking[:, None] * UP
        joints[:, 8 + side], joints[:, 10 + side], joints[:, 12 + side] = ankle, heel, toe
        joints[:, 6 + side] = knee(joints[:, 4 + side], ankle, THIGH, SHANK, np.tile(AHEAD + 0.1 * sign * LEFT, (len(hips), 1)))


def _arms(gait, manner, joints, swing, beat, times, random, cadence, events) -> np.ndarray | None:
    """Sets the wrists; gives where the fingers point ``[3]`` if not along the forearm."""
    gap = np.ones(len(times))
    if gait == "clap":
        moment = random.uniform(0.6, 0.9)
        while moment < times[-1] - 0.8:
            events.append((moment, "clap", joints[:, :2].mean(1)[np.searchsorted(times, moment)] + 0.25 * AHEAD - 0.06 * UP))
            closing, since = random.uniform(0.13, 0.2), times - moment
            part = np.clip(-since / closing, 0, 1)
            shut = np.where(since < 0, part * (2 - part), np.clip((since - 0.05) / 0.25, 0, 1) ** 2)
            gap = np.minimum(gap, shut)
            moment += max(1 / cadence * random.normal(1, 0.05), 0.45)
    for side, sign in ((0, 1.0), (1, -1.0)):
        shoulder = joints[:, side]
        angle = sign * manner.arms * swing + 0.08
        wrist = shoulder + 0.29 * (np.sin(angle)[:, None] * AHEAD - np.cos(angle)[:, None] * UP) + 0.03 * sign * LEFT
        if manner.bent:
            way = np.stack([np.sin(angle), np.full(len(times), -0.2 * sign), -np.cos(angle)], 1)
            wrist = shoulder + 0.17 * way + [0.1, 0, 0.04]
        elif gait == "clap":
            wrist = joints[:, :2].mean(1) + 0.21 * AHEAD - 0.1 * UP + sign * (0.018 + 0.11 * gap)[:, None] * LEFT
        elif gait == "wave" and side == 0:
            wrist = shoulder + 0.2 * UP + 0.1 * AHEAD + (0.12 + 0.09 * np.sin(2.1 * beat))[:, None] * LEFT
        elif gait == "dance":
            wave = np.sin(beat + sign)[:, None]
            wrist = shoulder + 0.17 * AHEAD + (0.1 * sign + 0.05 * wave) * LEFT - (0.08 + 0.07 * np.cos(beat)[:, None]) * UP
        elif gait == "sit":
            wrist = shoulder + 0.2 * AHEAD + 0.02 * sign * LEFT + (0.03 * np.sin(beat + sign)[:, None] * side - 0.17) * UP
        joints[:, 2 + side] = wrist
    return np.array([0.7, 0.0, 0.7]) if gait == "clap" else None


def _completed(joints: np.ndarray, fingers: np.ndarray | None = None) -> np.ndarray:
    """The simulation's joints ``[T, 14, 3]`` with elbows that bend back and out, fingertips and a head."""
    across = joints[:, 0] - joints[:, 1]
    left = across / np.linalg.norm(across, axis=1, keepdims=True)
    ahead = np.cross(left, UP)
    more = np.zeros((len(joints), JOINTS - 14, 3))
    for side, sign in ((0, 1.0), (1, -1.0)):
        more[:, side] = knee(joints[:, side], joints[:, 2 + side], UPPER_ARM, FOREARM, 0.4 * sign * left - ahead - 0.3 * UP)
        way = joints[:, 2 + side] - more[:, side] if fingers is None else np.tile(fingers, (len(joints), 1))
        more[:, 2 + side] = joints[:, 2 + side] + HAND * way / np.linalg.norm(way, axis=1, keepdims=True)
    trunk = joints[:, :2].mean(1) - joints[:, 4:6].mean(1)
    more[:, 4] = joints[:, :2].mean(1) + 0.115 * trunk / np.linalg.norm(trunk, axis=1, keepdims=True) + 0.015 * ahead
    return np.concatenate([joints, more], axis=1)


def _resampled(joints: np.ndarray, clock: np.ndarray, times: np.ndarray) -> np.ndarray:
    flat = joints.reshape(len(clock), -1)
    return np.stack([np.interp(times, clock, column) for column in flat.T], 1).reshape(len(times), *joints.shape[1:])
