"""Impacts of things: bounces, kicks, hits and drops, where a tracked path breaks off or turns as no free flight does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.signal import find_peaks

from ..batches import batched
from ..media.video import Source, frames, probe
from ..scene import Track
from ..scene_camera import CameraMotion
from ..scene_events import Event
from ..tracking.detections import Detections
from ..tracking.nanodet import NanoDetDetector, input_size
from .landmarks import picked_times

#: Seconds before and after a moment whose motion is compared.
_WINDOW = 0.15
#: Change of speed that counts, in frame heights a second; and as a multiple of its usual size on this path.
_LEAST_KICK, _OVER_USUAL = 1.0, 3.0
#: A path with fewer boxes a second is too coarse to break off anywhere.
_LEAST_RATE = 14.0
_SPACING = 0.12
#: Detections below this score are no thing; pixels of the picture's long side as the detector sees it; frames at once.
_SCORE, _LONG_SIDE, _BATCH = 0.2, 416, 4
#: Things that are looked for in every clip, and the score that tells that they are there.
FLYING, _SURE = ("sports ball",), 0.4
#: Seconds from look to look.
_GLANCE = 2.0
#: Frame heights a second that a thing flies at most, and seconds that it may be lost in its own blur.
_FASTEST, _LOST = 6.0, 0.25


def impacts(track: Track, aspect: float = 16 / 9, max_gap: float = 0.2, camera: CameraMotion | None = None) -> list[Event]:
    """Impacts of a thing.

    Gravity bends a path downwards and slowly; what bends it upwards or sideways within a few frames is a hit. Its moment is
    where the motion before and the motion after meet, so that the blurred frames between need not be found.

    :param track: its boxes at the picture's own rate, not smoothed.
    :param aspect: width over height of the frame.
    :param max_gap: seconds without a box over which a path is not followed.
    :param camera: whose motion is taken off the path's.
    """
    boxes = track.boxes if camera is None else camera.boxes_without(track.times, track.boxes)
    runs = np.split(np.arange(len(track.times)), np.flatnonzero(np.diff(track.times) > max_gap) + 1)
    return [event for run in runs if len(run) >= 6 for event in _impacts(track, boxes, run, aspect)]


def _impacts(track: Track, boxes: np.ndarray, run: np.ndarray, aspect: float) -> list[Event]:
    times, boxes = track.times[run], boxes[run]
    if np.median(np.diff(times)) > 1 / _LEAST_RATE:
        return []
    middle = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2 * aspect, (boxes[:, 1] + boxes[:, 3]) / 2], axis=1)
    grid = np.arange(times[0] + 0.5 * _WINDOW, times[-1] - 0.5 * _WINDOW, 1 / 60)
    kicks, places = np.zeros(len(grid)), grid.copy()
    for n, now in enumerate(grid):
        before, after = (times >= now - _WINDOW) & (times <= now), (times > now) & (times <= now + _WINDOW)
        if before.sum() < 3 or after.sum() < 3:
            continue
        first, second = _line(times[before] - now, middle[before]), _line(times[after] - now, middle[after])
        change = second[0] - first[0]
        # gravity's own share is downwards, so it never counts for an impact
        kick = np.array([change[0], min(change[1], 0.0)])
        kicks[n] = np.linalg.norm(kick)
        if kicks[n] > 1e-6:
            gap = first[1] - second[1]
            places[n] = now + np.clip((gap @ change) / (change @ change), -_WINDOW / 2, _WINDOW / 2)
    usual = float(np.median(kicks))
    peaks, _ = find_peaks(kicks, height=max(_LEAST_KICK, _OVER_USUAL * usual), distance=max(1, round(_SPACING * 60)))
    score = float(np.clip(np.median(np.asarray(track.scores)[run]) / 0.4, 0, 1))
    return [
        Event(
            max(0.0, places[peak]),
            "impact",
            track.id,
            None,
            float(np.clip(kicks[peak] / 5.0, 0.2, 1.0)),
            float(np.clip(score * kicks[peak] / (2 * _LEAST_KICK), 0, 1)),
        )
        for peak in peaks
    ]


def _line(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope and value at 0 of the straight line through values ``[N, 2]``."""
    mean, centre = values.mean(0), times.mean()
    spread = ((times - centre) ** 2).sum()
    slope = ((times - centre)[:, None] * (values - mean)).sum(0) / max(spread, 1e-9)
    return slope, mean - slope * centre


