"""A person's motion made ready for finding contacts: even steps of time, left and right set right, measured in body heights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, median_filter, uniform_filter1d

from .landmarks import ANKLES, HEELS, HIPS, INDEX_FINGERS, KNEES, SHOULDERS, TOES, WRISTS, Landmarks

#: Frames a second that everything is brought to.
RATE = 30.0
#: Seconds without a landmark that are bridged; a longer absence begins a new run.
LONGEST_GAP = 0.25
#: Runs shorter than this tell nothing.
SHORTEST = 0.4
#: Presence below which the crop holds no person, or not the right one.
PRESENT = 0.4
#: Presence over a second, up to which nothing is believed, and from which all is.
_DOUBTED, _BELIEVED = 0.7, 0.95
#: Landmarks of the legs, left and right.
LEGS = (HIPS, KNEES, ANKLES, HEELS, TOES)
#: Standing height over the length of trunk and legs from shoulder to heel, along the bones.
_HEIGHT_OVER_CHAIN = 1.2


@dataclass(frozen=True)
class Body:
    """One uninterrupted run of a person's landmarks at :data:`RATE` frames a second.

    :param times: seconds ``[N]``.
    :param points: ``[N, 33, 2]``, x right and y down, in body heights.
    :param world: ``[N, 33, 3]`` metres from the hips, y down, z away from the camera.
    :param visibility: ``[N, 33]`` in 0..1.
    :param presence: ``[N]``, probability of a person.
    :param height: of the body, in frame heights.
    """

    times: np.ndarray
    points: np.ndarray
    world: np.ndarray
    visibility: np.ndarray
    presence: np.ndarray
    height: float

    def __len__(self) -> int:
        return len(self.times)

    def foot(self, side: int, world: bool = False) -> np.ndarray:
        """The middle of ankle, heel and toe ``[N, 2 or 3]``, left 0, right 1."""
        places = [pair[side] for pair in (ANKLES, HEELS, TOES)]
        return (self.world if world else self.points)[:, places].mean(1)

    def hand(self, side: int) -> np.ndarray:
        """The middle of wrist and index finger ``[N, 2]``."""
        return self.points[:, [WRISTS[side], INDEX_FINGERS[side]]].mean(1)

    def hips(self) -> np.ndarray:
        """The middle of the hips ``[N, 2]``."""
        return self.points[:, HIPS].mean(1)

    def heading(self) -> np.ndarray:
        """Unit vectors ``[N, 3]`` on the ground in the world's axes: where the body faces, slowly changing."""
        across = self.world[:, HIPS[0]] - self.world[:, HIPS[1]] + self.world[:, SHOULDERS[0]] - self.world[:, SHOULDERS[1]]
        feet = (self.world[:, TOES] - self.world[:, HEELS]).mean(1)
        # left minus right points to the left; a quarter of a turn further is ahead
        ahead = np.stack([across[:, 2], np.zeros(len(self)), -across[:, 0]], axis=1)
        ahead /= np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-6)
        feet = feet * np.array([1.0, 0.0, 1.0])
        ahead = gaussian_filter1d(ahead + feet / np.maximum(np.linalg.norm(feet, axis=1, keepdims=True), 1e-6), 6.0, axis=0)
        return ahead / np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-6)

    def trust(self) -> np.ndarray:
        """How far the pose may be believed, ``[N]`` in 0..1: as far as in the best second that the moment belongs to."""
        second = round(RATE)
        lasting = maximum_filter1d(uniform_filter1d(self.presence, second, mode="nearest"), second, mode="nearest")
        return np.clip((lasting - _DOUBTED) / (_BELIEVED - _DOUBTED), 0, 1)

    def visible(self, landmarks) -> np.ndarray:
        """Probability ``[N]`` that these landmarks are seen, on average."""
        return self.visibility[:, list(landmarks)].mean(1)


def bodies(landmarks: Landmarks) -> list[Body]:
    """The runs of a person's landmarks, cleaned."""
    there = landmarks.presence > PRESENT
    places = np.flatnonzero(there)
    if len(places) == 0:
        return []
    runs = np.split(places, np.flatnonzero(np.diff(landmarks.times[places]) > LONGEST_GAP) + 1)
    return [_body(landmarks, run) for run in runs if landmarks.times[run[-1]] - landmarks.times[run[0]] >= SHORTEST]


