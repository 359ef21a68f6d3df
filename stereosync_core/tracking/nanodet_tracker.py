"""The bundled detector, association by motion and clean-up over a clip, streamed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..batches import batched
from ..errors import StereoSyncError
from ..media.video import Source, frames, probe
from ..scene import Tracks
from .association import Associator
from .nanodet import NanoDet
from .nanodet_detector import NanoDetDetector, input_size
from .refine import refine

BATCH = 4


def track_with_nanodet(
    source: Source,
    network: NanoDet | None = None,
    *,
    classes: str = "person",
    threshold: float = 0.35,
    rate: float = 10.0,
    long_side: int = 416,
    max_tracks: int = 1,
    progress: Callable[[float, float], None] | None = None,
    **clean: Any,
) -> Tracks:
    """Follow people or things through a clip.

    :param network: the detector's network on the device of choice; the bundled weights on the CPU when left out.
    :param classes: COCO class names separated by commas, or ``all``.
    :param threshold: score from which a box may begin a track (0..1); weaker boxes only carry a track on.
    :param rate: frames a second that are analysed.
    :param long_side: pixels of the long side of the detector's input; more finds smaller things and takes longer.
    :param max_tracks: how many of the most prominent tracks to keep, 0 = all.
    :param progress: called with seconds done and in all; raising inside it stops the work.
    :param clean: ``fill_gaps``, ``smoothing`` and ``min_seconds`` of :func:`refine`.
    :raises StereoSyncError: unreadable clip, unknown class, numbers out of range.
    """
    if not 0 < threshold < 1:
        raise StereoSyncError(f"Score threshold: {threshold} is outside 0..1; 0.35 is a good start.")
    if not 0.5 <= rate <= 240:
        raise StereoSyncError(f"Track rate: {rate} frames a second is outside 0.5..240; 10 is a good start.")
    info = probe(source)
    detector, associator = NanoDetDetector(classes, network), Associator(threshold)
    size = input_size(info.width, info.height, long_side)
    for batch in batched(frames(source, rate=rate, size=size), BATCH):
        for (time, _), found in zip(batch, detector.detect_resized([picture for _, picture in batch]), strict=True):
            associator.add(time, found)
        if progress is not None:
            progress(batch[-1][0], info.duration)
    if progress is not None:
        progress(info.duration, info.duration)
    aspect = info.width / info.height
    return refine(associator.tracklets, info.duration, spacing=1.0 / rate, max_tracks=max_tracks, aspect=aspect, **clean)
