"""From raw tracklets to clean tracks: short ones dropped, gaps bridged, jitter smoothed, the most prominent kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from ..scene import Track, Tracks


@dataclass
class Tracklet:
    """One object as it was observed: seconds, boxes in 0..1 of the frame, and scores, in order."""

    id: int
    label: str = ""
    times: list[float] = field(default_factory=list)
    boxes: list[np.ndarray] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def add(self, time: float, box: np.ndarray, score: float) -> None:
        self.times.append(time)
        self.boxes.append(box)
        self.scores.append(score)


def refine(
    tracklets: Sequence[Tracklet],
    duration: float,
    *,
    spacing: float,
    fill_gaps: float = 1.0,
    smoothing: float = 0.05,
    min_seconds: float = 0.4,
    max_tracks: int = 0,
    aspect: float = 16 / 9,
) -> Tracks:
    """Clean tracks of a clip.

    :param duration: seconds of the clip.
    :param spacing: seconds between two analysed frames; bridged gaps get boxes this far apart.
    :param fill_gaps: gaps up to so many seconds are bridged by straight motion; longer ones stay off screen.
    :param smoothing: seconds; width (standard deviation) of the smoothing of boxes over time, 0 = none.
    :param min_seconds: tracks seen for less are dropped.
    :param max_tracks: how many of the most prominent to keep, 0 = all.
    :param aspect: width over height of the frame.
    """
    tracks = []
    for tracklet in tracklets:
        times = np.array(tracklet.times)
        if times[-1] - times[0] < min(min_seconds, 0.5 * duration) - 1e-9:
            continue
        boxes, scores = np.stack(tracklet.boxes), np.array(tracklet.scores)
        times, boxes, scores = bridge(times, boxes, scores, spacing, fill_gaps)
        if smoothing > 0:
            boxes = smooth(times, boxes, smoothing)
        tracks.append(Track(tracklet.id, tracklet.label, times, boxes, scores))
    result = Tracks(tuple(tracks), duration, max_gap=max(0.5, 2.5 * spacing), aspect=aspect)
    return result.most_prominent(max_tracks) if max_tracks > 0 else result


def bridge(times: np.ndarray, boxes: np.ndarray, scores: np.ndarray, spacing: float, longest: float):
    """Put boxes into gaps of at most ``longest`` seconds, on a straight line and with half the neighbours' confidence."""
    extra = []
    for left, right in pairwise(times):
        count = round((right - left) / spacing) - 1
        if count > 0 and right - left <= longest + 1e-9:
            extra.append(left + (right - left) * np.arange(1, count + 1) / (count + 1))
    if not extra:
        return times, boxes, scores
    new = np.concatenate(extra)
    joined = np.concatenate([times, new])
    order = np.argsort(joined, kind="stable")
    filled = np.stack([np.interp(new, times, boxes[:, side]) for side in range(4)], axis=1)
    return (
        joined[order],
        np.concatenate([boxes, filled])[order],
        np.concatenate([scores, 0.5 * np.interp(new, times, scores)])[order],
    )


def smooth(times: np.ndarray, boxes: np.ndarray, width: float) -> np.ndarray:
    """Boxes smoothed by local straight-line fits with Gaussian weights in time.

    A line and not a mean, so that a moving object does not lag at the ends of its track.
    """
    result = np.empty_like(boxes)
    for n, now in enumerate(times):
        first, last = np.searchsorted(times, [now - 4 * width, now + 4 * width])
        offset = times[first:last] - now
        weight = np.exp(-0.5 * (offset / width) ** 2)
        total, slope = weight.sum(), (weight * offset).sum()
        square = (weight * offset**2).sum()
        determinant = total * square - slope**2
        if determinant <= 1e-9 * max(total * square, 1e-12):
            result[n] = boxes[n]
            continue
        kernel = weight * (square - slope * offset) / determinant
        result[n] = kernel @ boxes[first:last]
    ordered = np.concatenate([np.minimum(result[:, :2], result[:, 2:]), np.maximum(result[:, :2], result[:, 2:])], axis=1)
    return np.clip(ordered, 0.0, 1.0)
