"""From boxes in each frame to objects over time: two-stage association in the manner of ByteTrack.

Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection Box", ECCV 2022: confident boxes are matched
first, then the uncertain ones to the tracks left over. Differences here: time counts in seconds, so that any frame rate and
variable ones work, and boxes are widened before overlaps are measured (Yang et al., "Hard to Track Objects with Irregular
Motions and Similar Appearances?", WACV 2023), because at ten frames a second a fast walker leaves its own box.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from .detections import Detections, iou
from .refine import Tracklet

#: Share of a box's size by which it is widened on each side before overlaps are measured.
BUFFER = 0.3
#: Least widened overlap for a match of a confident and of an uncertain box.
OVERLAP_CONFIDENT, OVERLAP_UNCERTAIN = 0.15, 0.35
#: Process noise (box heights per second squared) and measurement noise (box heights) of the motion filter.
ACCELERATION, JITTER = 1.5, 0.04


def widen(boxes: np.ndarray, share: float = BUFFER) -> np.ndarray:
    """Boxes ``[N, 4]`` grown by a share of their size on each side."""
    margin = (boxes[:, 2:] - boxes[:, :2]) * share
    return np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1)


class MotionFilter:
    """A Kalman filter for a box's four edges with one common constant-velocity model; time steps may differ."""

    def __init__(self, box: np.ndarray):
        self.state = np.stack([box, np.zeros(4)])
        scale = self._scale()
        self.covariance = np.diag([(2 * JITTER * scale) ** 2, (0.5 * scale) ** 2])

    def _scale(self) -> float:
        return max(float(self.state[0, 3] - self.state[0, 1]), 0.02)

    def predict(self, step: float) -> None:
        """Move on by ``step`` seconds."""
        move = np.array([[1.0, step], [0.0, 1.0]])
        noise = (ACCELERATION * self._scale()) ** 2 * np.array([[step**4 / 4, step**3 / 2], [step**3 / 2, step**2]])
        self.state = move @ self.state
        self.covariance = move @ self.covariance @ move.T + noise

    def update(self, box: np.ndarray) -> None:
        """Take in an observed box."""
        gain = self.covariance[:, 0] / (self.covariance[0, 0] + (JITTER * self._scale()) ** 2)
        self.state = self.state + gain[:, None] * (box - self.state[0])
        self.covariance = self.covariance - np.outer(gain, self.covariance[0])


@dataclass
class FilteredTracklet(Tracklet):
    """A tracklet while it is followed, with its motion."""

    filter: MotionFilter = field(kw_only=True)


class Associator:
    """Feed it detections frame by frame, then read :attr:`tracklets`.

    :param threshold: score from which a box is confident and may begin a track.
    :param memory: seconds a track outlives its last box.
    """

    def __init__(self, threshold: float = 0.35, memory: float = 1.0):
        self.threshold, self.memory = threshold, memory
        self.active: list[FilteredTracklet] = []
        self.tracklets: list[Tracklet] = []
        self._last: float | None = None

    def add(self, time: float, found: Detections) -> None:
        """Take in the boxes of the frame at ``time`` seconds; times rise from call to call."""
        step = 0.0 if self._last is None else time - self._last
        self._last = time
        self.active = [track for track in self.active if time - track.times[-1] <= self.memory + 1e-9]
        for track in self.active:
            track.filter.predict(step)
        confident = np.flatnonzero(found.scores >= self.threshold)
        uncertain = np.flatnonzero(found.scores < self.threshold)
        idle = self._match(self.active, found, confident, OVERLAP_CONFIDENT, time)
        # An uncertain box may carry on a track seen a moment ago; it may not revive one that has been lost.
        fresh = [track for track in idle[0] if time - track.times[-1] <= max(2 * step, 0.25)]
        self._match(fresh, found, uncertain, OVERLAP_UNCERTAIN, time)
        for index in idle[1]:
            motion = MotionFilter(found.boxes[index])
            track = FilteredTracklet(len(self.tracklets) + 1, found.labels[index], filter=motion)
            track.add(time, found.boxes[index], float(found.scores[index]))
            self.active.append(track)
            self.tracklets.append(track)

    def _match(self, tracks: list[FilteredTracklet], found: Detections, chosen: np.ndarray, least: float, time: float):
        """Match boxes ``chosen`` to ``tracks`` by largest total overlap; returns the tracks and the boxes left over."""
        if not tracks or len(chosen) == 0:
            return tracks, list(chosen)
        expected = np.stack([track.filter.state[0] for track in tracks])
        overlaps = iou(widen(expected), widen(found.boxes[chosen]))
        labels = np.array([[track.label == found.labels[index] for index in chosen] for track in tracks])
        overlaps = np.where(labels, overlaps, 0.0)
        rows, columns = linear_sum_assignment(-overlaps)
        taken = [(row, column) for row, column in zip(rows, columns, strict=True) if overlaps[row, column] >= least]
        for row, column in taken:
            index = chosen[column]
            tracks[row].filter.update(found.boxes[index])
            tracks[row].add(time, found.boxes[index], float(found.scores[index]))
        rows_taken, columns_taken = {row for row, _ in taken}, {column for _, column in taken}
        left = [track for row, track in enumerate(tracks) if row not in rows_taken]
        return left, [chosen[column] for column in range(len(chosen)) if column not in columns_taken]
