"""MASA over a clip, streamed: detection and embedding a few frames at a time, association frame by frame, then clean tracks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...batches import batched
from ...errors import StereoSyncError
from ...media.video import Source, frames, probe
from ...scene import Tracks
from ..detections import Detector
from ..nanodet_detector import NanoDetDetector
from ..refine import Tracklet, refine
from .model import LONG_SIDE, Masa
from .postprocess import remove_giants, smooth
from .tracker import GATE_SIDE, BddSettings, BddTracker, TaoSettings, TaoTracker, TrackedBoxes

#: Frames at a time. On a CPU one frame keeps all cores busy, and an interruption takes effect after each.
BATCH, BATCH_CPU = 8, 1
#: The release's rules with thresholds that suit detectors which give weak boxes too, and a memory that outlasts a passer-by.
DEFAULTS = TaoSettings(init_score=0.3, obj_score=0.1, memory=1.0)
#: Boxes below this score are noise even for MASA, which looks at weak ones.
FLOOR = 0.01


def track_with_masa(
    source: Source,
    network: Masa,
    detector: Detector | None = None,
    *,
    classes: str = "person",
    threshold: float = DEFAULTS.init_score,
    settings: TaoSettings | BddSettings | None = None,
    rate: float = 10.0,
    long_side: int = LONG_SIDE,
    drop_giants: bool = True,
    smooth_boxes: bool = False,
    batch: int | None = None,
    progress: Callable[[float, float], None] | None = None,
    **clean: Any,
) -> Tracks:
    """Identities for the boxes of a clip.

    :param network: on the device where it should run.
    :param detector: what finds the boxes; the bundled detector of ``classes`` on the CPU when left out.
    :param threshold: score from which a box may begin a track, where there are no ``settings``.
    :param settings: options of the association, with its distance gate for a frame of 1280 pixels at 30 a second; it is
        adapted to the clip's size and to ``rate``. :data:`DEFAULTS` when left out.
    :param rate: frames a second that are analysed; between them boxes are interpolated by time.
    :param long_side: pixels of the long side of the network's input; below 1024 it is faster and its embeddings differ less.
    :param drop_giants: drop tracks whose box is one around several objects or nearly the whole frame.
    :param smooth_boxes: smooth as the release's demonstration does, over five frames; scores become their mean. ``smoothing``
        does the same by seconds.
    :param batch: frames at a time; fitting the device when left out.
    :param progress: called with seconds done and in all; raising inside it stops the work.
    :param clean: ``max_tracks``, ``fill_gaps``, ``smoothing`` and ``min_seconds`` of :func:`refine`.
    :raises StereoSyncError: unreadable clip, numbers out of range.
    """
    if not 0.5 <= rate <= 240:
        raise StereoSyncError(f"Track rate: {rate} frames a second is outside 0.5..240; 10 is a good start.")
    if long_side < 128:
        raise StereoSyncError(f"Embedding size: {long_side} pixels is too small; 1024 is what the weights were trained with.")
    info = probe(source)
    detector = detector or NanoDetDetector(classes)
    settings = adapted(settings or replace(DEFAULTS, init_score=threshold), info.width, info.height, rate)
    tracker = BddTracker(settings) if isinstance(settings, BddSettings) else TaoTracker(settings)
    times: list[float] = []
    tracked: list[TrackedBoxes] = []
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
        if progress is not None:
            progress(moments[-1], info.duration)
    if drop_giants:
        tracked = remove_giants(tracked, info.width, info.height)
    if smooth_boxes:
        tracked = smooth(tracked)
    if progress is not None:
        progress(info.duration, info.duration)
    tracklets, aspect = tracklets_of(times, tracked, pixels), info.width / info.height
    return refine(tracklets, info.duration, spacing=1.0 / rate, aspect=aspect, **clean)


def adapted(settings: TaoSettings | BddSettings, width: int, height: int, rate: float) -> TaoSettings | BddSettings:
    """Settings for frames of this size at this rate.

    The gate becomes the same share of the frame, and falls off the faster the more frames a second there are, as released; it
    never reaches farther than half the frame, which the release's own would after half a second.
    """
    if isinstance(settings, BddSettings) or settings.max_distance is None:
        return settings
    settings = settings.for_frame(width, height)
    share = max(width, height) / GATE_SIDE
    return replace(settings, decay=100 / rate * share, furthest=settings.furthest or max(width, height) / 2)


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
