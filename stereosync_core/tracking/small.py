"""Small Tracker: the bundled detector, association and clean-up over a clip, streamed."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import StereoSyncError
from ..media.video import Source, frames, probe
from ..scene import Tracks
from .association import Associator
from .detector import Detector, input_size, parse_classes
from .nanodet import NanoDet
from .refine import refine

BATCH = 4


def track_video(
    source: Source,
    *,
    classes: str = "person",
    threshold: float = 0.35,
    rate: float = 10.0,
    long_side: int = 416,
    max_tracks: int = 1,
    fill_gaps: float = 1.0,
    smoothing: float = 0.05,
    network: NanoDet | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> Tracks:
    """Follow people or things through a clip.

    :param classes: COCO class names separated by commas, or ``all``.
    :param threshold: score from which a box may begin a track (0..1); weaker boxes only carry a track on.
    :param rate: frames a second that are looked at.
    :param long_side: pixels of the picture's long side as the detector sees it; more finds smaller things and takes longer.
    :param max_tracks: how many of the most prominent tracks to keep, 0 = all.
    :param fill_gaps: seconds of missed detections that are bridged.
    :param smoothing: seconds over which boxes are smoothed, 0 = none.
    :param network: the detector's network on the device of choice; the bundled weights on the CPU when left out.
    :param progress: called with seconds done and in all; raising inside it stops the work.
    :raises StereoSyncError: unreadable clip, unknown class, numbers out of range.
    """
    if not 0 < threshold < 1:
        raise StereoSyncError(f"Score threshold: {threshold} is outside 0..1; 0.35 is a good start.")
    if not 0.5 <= rate <= 240:
        raise StereoSyncError(f"Track rate: {rate} frames a second is outside 0.5..240; 10 is a good start.")
    info = probe(source)
    detector = Detector(parse_classes(classes), network)
    associator = Associator(threshold)
    size = input_size(info.width, info.height, long_side)
    waiting: list = []

    def work() -> None:
        for (time, _), found in zip(waiting, detector.detect([image for _, image in waiting]), strict=True):
            associator.add(time, found)
        if progress is not None:
            progress(waiting[-1][0], info.duration)
        waiting.clear()

    for item in frames(source, rate=rate, size=size):
        waiting.append(item)
        if len(waiting) == BATCH:
            work()
    if waiting:
        work()
    if progress is not None:
        progress(info.duration, info.duration)
    return refine(
        associator.tracklets,
        info.duration,
        spacing=1.0 / rate,
        fill_gaps=fill_gaps,
        smoothing=smoothing,
        max_tracks=max_tracks,
        aspect=info.width / info.height,
    )