def _body(landmarks: Landmarks, run: np.ndarray) -> Body:
    known = landmarks.times[run]
    times = np.arange(known[0], known[-1] + 1e-6, 1 / RATE)

    def on_grid(values: np.ndarray) -> np.ndarray:
        flat = values[run].reshape(len(run), -1)
        return np.stack([np.interp(times, known, column) for column in flat.T], 1).reshape(len(times), *values.shape[1:])

    points, world = landmarks.points.copy(), landmarks.world.copy()
    swapped = np.zeros(len(points), dtype=bool)
    swapped[run] = swaps(points[run] / float(np.median(landmarks.heights[run])), world[run])
    for left, right in LEGS:
        for values in (points, world):
            values[swapped, left], values[swapped, right] = values[swapped, right], values[swapped, left].copy()
    height = body_height(points[run], world[run])
    return Body(
        times, on_grid(points) / height, on_grid(world), on_grid(landmarks.visibility), on_grid(landmarks.presence), height
    )


def body_height(points: np.ndarray, world: np.ndarray) -> float:
    """Standing height in frame heights, from the scale between the picture and the world landmarks.

    The scale holds in any view, where a box is flattened from above and grows with the arms.
    """
    chosen = [place for pair in (SHOULDERS, HIPS, KNEES, ANKLES) for place in pair]
    flat, metres = points[:, chosen], world[:, chosen, :2]
    flat, metres = flat - flat.mean(1, keepdims=True), metres - metres.mean(1, keepdims=True)
    scale = (flat * metres).sum((1, 2)) / np.maximum((metres**2).sum((1, 2)), 1e-6)
    scale = float(np.median(scale[np.isfinite(scale)]))
    sides = [[(SHOULDERS[s], HIPS[s]), (HIPS[s], KNEES[s]), (KNEES[s], HEELS[s])] for s in (0, 1)]
    chain = np.mean([sum(np.linalg.norm(world[:, a] - world[:, b], axis=1) for a, b in bones) for bones in sides], axis=0)
    return max(scale, 1e-3) * _HEIGHT_OVER_CHAIN * float(np.median(chain))


def swaps(points: np.ndarray, world: np.ndarray, prior: float = 0.02, cap: float = 0.5) -> np.ndarray:
    """Where the network took the left leg for the right one: bool ``[N]``, the most probable path (Viterbi) under smooth
    motion.

    :param points: ``[N, 33, 2]`` in body heights.
    :param prior: cost of a frame that is swapped, so that most of the network's own names stay.
    :param cap: bound on the cost of one frame, so that a lost frame does not decide.
    """
    legs = np.stack([np.concatenate([points[:, pair], 0.5 * world[:, pair]], axis=2) for pair in LEGS[1:]], axis=1)
    states = np.stack([legs, legs[:, :, ::-1]])  # [2, N, joints, sides, 5]
    count = legs.shape[0]
    if count < 3:
        return np.zeros(count, dtype=bool)

    def cost(difference: np.ndarray) -> float:
        return min(float(np.abs(difference).mean()), cap)

    # state of a pair of frames: previous, current
    best = np.array([[cost(states[j, 1] - states[i, 0]) + prior * (i + j) for j in (0, 1)] for i in (0, 1)])
    came_from = np.zeros((count, 2, 2), dtype=int)
    for n in range(2, count):
        options = np.empty((2, 2, 2))
        for i in (0, 1):
            for j in (0, 1):
                for k in (0, 1):
                    coasting = states[k, n] - 2 * states[j, n - 1] + states[i, n - 2]
                    options[i, j, k] = best[i, j] + cost(coasting) + prior * k
        came_from[n] = options.argmin(0)
        best = options.min(0)
    path = np.zeros(count, dtype=int)
    path[-2], path[-1] = np.unravel_index(best.argmin(), (2, 2))
    for n in range(count - 1, 1, -1):
        path[n - 2] = came_from[n, path[n - 1], path[n]]
    return path.astype(bool)


def smooth(values: np.ndarray, width: float = 0.03) -> np.ndarray:
    """Single wrong frames out, then a Gaussian of ``width`` seconds, along time."""
    size = (3,) + (1,) * (values.ndim - 1)
    return gaussian_filter1d(median_filter(values, size=size, mode="nearest"), width * RATE, axis=0, mode="nearest")


def velocity(values: np.ndarray) -> np.ndarray:
    """Change a second, along time."""
    return np.gradient(values, 1 / RATE, axis=0) if len(values) > 1 else np.zeros_like(values)
