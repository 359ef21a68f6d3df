"""MASA over a clip, streamed: detection and embedding a few frames at a time, identities frame by frame, then clean tracks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from ...errors import StereoSyncError
from ...media.video import Source, frames, probe
from ...scene import Tracks
from ..detector import Detections
from ..found import Finder
from ..refine import refine
from .model import LONG_SIDE, Masa
from .postprocess import remove_giants, smooth
from .tracker import BddSettings, BddTracker, TaoSettings, TaoTracker, Tracked

#: Frames at a time. On a CPU one frame keeps all cores busy, and a stop is heard after each.
BATCH, BATCH_CPU = 8, 1
#: The release's rules with thresholds that suit detectors which give weak boxes too, and a memory that outlasts a passer-by.
DEFAULTS = TaoSettings(init_score=0.3, obj_score=0.1, memory=1.0)
#: Boxes below this score are noise even for MASA, which looks at weak ones.
FLOOR = 0.01


@dataclass
class Observed:
    """One object over the clip, as :func:`refine` reads it."""

    id: int
    label: str = ""
    times: list[float] = field(default_factory=list)
    boxes: list[np.ndarray] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)


def track_video(
    source: Source,
    model: Masa,
    finder: Finder,
    *,
    settings: TaoSettings | BddSettings | None = None,
    rate: float = 10.0,
    long_side: int = LONG_SIDE,
    drop_giants: bool = True,
    smooth_boxes: bool = False,
    max_tracks: int = 0,
    fill_gaps: float = 1.0,
    smoothing: float = 0.05,
    min_seconds: float = 0.4,
    batch: int | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> Tracks:
    """Identities for the boxes of a clip.

    :param model: the network where it should run.
    :param finder: what finds the boxes.
    :param settings: rules of the tracker, with its distance gate for a frame of 1280 pixels at 30 a second; it is adapted to
        the clip's size and to ``rate``. :data:`DEFAULTS` when left out.
    :param rate: frames a second that are looked at; between them boxes are interpolated by time.
    :param long_side: pixels of the long side that the network sees; below 1024 it is faster and tells less apart.
    :param drop_giants: drop tracks whose box is one around several things or nearly the whole frame.
    :param smooth_boxes: smooth as the release's demonstration does, over five frames; scores become their mean. ``smoothing``
        does the same by seconds.
    :param max_tracks: how many of the most prominent to keep by size, motion and time on screen, 0 = all.
    :param fill_gaps, smoothing, min_seconds: as in :func:`refine`.
    :param batch: frames at a time; fitting the device when left out.
    :param progress: called with seconds done and in all; raising inside it stops the work.
    :raises StereoSyncError: unreadable clip, numbers out of range.
    """
    if not 0.5 <= rate <= 240:
        raise StereoSyncError(f"Track rate: {rate} frames a second is outside 0.5..240; 10 is a good start.")
    if long_side < 128:
        raise StereoSyncError(f"Embedding size: {long_side} pixels is too small; 1024 is what the weights were trained with.")
    info = probe(source)
    settings = adapted(settings or DEFAULTS, info.width, info.height, rate)
    tracker = BddTracker(settings) if isinstance(settings, BddSettings) else TaoTracker(settings)
    times: list[float] = []
    tracked: list[Tracked] = []
    pixels = np.array([info.width, info.height] * 2, dtype=np.float64)
    batch = batch or (BATCH_CPU if model.weights_device.type == "cpu" else BATCH)
    for moments, pictures in batches(source, rate, batch):
        found = [_certain(detections) for detections in finder.find(moments, pictures)]
        embeddings = model.embed(pictures, [detections.boxes * pixels for detections in found], long_side)
        for moment, detections, vectors in zip(moments, found, embeddings, strict=True):
            boxes = detections.boxes * pixels
            tracked.append(tracker.update(moment, boxes, detections.scores, detections.labels, vectors))
            times.append(moment)
        if progress is not None:
            progress(moments[-1], info.duration)
    if drop_giants:
        tracked = remove_giants(tracked, info.width, info.height)
    if smooth_boxes:
        tracked = smooth(tracked)
    if progress is not None:
        progress(info.duration, info.duration)
    return refine(
        observed(times, tracked, pixels),  # type: ignore[arg-type]
        info.duration,
        spacing=1.0 / rate,
        fill_gaps=fill_gaps,
        smoothing=smoothing,
        min_seconds=min_seconds,
        max_tracks=max_tracks,
        aspect=info.width / info.height,
    )


def adapted(settings: TaoSettings | BddSettings, width: int, height: int, rate: float) -> TaoSettings | BddSettings:
    """Settings for frames of this size at this rate.

    The gate becomes the same share of the frame, and falls off the faster the more frames a second there are, as released; it
    never reaches farther than half the frame, which the release's own would after half a second.
    """
    if isinstance(settings, BddSettings) or settings.max_distance is None:
        return settings
    settings = settings.for_frame(width, height)
    share = max(width, height) / 1280
    return replace(settings, decay=100 / rate * share, furthest=settings.furthest or max(width, height) / 2)


def batches(source: Source, rate: float, size: int) -> Iterator[tuple[list[float], list[np.ndarray]]]:
    """Times and frames of a clip at ``rate``, some at a time; only these are held."""
    times: list[float] = []
    pictures: list[np.ndarray] = []
    for time, picture in frames(source, rate=rate):
        if pictures and (len(pictures) == size or picture.shape != pictures[0].shape):
            yield times, pictures
            times, pictures = [], []
        times.append(time)
        pictures.append(picture)
    if pictures:
        yield times, pictures


def observed(times: list[float], tracked: list[Tracked], pixels: np.ndarray) -> list[Observed]:
    """Each identity's boxes in 0..1 of the frame over time, numbered from 1; the class is the one it had most often."""
    found: dict[int, Observed] = {}
    names: dict[int, Counter[str]] = {}
    for time, frame in zip(times, tracked, strict=True):
        for box, score, name, id_ in zip(frame.boxes, frame.scores, frame.labels, frame.ids, strict=True):
            object_ = found.setdefault(int(id_), Observed(int(id_) + 1))
            names.setdefault(int(id_), Counter())[str(name)] += 1
            object_.times.append(time)
            object_.boxes.append(np.clip(box.astype(np.float64) / pixels, 0.0, 1.0))
            object_.scores.append(float(score))
    for id_, object_ in found.items():
        object_.label = names[id_].most_common(1)[0][0]
    return list(found.values())


def _certain(found: Detections) -> Detections:
    keep = np.flatnonzero(found.scores > FLOOR)
    return Detections(found.boxes[keep], found.scores[keep], tuple(found.labels[row] for row in keep))