class ThingFinder:
    """Feed it the frames of a clip in order, then ask which of :data:`FLYING` the detector sees, looking now and then."""

    def __init__(self):
        self._next = 0.0
        self._pictures: list[np.ndarray] = []
        self._labels: set[str] = set()
        self._detector: NanoDetDetector | None = None

    def add(self, time: float, picture: np.ndarray) -> None:
        """Take in the picture uint8 RGB ``[H, W, 3]`` at ``time`` seconds."""
        if time >= self._next:
            self._next = time + _GLANCE
            self._pictures.append(picture)
            if len(self._pictures) == _BATCH:
                self._look()

    def labels(self) -> set[str]:
        """The classes that have been seen."""
        self._look()
        return self._labels

    def _look(self) -> None:
        if not self._pictures:
            return
        self._detector = self._detector or NanoDetDetector(", ".join(FLYING), long_side=_LONG_SIDE)
        for one in self._detector.detect([], self._pictures):
            self._labels |= {label for label, score in zip(one.labels, one.scores, strict=True) if score >= _SURE}
        self._pictures.clear()


def thing_paths(
    source: Source, labels: list[str], *, progress: Callable[[float, float], None] | None = None
) -> tuple[list[Track], float]:
    """Paths of things at the picture's own rate, and the frame's aspect: the detector on every frame, chained through sudden
    turns.

    The tracker for people expects smooth motion and loses a ball where it matters: at the kick.

    :param labels: class names of the detector.
    """
    info = probe(source)
    detector, size = NanoDetDetector(", ".join(labels)), input_size(info.width, info.height, _LONG_SIDE)
    aspect = info.width / info.height
    found: list[tuple[float, np.ndarray, float, str]] = []
    for batch in batched(frames(source, times=picked_times(source), size=size), _BATCH):
        for (time, _), one in zip(batch, detector.detect_resized([picture for _, picture in batch]), strict=True):
            found.extend(_strong(time, one))
        if progress is not None:
            progress(batch[-1][0], info.duration)
    return chains(found, aspect), aspect


def _strong(time: float, found: Detections):
    for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True):
        if score >= _SCORE:
            yield time, box, float(score), label


def chains(found: list[tuple[float, np.ndarray, float, str]], aspect: float, most: int = 4) -> list[Track]:
    """Detections ``(seconds, box, score, label)`` in order of time, as the best chains, the strongest first (dynamic
    programming).

    Near and seen often is better than far and seldom; which way a thing flew before does not matter.
    """
    left, tracks = list(found), []
    while len(left) >= 6 and len(tracks) < most:
        times = np.array([item[0] for item in left])
        boxes = np.stack([item[1] for item in left])
        middle = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2 * aspect, (boxes[:, 1] + boxes[:, 3]) / 2], axis=1)
        sizes = np.sqrt(np.maximum((boxes[:, 2] - boxes[:, 0]) * aspect * (boxes[:, 3] - boxes[:, 1]), 1e-8))
        best, came_from = np.array([item[2] for item in left]), np.full(len(left), -1)
        for n in range(len(left)):
            first, last = np.searchsorted(times, [times[n] - _LOST, times[n]])
            if first == last:
                continue
            gap = times[n] - times[first:last]
            way = np.linalg.norm(middle[n] - middle[first:last], axis=1)
            unlike = np.abs(np.log(sizes[n] / sizes[first:last]))
            cost = 0.5 * way / (_FASTEST * gap) + 0.3 * unlike + gap
            options = np.where((way < _FASTEST * gap) & (unlike < 0.8), best[first:last] - cost, -np.inf)
            if options.max() > 0:
                best[n] += options.max()
                came_from[n] = first + int(options.argmax())
        chain, n = [], int(best.argmax())
        while n >= 0:
            chain.append(n)
            n = came_from[n]
        chain = chain[::-1]
        if len(chain) < 6:
            break
        labels = [left[n][3] for n in chain]
        scores = np.array([left[n][2] for n in chain])
        tracks.append(Track(len(tracks), max(set(labels), key=labels.count), times[chain], boxes[chain], scores))
        taken = set(chain)
        left = [item for n, item in enumerate(left) if n not in taken]
    return tracks
