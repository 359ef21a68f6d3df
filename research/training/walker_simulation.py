"""People who walk, run, march, climb, turn, jump, sway and stand, as joints in space with the true times of their foot
contacts.

Footfalls come first: when and where each foot lands, and when it leaves. Between them the feet rest or swing, the hips follow
the feet, and the knees bend as two straight bones allow. Nothing is recorded; every figure in here is drawn at random. What
walking looks like (share of stance, lift, tilt of the foot, bob) is after D. Winter, "The Biomechanics and Motor Control of
Human Gait", 1991, and T. Novacheck, "The biomechanics of running", Gait and Posture 7, 1998.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter1d

#: Frames a second and seconds of a simulated walk.
RATE, SECONDS = 60.0, 6.0
#: Order of the joints, left before right: shoulders, wrists, hips, knees, ankles, heels, toes.
JOINTS = 14
_HEEL, _TOE, _SOLE = -0.028, 0.115, 0.045  # of the foot from the ankle: back, ahead, down; in body heights
GAITS = ("walk", "run", "march", "stairs", "wander", "jump", "stand")
_SHARES = (0.34, 0.16, 0.1, 0.08, 0.12, 0.1, 0.1)


@dataclass
class Footfalls:
    """When (seconds) and where (body heights: ahead, left, up) a foot lands, and when it leaves again."""

    land: list[float] = field(default_factory=list)
    leave: list[float] = field(default_factory=list)
    place: list[np.ndarray] = field(default_factory=list)
    yaw: list[float] = field(default_factory=list)

    def add(self, land: float, place, yaw: float) -> None:
        self.land.append(land)
        self.place.append(np.asarray(place, dtype=float))
        self.yaw.append(yaw)


@dataclass
class Walk:
    """Joints ``[T, 14, 3]`` in body heights (x, y on the ground, z up), contacts of each foot and landings in seconds, and
    whether each foot is on the ground ``[T, 2]``."""

    joints: np.ndarray
    contacts: tuple[np.ndarray, np.ndarray]
    landings: np.ndarray
    grounded: np.ndarray
    gait: str


@dataclass
class _Style:
    swing_lift: float
    heel_rise: float  # radians that the foot tilts when it leaves
    toe_up: float  # radians at contact
    bob: float
    bob_phase: float
    lean: float
    crouch: float
    overshoot: float
    warp: float
    stop: float  # share of the swing's curve after which the ground stops it
    arms: float


def _schedule(gait: str, random: np.random.Generator) -> tuple[list[Footfalls], _Style, list[float], float, float]:
    """Footfalls, manner, times of landings from jumps, step time, and share of a stride on the ground."""
    u = random.uniform
    style = _Style(
        u(0.01, 0.05),
        u(0.7, 1.3),
        u(0.1, 0.45),
        u(0.005, 0.02),
        u(0.08, 0.2),
        u(-0.02, 0.1),
        u(0.0, 0.03),
        u(0, 0.04),
        u(0.85, 1.1),
        u(0.68, 0.95),
        u(0, 1),
    )
    width, step, length, duty, rise = u(0.02, 0.14), 0.55, 0.0, 0.62, 0.0
    turn = random.choice([0.0, u(-0.5, 0.5)])  # radians a step
    if gait == "walk":
        speed = u(0.25, 1.15)  # body heights a second
        step = 1 / np.clip(1.95 * np.sqrt(speed / 0.8) * u(0.82, 1.2), 1.0, 2.9)
        length, duty, turn = speed * step * random.choice([1, 1, 1, 1, 1, -0.7]), u(0.57, 0.68), turn * 0.4
    elif gait == "run":
        speed = u(0.8, 3.0)
        step, duty = 1 / u(2.2, 3.4), u(0.25, 0.46)
        length, turn = speed * step, turn * 0.2
        style = _Style(
            u(0.03, 0.2),
            u(0.9, 1.7),
            u(-0.3, 0.35),
            u(0.015, 0.045),
            u(0.3, 0.42),
            u(0.02, 0.25),
            u(0.02, 0.07),
            u(0, 0.1),
            u(0.8, 1.1),
            u(0.65, 1.0),
            u(0.3, 1),
        )
    elif gait == "march":
        step, duty, length = 1 / u(1.1, 3.2), u(0.42, 0.78), u(-0.03, 0.05)
        style.swing_lift, style.toe_up, style.heel_rise = u(0.03, 0.3), u(-0.4, 0.15), u(0.1, 1.0)
    elif gait == "stairs":
        step, duty, length, rise, turn = (
            1 / u(1.1, 2.4),
            u(0.55, 0.7),
            u(0.14, 0.3),
            random.choice([-1, 1]) * u(0.06, 0.13),
            0.0,
        )
        style.swing_lift, style.toe_up = u(0.04, 0.15) + (0.05 if rise > 0 else 0), u(-0.5, 0.1)
    feet = [Footfalls(), Footfalls()]
    landings: list[float] = []
    position, yaw, height = np.zeros(2), u(-0.3, 0.3), 0.0
    across = lambda side: np.array([-np.sin(yaw), np.cos(yaw)]) * (width / 2 if side == 0 else -width / 2)  # noqa: E731
    for side in (0, 1):
        feet[side].add(-10.0, [*(position + across(side) + u(-0.03, 0.03, 2)), 0.0], yaw)
    if gait == "stand":
        return feet, style, landings, step, duty
    if gait == "jump":
        return _jumps(feet, style, random)
    start = random.choice([-1.0, u(0.2, 2.5)])
    stop = random.choice([SECONDS + 2, u(3.0, SECONDS)])
    time, side = start, int(random.integers(2))
    jitter = u(0.01, 0.06)
    while time < stop:
        if gait == "wander":
            gap, swing = random.choice([u(0.3, 0.7), u(0.5, 2.5)]), u(0.18, 0.5)
            moved, yaw = u(-0.15, 0.25) * np.array([np.cos(yaw), np.sin(yaw)]) + u(-0.08, 0.08, 2), yaw + u(-0.5, 0.5)
            position = position + moved
            side = side if random.random() < 0.15 else 1 - side
        else:
            gap = step * (1 + jitter * random.standard_normal())
            swing = min(2 * step * (1 - duty) * u(0.95, 1.05), 2 * gap - 0.05)
            yaw += turn * u(0.7, 1.3)
            position = position + length * (1 + jitter * random.standard_normal()) * np.array([np.cos(yaw), np.sin(yaw)])
            height += rise
            side = 1 - side
        time += max(gap, 0.16)
        swing = min(swing, time - feet[side].land[-1] - 0.06)
        feet[side].leave.append(time - max(swing, 0.1))
        feet[side].add(time, [*(position + across(side)), height], yaw)
    if gait not in ("wander", "stairs") and stop < SECONDS + 1 and length:  # the last step closes up
        side = 1 - side
        time += step * u(0.9, 1.4)
        feet[side].leave.append(time - max(0.1, min(step, time - feet[side].land[-1] - 0.06)))
        feet[side].add(time, [*(position + across(side)), height], yaw)
    return feet, style, landings, step, duty


def _jumps(feet: list[Footfalls], style: _Style, random: np.random.Generator):
    """Jumps on the spot or ahead, on both feet."""
    u = random.uniform
    style.swing_lift, style.toe_up, style.heel_rise, style.bob = u(0.03, 0.35), u(-0.7, 0.0), u(0.1, 0.8), 0.0
    landings, time, flight, rest = [], u(0.2, 1.2), u(0.22, 0.6), u(0.12, 1.2)
    while time < SECONDS + 1:
        move = random.choice([0.0, u(-0.1, 0.3)]) * np.array([1.0, u(-0.3, 0.3)])
        land = time + flight * u(0.9, 1.1)
        for one in feet:
            skew = random.choice([0.0, u(0, 0.04)])
            one.leave.append(time - u(0, 0.04))
            one.add(land + skew, [*(one.place[-1][:2] + move + u(-0.02, 0.02, 2)), 0.0], one.yaw[-1])
        landings.append(min(one.land[-1] for one in feet))
        time = land + max(0.1, rest * u(0.7, 1.3))
    return feet, style, landings, flight + rest, 0.5


def _foot(falls: Footfalls, style: _Style, times: np.ndarray, random: np.random.Generator):
    """Heel ``[T, 3]``, tilt ``[T]`` (toe up positive), yaw and whether on the ground."""
    heel, tilt = np.zeros((len(times), 3)), np.zeros(len(times))
    yaw, grounded = np.zeros(len(times)), np.zeros(len(times), dtype=bool)
    reach, up = _TOE - _HEEL, np.array([0.0, 0.0, 1.0])
    fall, bend = random.uniform(1.0, 1.6), random.uniform(0.9, 2.0)
    for n, (land, place) in enumerate(zip(falls.land, falls.place, strict=True)):
        leave = falls.leave[n] if n < len(falls.leave) else np.inf
        ahead = np.array([np.cos(falls.yaw[n]), np.sin(falls.yaw[n]), 0.0])
        rests = (times >= land) & (times < leave)
        settle = random.uniform(0.05, 0.12)
        roll = min(0.25, 0.45 * (leave - land))
        first = style.toe_up * np.clip(1 - (times - land) / settle, 0, 1) if n else np.zeros(len(times))
        last = (
            -style.heel_rise * np.clip(1 - (leave - times) / roll, 0, 1) ** 1.5 if np.isfinite(leave) else np.zeros(len(times))
        )
        angle = first + last
        back = place + reach * ahead  # the toe's place, on which the foot rolls off
        rolled = back - reach * (np.cos(angle)[:, None] * ahead + np.sin(angle)[:, None] * up)
        heel[rests] = np.where((angle < 0)[:, None], rolled, place)[rests]
        tilt[rests], yaw[rests], grounded[rests] = angle[rests], falls.yaw[n], True
        if not np.isfinite(leave):
            continue
        until = falls.land[n + 1]
        swings = (times >= leave) & (times < until)
        part = np.clip((times[swings] - leave) / (until - leave), 0, 1)
        # the ground stops a foot that is still on its way: the curve of least jerk, cut off before its end
        eased = _least_jerk(part**style.warp * style.stop) / _least_jerk(style.stop)
        eased = eased + style.overshoot * np.sin(np.pi * part) ** 2 * part**3 * 2
        # where the heel is when the toe leaves
        begin = back - reach * (np.cos(style.heel_rise) * ahead - np.sin(style.heel_rise) * up)
        lift = style.swing_lift * (0.6 * np.sin(np.pi * part) + 0.4 * np.sin(np.pi * part**0.8) ** 2)
        # where it comes down: higher up, where the toe is first
        nose, down = np.array([np.cos(falls.yaw[n + 1]), np.sin(falls.yaw[n + 1]), 0.0]), min(style.toe_up, 0.0)
        end = falls.place[n + 1] + reach * ((1 - np.cos(down)) * nose - np.sin(down) * up)
        track = begin + (end - begin) * eased[:, None]
        track[:, 2] = end[2] + (begin[2] - end[2]) * (1 - np.clip(part * fall, 0, 1)) ** bend + lift
        heel[swings] = track
        tilt[swings] = -style.heel_rise + (style.toe_up + style.heel_rise) * np.clip(part * 1.2, 0, 1) ** 0.8
        yaw[swings] = falls.yaw[n] + (falls.yaw[n + 1] - falls.yaw[n]) * part
    return heel, tilt, yaw, grounded


def simulate(random: np.random.Generator, gait: str | None = None) -> Walk:
    """A walk of :data:`SECONDS`."""
    gait = gait or str(random.choice(GAITS, p=_SHARES))
    u = random.uniform
    feet, style, landings, step, _ = _schedule(gait, random)
    times = np.arange(round(SECONDS * RATE)) / RATE
    up = np.array([0.0, 0.0, 1.0])
    parts = [_foot(falls, style, times, random) for falls in feet]
    yaw = gaussian_filter1d((parts[0][2] + parts[1][2]) / 2, 0.15 * RATE, mode="nearest")
    ahead = np.stack([np.cos(yaw), np.sin(yaw), np.zeros(len(yaw))], axis=1)
    left = np.stack([-np.sin(yaw), np.cos(yaw), np.zeros(len(yaw))], axis=1)
    middle = gaussian_filter1d((parts[0][0] + parts[1][0]) / 2, max(0.12, 0.35 * step) * RATE, axis=0, mode="nearest")
    load = gaussian_filter1d(parts[0][3].astype(float) - parts[1][3], 0.1 * RATE, mode="nearest")
    events = np.sort(np.concatenate([falls.land[1:] for falls in feet]))
    thigh, shank = u(0.23, 0.26), u(0.225, 0.255)
    leg = thigh + shank + _SOLE
    phase = np.interp(times, events, np.arange(len(events))) if len(events) > 1 else np.zeros(len(times))
    stepping = (
        gaussian_filter1d(((times > events[0] - step) & (times < events[-1])).astype(float), 0.1 * RATE)
        if len(events)
        else 0 * times
    )
    sink = style.crouch + style.bob * stepping * (1 + np.cos(2 * np.pi * (phase - style.bob_phase))) / 2
    sway = np.zeros(len(times))
    if gait in ("stand", "wander", "march") and random.random() < 0.7:  # weight shifts, knees bend, to music or not
        beat = u(0.3, 2.5)
        sway = u(0, 0.06) * np.sin(2 * np.pi * beat * times / 2 + u(0, 6))
        sink = sink + u(0, 0.08) * random.choice([0.2, 1.0]) * (1 + np.sin(2 * np.pi * beat * times + u(0, 6))) / 2
    lowest = np.minimum(*(part[0][:, 2] for part in parts)) if gait == "jump" else gaussian_filter1d(middle[:, 2], 0.1 * RATE)
    height = leg * u(0.965, 0.995) - sink
    base = middle + (u(-0.02, 0.05)) * ahead + left * (sway + u(0.0, 0.03) * load)[:, None]
    if gait == "jump":
        height, lowest = _jump_height(height, parts, times, random)
    base[:, 2] = lowest + height
    hip_width, shoulder_width = u(0.09, 0.12), u(0.19, 0.25)
    twist = u(0.0, 0.25) * gaussian_filter1d(((parts[0][0] - parts[1][0]) * ahead).sum(1), 2) / 0.4
    joints = np.zeros((len(times), JOINTS, 3))
    for side, (heel, tilt, foot_yaw, _) in enumerate(parts):
        sign = 1 - 2 * side
        nose = np.stack([np.cos(foot_yaw + sign * 0.08), np.sin(foot_yaw + sign * 0.08), np.zeros(len(times))], axis=1)
        along, normal = (
            np.cos(tilt)[:, None] * nose + np.sin(tilt)[:, None] * up,
            np.cos(tilt)[:, None] * up - np.sin(tilt)[:, None] * nose,
        )
        ankle = heel - _HEEL * along + _SOLE * normal
        joints[:, 12 + side], joints[:, 10 + side], joints[:, 8 + side] = heel + (_TOE - _HEEL) * along, heel, ankle
        joints[:, 4 + side] = base + sign * hip_width / 2 * (left + twist[:, None] * ahead)
    # hips come down where a leg would be too long
    over = np.max(
        [np.linalg.norm(joints[:, 8 + s] - joints[:, 4 + s], axis=1) - 0.998 * (thigh + shank) for s in (0, 1)], axis=0
    )
    joints[:, 4:6, 2] -= gaussian_filter1d(np.clip(over, 0, 0.4) * 1.1, 1.5)[:, None]
    for side in (0, 1):
        joints[:, 6 + side] = knee(joints[:, 4 + side], joints[:, 8 + side], thigh, shank, ahead + (1 - 2 * side) * 0.15 * left)
    trunk = u(0.28, 0.33)
    hips = joints[:, 4:6].mean(1)
    chest = hips + trunk * (np.cos(style.lean) * up + np.sin(style.lean) * ahead) + left * (0.3 * sway)[:, None]
    swing = ((parts[0][0] - parts[1][0]) * ahead).sum(1)
    wild = gaussian_filter1d(random.standard_normal((len(times), 2, 3)), 0.15 * RATE, axis=0) * random.choice([0.0, 0.0, 1.2])
    for side in (0, 1):
        sign = 1 - 2 * side
        joints[:, side] = chest + sign * shoulder_width / 2 * left - sign * 0.5 * twist[:, None] * shoulder_width * ahead
        hang = joints[:, side] - u(0.22, 0.33) * up + u(0.0, 0.12) * ahead + sign * 0.03 * left
        joints[:, 2 + side] = hang - sign * style.arms * 0.5 * swing[:, None] * ahead + wild[:, side]
    left_contacts, right_contacts = (np.array([t for t in falls.land[1:] if 0 <= t < SECONDS]) for falls in feet)
    return Walk(
        joints,
        (left_contacts, right_contacts),
        np.array([t for t in landings if t < SECONDS]),
        np.stack([part[3] for part in parts], 1),
        gait,
    )


def _jump_height(height: np.ndarray, parts, times: np.ndarray, random: np.random.Generator):
    """Hips over the ground: crouched before a jump, thrown in the air, sinking after it."""
    air = ~(parts[0][3] | parts[1][3])
    edges = np.flatnonzero(np.diff(np.concatenate([[0], air.astype(int), [0]])))
    crouch, give = random.uniform(0.02, 0.15), random.uniform(0.02, 0.15)
    deep, soft = random.uniform(0.06, 0.12), random.uniform(0.05, 0.12)
    flight = np.zeros(len(times))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        t0, t1 = times[begin], times[min(end, len(times) - 1)]
        t = times[begin:end]
        flight[begin:end] += 0.5 * 9.81 / 1.7 * (t - t0) * np.maximum(t1 - t, 0)
        height = height - crouch * np.exp(-0.5 * ((times - t0 + 0.15) / deep) ** 2) * (times < t0)
        height = height - give * np.exp(-0.5 * ((times - t1 - 0.12) / soft) ** 2) * (times >= t1)
    for heel in (parts[0][0], parts[1][0]):
        heel[:, 2] += flight  # legs are drawn up by the swing's lift besides
    return height, flight


def _least_jerk(part):
    return part**3 * (10 - 15 * part + 6 * part**2)


def knee(hip: np.ndarray, ankle: np.ndarray, thigh: float, shank: float, ahead: np.ndarray) -> np.ndarray:
    """The knee of a leg of two bones that bends ahead."""
    line = ankle - hip
    length = np.clip(np.linalg.norm(line, axis=1), 0.05, thigh + shank - 1e-4)
    along = line / np.maximum(np.linalg.norm(line, axis=1, keepdims=True), 1e-6)
    down = (thigh**2 - shank**2 + length**2) / (2 * length)
    out = np.sqrt(np.maximum(thigh**2 - down**2, 0))
    bend = ahead - (ahead * along).sum(1, keepdims=True) * along
    bend /= np.maximum(np.linalg.norm(bend, axis=1, keepdims=True), 1e-6)
    return hip + down[:, None] * along + out[:, None] * bend
