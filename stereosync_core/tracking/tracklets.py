"""From boxes in each frame to clean tracks: association over time, gaps bridged, jitter smoothed, and a choice among them.

Association in two stages in the manner of ByteTrack (Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every
Detection Box", ECCV 2022): confident boxes are matched first, then the uncertain ones to the tracks left over. Differences
here: time counts in seconds, so that any frame rate and variable ones work, and boxes are widened before overlaps are measured
(Yang et al., "Hard to Track Objects with Irregular Motions and Similar Appearances?", WACV 2023), because at ten frames a
second a fast walker leaves its own box.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment

from ..errors import StereoSyncError
from ..scene import Track, Tracks
from ..scene_camera import CameraMotion, moved_boxes
from .detections import Detections, iou

#: Share of a box's size by which it is widened on each side before overlaps are measured.
BUFFER = 0.3
#: Least widened overlap for a match of a confident and of an uncertain box.
OVERLAP_CONFIDENT, OVERLAP_UNCERTAIN = 0.15, 0.35
#: Process noise (box heights per second squared) and measurement noise (box heights) of the motion filter.
ACCELERATION, JITTER = 1.5, 0.04
#: A box is a part of another with so much of its area inside it, and at least so wide beside it: a child is narrower.
_PART_INSIDE, _PART_WIDTH = 0.75, 0.5
#: Boxes over which a track's score is taken.
_RECENT = 20
#: Numbers that one range of ids may span.
LARGEST_RANGE = 10000
#: Seconds that a track outlives its last box.
MEMORY = 1.0
#: The region that is the whole frame.
WHOLE = (0.0, 0.0, 1.0, 1.0)


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

    def go_along(self, camera: np.ndarray) -> None:
        """Move with the surroundings, by the homography ``[3, 3]`` that a moving camera gives them."""
        self.state[0] = moved_boxes(camera, self.state[:1])[0]

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
    """

    def __init__(self, threshold: float = 0.35):
        self.threshold = threshold
        self.active: list[FilteredTracklet] = []
        self.tracklets: list[Tracklet] = []
        self._last: float | None = None

    def add(self, time: float, found: Detections, camera: np.ndarray | None = None) -> None:
        """Take in the boxes of the frame at ``time`` seconds; times rise from call to call.

        :param camera: ``[3, 3]``, the camera's motion since the frame before (:class:`CameraMotion`).
        """
        step = 0.0 if self._last is None else time - self._last
        self._last = time
        self.active = [track for track in self.active if time - track.times[-1] <= MEMORY + 1e-9]
        for track in self.active:
            track.filter.predict(step)
            if camera is not None and (camera != np.eye(3)).any():
                track.filter.go_along(camera)
        part = _parts(found, self.threshold)
        confident = np.flatnonzero(found.scores >= self.threshold)
        uncertain = np.flatnonzero((found.scores < self.threshold) & ~part)
        idle, new = self._match(self.active, found, confident, OVERLAP_CONFIDENT, time)
        # An uncertain box may carry on a track seen a moment ago; it may not revive one that has been lost.
        fresh = [track for track in idle if time - track.times[-1] <= max(2 * step, 0.25)]
        self._match(fresh, found, uncertain, OVERLAP_UNCERTAIN, time)
        for index in new:
            if part[index]:
                continue
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
        overlaps = iou(_widened(expected), _widened(found.boxes[chosen]))
        overlaps *= [[track.label == found.labels[index] for index in chosen] for track in tracks]
        # of two tracks that a box may carry on, the one that has been seen better is it
        trust = np.array([np.mean(track.scores[-_RECENT:]) for track in tracks])
        rows, columns = linear_sum_assignment(-overlaps * trust[:, None])
        enough = overlaps[rows, columns] >= least
        rows, columns = rows[enough], columns[enough]
        for row, index in zip(rows, chosen[columns], strict=True):
            tracks[row].filter.update(found.boxes[index])
            tracks[row].add(time, found.boxes[index], float(found.scores[index]))
        return [track for row, track in enumerate(tracks) if row not in rows], list(np.delete(chosen, columns))


def _parts(found: Detections, threshold: float) -> np.ndarray:
    """Boxes, bool ``[N]``, that are only a part of a stronger, confident box of their class: trunk or legs of one person."""
    low = np.maximum(found.boxes[:, None, :2], found.boxes[None, :, :2])
    high = np.minimum(found.boxes[:, None, 2:], found.boxes[None, :, 2:])
    sides = np.maximum(found.boxes[:, 2:] - found.boxes[:, :2], 1e-9)
    inside = np.prod(np.maximum(high - low, 0), axis=-1) / np.prod(sides, axis=1)[:, None]
    alike = np.array(found.labels)[:, None] == np.array(found.labels)[None]
    stronger = (found.scores[None] > found.scores[:, None]) & (found.scores[None] >= threshold)
    wide = sides[:, None, 0] >= _PART_WIDTH * sides[None, :, 0]
    return ((inside >= _PART_INSIDE) & alike & stronger & wide).any(1)


def _widened(boxes: np.ndarray) -> np.ndarray:
    """Boxes ``[N, 4]`` grown by :data:`BUFFER` on each side."""
    margin = (boxes[:, 2:] - boxes[:, :2]) * BUFFER
    return np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1)


