"""MASA over a clip, streamed: detection and embedding a few frames at a time, association frame by frame, then clean tracks.

Of the finished clip boxes around crowds go, and coordinates and scores are smoothed if wanted, as in MASA's demonstration.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter1d

from ...batches import batched
from ...errors import StereoSyncError
from ...media.camera import CameraFinder
from ...media.shots import CutFinder
from ...media.video import Source, frames, probe
from ...scene import Tracks
from ..detections import Detector
from ..nanodet import NanoDetDetector
from ..tracklets import Tracklet, check_rate, refine
from .model import LONG_SIDE, Masa
from .tracker import BddSettings, BddTracker, Settings, TaoSettings, TaoTracker, TrackedBoxes

#: Frames at a time. On a CPU one frame keeps all cores busy, and an interruption takes effect after each.
BATCH, BATCH_CPU = 8, 1
#: The release's rules with thresholds that suit detectors which give weak boxes too, and a memory that outlasts a passer-by.
DEFAULTS = TaoSettings(init_score=0.3, obj_score=0.1, memory=1.0)
#: Long side in pixels of the frames for which the release's distance gate of 100 pixels is meant.
GATE_SIDE = 1280
#: Boxes below this score are noise even for MASA, which looks at weak ones.
FLOOR = 0.01
#: A box of at least so many square pixels may be one around several objects.
GIANT_AREA = 10_000
#: Share of a box's own area that has to lie inside a giant one to count.
COVERED = 0.75
#: Score above which the boxes inside count.
COUNTED_SCORE = 0.2
#: A track goes with so many weaker ones inside, with more than so many of any score, or with more than this share of the frame.
WEAK_COUNT, ANY_COUNT, WHOLE_SHARE = 4, 6, 2 / 3
#: Frames of the mean.
WINDOW = 5


def track_with_masa(
    source: Source,
    network: Masa,
    detector: Detector | None = None,
    *,
    classes: str = "person",
    threshold: float = DEFAULTS.init_score,
    settings: Settings | None = None,
    rate: float = 10.0,
    long_side: int = LONG_SIDE,
    drop_giants: bool = True,
    smooth_boxes: bool = False,
    batch: int | None = None,
    progress: Callable[[float, float], None] | None = None,
    **clean: Any,
) -> Tracks:
    """Identities for the boxes of a clip; ``rate`` and ``progress`` as in :class:`registry.Tracker`.

    :param network: on the device where it should run.
    :param detector: what finds the boxes; the bundled detector of ``classes`` on the CPU when left out.
    :param threshold: score from which a box may begin a track, where there are no ``settings``.
    :param settings: options of the association, with its distance gate for a frame of 1280 pixels at 30 a second; it is
        adapted to the clip's size and to ``rate``. :data:`DEFAULTS` when left out.
    :param long_side: pixels of the long side of the network's input; below 1024 it is faster and its embeddings differ less.
    :param drop_giants: drop tracks whose box is one around several objects or nearly the whole frame.
    :param smooth_boxes: smooth over five frames as the release does; ``smoothing`` does the same by seconds.
    :param batch: frames at a time; fitting the device when left out.
    :param clean: ``max_tracks``, ``fill_gaps``, ``smoothing`` and ``min_seconds`` of :func:`refine`.
    :raises StereoSyncError: unreadable clip, numbers out of range.
    """
    check_rate(rate)
    if long_side < 128:
        raise StereoSyncError(f"Embedding size: {long_side} pixels is too small; 1024 is what the weights were trained with.")
    info = probe(source)
    detector = detector or NanoDetDetector(classes)
    settings = adapted(settings or replace(DEFAULTS, init_score=threshold), info.width, info.height, rate)
    tracker = BddTracker(settings) if isinstance(settings, BddSettings) else TaoTracker(settings)
    times: list[float] = []
    tracked: list[TrackedBoxes] = []
    finder, camera = CutFinder(), CameraFinder(info.width / info.height)
    pixels = np.array([info.width, info.height] * 2, dtype=np.float64)
    batch = batch or (BATCH_CPU if network.weights_device.type == "cpu" else BATCH)
    for part in batched(frames(source, rate=rate), batch):
        moments, pictures = [time for time, _ in part], [picture for _, picture in part]
        found = [detections[np.flatnonzero(detections.scores > FLOOR)] for detections in detector.detect(moments, pictures)]
        boxes = [detections.boxes * pixels for detections in found]
        embeddings = network.embed(pictures, boxes, long_side)
        for now, in_pixels, detections, vectors in zip(moments, boxes, found, embeddings, strict=True):
            tracked.append(tracker.update(now, in_pixels, detections.scores, detections.labels, vectors))
        times += moments
        for (time, picture), detections in zip(part, found, strict=True):
            finder.add(time, picture)
            camera.add(time, picture, detections.boxes[detections.scores >= COUNTED_SCORE])
        if progress is not None:
            progress(moments[-1], info.duration)
    if drop_giants:
        tracked = remove_giants(tracked, info.width, info.height)
    if smooth_boxes:
        tracked = smooth(tracked)
    if progress is not None:
        progress(info.duration, info.duration)
    cuts = finder.cuts(source)
    clean |= {"aspect": info.width / info.height, "cuts": cuts, "camera": camera.motion(cuts)}
    return refine(tracklets_of(times, tracked, pixels), info.duration, spacing=1.0 / rate, **clean)


def adapted(settings: Settings, width: int, height: int, rate: float) -> Settings:
    """Settings for frames of this size at this rate.

    The gate becomes the same share of the frame, and falls off the faster the more frames a second there are, as released; it
    never reaches farther than half the frame, which the release's own would after half a second.
    """
    if not isinstance(settings, TaoSettings) or settings.max_distance is None:
        return settings
    scale = max(width, height) / GATE_SIDE
    furthest = (settings.furthest or GATE_SIDE / 2) * scale
    return replace(settings, max_distance=settings.max_distance * scale, decay=100 / rate * scale, furthest=furthest)


def tracklets_of(times: list[float], tracked: list[TrackedBoxes], pixels: np.ndarray) -> list[Tracklet]:
    """Each identity's boxes in 0..1 of the frame over time, numbered from 1; the class is the one it had most often."""
    found: dict[int, Tracklet] = {}
    names: dict[int, Counter[str]] = {}
    for time, frame in zip(times, tracked, strict=True):
        for box, score, name, id_ in zip(frame.boxes, frame.scores, frame.labels, frame.ids.tolist(), strict=True):
            names.setdefault(id_, Counter())[str(name)] += 1
            tracklet = found.setdefault(id_, Tracklet(id_ + 1))
            tracklet.add(time, np.clip(box.astype(np.float64) / pixels, 0.0, 1.0), float(score))
    return [replace(tracklet, label=names[id_].most_common(1)[0][0]) for id_, tracklet in found.items()]


def remove_giants(frames: list[TrackedBoxes], width: int, height: int) -> list[TrackedBoxes]:
    """The tracks of a clip without those that in any frame are a box around several objects, or nearly the whole frame.

    :param width, height: pixels of a frame.
    """
    giants = {int(id_) for frame in frames for id_ in _giants(frame, width * height)}
    return [frame[~np.isin(frame.ids, list(giants))] for frame in frames]


def _giants(frame: TrackedBoxes, whole: float) -> Iterator[int]:
    boxes = frame.boxes.astype(np.float64)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    for row in np.flatnonzero(areas >= GIANT_AREA):
        others = (frame.scores > COUNTED_SCORE) & (np.arange(len(boxes)) != row)
        if not others.any():
            continue
        low = np.maximum(boxes[others, :2], boxes[row, :2])
        high = np.minimum(boxes[others, 2:], boxes[row, 2:])
        count = int((np.prod(np.clip(high - low, 0, None), axis=1) > COVERED * areas[others]).sum())
        weakest = bool((frame.scores[row] < frame.scores[others]).all())
        if (count >= WEAK_COUNT and weakest) or areas[row] > WHOLE_SHARE * whole or count > ANY_COUNT:
            yield int(frame.ids[row])


def smooth(frames: list[TrackedBoxes]) -> list[TrackedBoxes]:
    """Coordinates as the mean of five frames within runs of at least five without a gap; scores as the mean of their run."""
    boxes = [frame.boxes.astype(np.float64) for frame in frames]
    scores = [frame.scores.astype(np.float64) for frame in frames]
    for run in runs(frames):
        path = np.stack([boxes[number][row] for number, row in run])
        if len(run) >= WINDOW:
            path = uniform_filter1d(path, WINDOW, axis=0, mode="nearest")
        score = np.mean([scores[number][row] for number, row in run])
        for (number, row), box in zip(run, path, strict=True):
            boxes[number][row], scores[number][row] = box, score
    return [replace(frame, boxes=b, scores=s) for frame, b, s in zip(frames, boxes, scores, strict=True)]


def runs(frames: list[TrackedBoxes]) -> list[list[tuple[int, int]]]:
    """Each object's runs of consecutive frames, as (frame, row) pairs."""
    found: dict[int, list[list[tuple[int, int]]]] = {}
    for number, frame in enumerate(frames):
        for row, id_ in enumerate(frame.ids):
            parts = found.setdefault(int(id_), [])
            if not parts or parts[-1][-1][0] != number - 1:
                parts.append([])
            parts[-1].append((number, row))
    return [run for parts in found.values() for run in parts]