def check_rate(rate: float) -> None:
    """:raises StereoSyncError: no sensible number of analysed frames a second."""
    if not 0.5 <= rate <= 240:
        raise StereoSyncError(f"Track rate: {rate} frames a second is outside 0.5..240; 10 is a good start.")


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
    cuts: Sequence[float] = (),
    camera: CameraMotion | None = None,
) -> Tracks:
    """Clean tracks of a clip.

    :param duration: seconds of the clip.
    :param spacing: seconds between two analysed frames; bridged gaps get boxes this far apart.
    :param fill_gaps: gaps up to so many seconds are bridged by straight motion; longer ones stay off screen.
    :param smoothing: seconds; width (standard deviation) of the smoothing of boxes over time, 0 = none.
    :param min_seconds: tracks seen for less are dropped.
    :param max_tracks: how many of the most prominent to keep at a time, 0 = all.
    :param aspect: width over height of the frame.
    :param cuts: seconds at which shots begin; no track goes over one.
    :param camera: the clip's camera, for the tracks to carry.
    """
    tracks = []
    for tracklet in split(tracklets, cuts):
        times = np.array(tracklet.times)
        if times[-1] - times[0] < min(min_seconds, 0.5 * duration) - 1e-9:
            continue
        boxes, scores = np.stack(tracklet.boxes), np.array(tracklet.scores)
        times, boxes, scores = bridge(times, boxes, scores, spacing, fill_gaps)
        if smoothing > 0:
            boxes = smooth(times, boxes, smoothing)
        tracks.append(Track(tracklet.id, tracklet.label, times, boxes, scores))
    result = Tracks(tuple(tracks), duration, max(0.5, 2.5 * spacing), aspect, tuple(cuts), camera)
    return result.most_prominent(max_tracks) if max_tracks > 0 else result


def split(tracklets: Sequence[Tracklet], cuts: Sequence[float]) -> list[Tracklet]:
    """Tracklets that end at cuts; what follows a cut is another one, for nobody knows whether it is the same thing."""
    whole, parted = [], []
    for tracklet in tracklets:
        shots = np.searchsorted(np.asarray(cuts, dtype=np.float64), np.array(tracklet.times) + 1e-6)
        for shot in np.unique(shots):
            part = Tracklet(tracklet.id, tracklet.label)
            for place in np.flatnonzero(shots == shot):
                part.add(tracklet.times[place], tracklet.boxes[place], tracklet.scores[place])
            (whole if shot == shots[0] else parted).append(part)
    first = max((tracklet.id for tracklet in tracklets), default=0) + 1
    return whole + [replace(part, id=first + n) for n, part in enumerate(parted)]


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
    halved = 0.5 * np.interp(new, times, scores)
    return joined[order], np.concatenate([boxes, filled])[order], np.concatenate([scores, halved])[order]


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
        alone = determinant <= 1e-9 * max(total * square, 1e-12)
        kernel = weight * (square - slope * offset)
        result[n] = boxes[n] if alone else (kernel / determinant) @ boxes[first:last]
    ordered = np.concatenate([np.minimum(result[:, :2], result[:, 2:]), np.maximum(result[:, :2], result[:, 2:])], axis=1)
    return np.clip(ordered, 0.0, 1.0)


def parse_ids(text: str) -> list[int]:
    """Numbers out of ``1, 3, 5-8``; none for an empty text.

    :raises StereoSyncError: something else than numbers and ranges.
    """
    numbers: list[int] = []
    for part in filter(None, (part.strip() for part in text.replace(";", ",").split(","))):
        match = re.fullmatch(r"(-?\d{1,18})(?:\s*-\s*(-?\d{1,18}))?", part)
        if match is None:
            raise StereoSyncError(f"Ids: '{part}' is no number; write numbers and ranges as the preview shows them: 1, 3, 5-8.")
        low, high = int(match[1]), int(match[2] or match[1])
        if high - low > LARGEST_RANGE:
            raise StereoSyncError(f"Ids: '{part}' spans more than {LARGEST_RANGE} numbers; write a shorter range.")
        numbers += range(low, high + 1)
    return list(dict.fromkeys(numbers))


def select_tracks(
    tracks: Tracks,
    *,
    ids: str = "",
    classes: str = "",
    region: tuple[float, float, float, float] = WHOLE,
    share: float = 0.5,
    drop: bool = False,
    max_tracks: int = 0,
) -> Tracks:
    """The tracks that fit every condition; what is left empty is none.

    :param ids: numbers, as in :func:`parse_ids`.
    :param classes: names separated by commas.
    :param region: x0, y0, x1, y1 in 0..1 of the frame.
    :param share: part of a track's boxes whose middle has to lie in the region.
    :param drop: give the tracks that do not fit instead.
    :param max_tracks: how many of the most prominent of them to keep, 0 = all.
    :raises StereoSyncError: a number or a class that no track has, or a region without extent.
    """
    numbers, names = parse_ids(ids), [name.strip().lower() for name in classes.split(",") if name.strip()]
    present = {track.label.lower() for track in tracks}
    missing = [name for name in names if name not in present]
    if missing and present:
        raise StereoSyncError(f"Classes: no track is a {', '.join(missing)}; the clip has {', '.join(sorted(present))}.")
    have = [str(track.id) for track in tracks]
    absent = [str(number) for number in numbers if str(number) not in have]
    if absent and have:
        raise StereoSyncError(f"Ids: there is no track {', '.join(absent[:9])}; the clip has {', '.join(have)}.")
    if region[2] <= region[0] or region[3] <= region[1]:
        raise StereoSyncError(f"Region: {region} has no extent; right has to lie beyond left, and bottom below top.")

    def fits(track: Track) -> bool:
        if (numbers and track.id not in numbers) or (names and track.label.lower() not in names):
            return False
        middle = (track.boxes[:, :2] + track.boxes[:, 2:]) / 2
        inside = (middle >= np.array(region[:2])).all(axis=1) & (middle <= np.array(region[2:])).all(axis=1)
        return tuple(region) == WHOLE or inside.mean() >= max(share, 1e-9)

    result = replace(tracks, tracks=tuple(track for track in tracks if fits(track) != drop))
    return result.most_prominent(max_tracks) if max_tracks > 0 else result
