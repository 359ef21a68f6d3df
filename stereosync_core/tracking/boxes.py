"""Tracks out of what other packs give: boxes in three dialects, and masks.

The dialects (a list of boxes for every frame): native ``BOUNDING_BOX`` mappings ``{x, y, width, height[, label, score]}``
in pixels, KJNodes ``BBOX`` tuples ``(x, y, width, height)`` in pixels, and Impact-Pack ``SEGS``, a pair of ``(height, width)``
and segments that carry ``bbox`` ``[x0, y0, x1, y1]`` in pixels, ``confidence`` and ``label``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import StereoSyncError
from ..scene import Track, Tracks
from .association import Associator
from .detections import Detections
from .refine import Tracklet, refine

EXPECTED = (
    "Boxes: expected a list of boxes for each frame, as native bounding boxes ({x, y, width, height} in pixels), KJNodes "
    "BBOX tuples (x, y, width, height) or Impact-Pack SEGS"
)


def frames_of_boxes(boxes: Any) -> list[list[tuple[np.ndarray, float, str]]]:
    """Boxes of any dialect as, for every frame, a list of (x0, y0, x1, y1 in pixels; score; label)."""
    if _is_segs(boxes):
        return [[_segment(segment) for segment in boxes[1]]]
    if isinstance(boxes, Mapping) or _is_tuple(boxes):
        return [[_box(boxes)]]
    if isinstance(boxes, np.ndarray) or hasattr(boxes, "tolist"):
        boxes = boxes.tolist()
    if not isinstance(boxes, Sequence) or isinstance(boxes, str):
        raise StereoSyncError(f"{EXPECTED}; got {type(boxes).__name__}.")
    result = []
    for entry in boxes:
        if entry is None:
            result.append([])
        elif _is_segs(entry):
            result.append([_segment(segment) for segment in entry[1]])
        elif isinstance(entry, Mapping) or _is_tuple(entry):
            result.append([_box(entry)])
        elif isinstance(entry, Sequence) and not isinstance(entry, str):
            result.append([_box(box) for box in entry])
        else:
            raise StereoSyncError(f"{EXPECTED}; a frame holds {type(entry).__name__}.")
    return result


def _is_tuple(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) >= 4
        and all(isinstance(number, (int, float, np.number)) for number in value[:4])
    )


def _is_segs(value: Any) -> bool:
    """(height, width) and a list of segments that carry a ``bbox``."""
    if not (isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], Sequence) and isinstance(value[1], Sequence)):
        return False
    return len(value[0]) == 2 and all(hasattr(segment, "bbox") for segment in value[1])


def _segment(segment: Any) -> tuple[np.ndarray, float, str]:
    confidence = getattr(segment, "confidence", None)
    score = 1.0 if confidence is None else float(np.asarray(confidence).reshape(-1)[0])
    return np.asarray(segment.bbox, dtype=np.float64), score, str(getattr(segment, "label", None) or "object")


def _box(box: Any) -> tuple[np.ndarray, float, str]:
    try:
        if isinstance(box, Mapping):
            x, y, width, height = (float(box[key]) for key in ("x", "y", "width", "height"))
            return np.array([x, y, x + width, y + height]), float(box.get("score", 1.0)), str(box.get("label", "object"))
        x, y, width, height = (float(number) for number in box[:4])
        return np.array([x, y, x + width, y + height]), float(box[4]) if len(box) > 4 else 1.0, "object"
    except (KeyError, TypeError, ValueError) as error:
        raise StereoSyncError(f"{EXPECTED}; a box is {box!r}.") from error


def detections_of(boxes: Any, width: int, height: int) -> list[Detections]:
    """Boxes of any dialect, in pixels of frames of ``width`` and ``height``, as detections of every frame.

    :raises StereoSyncError: no boxes, or boxes of a picture of another size.
    """
    sides, result = np.array([width, height, width, height], dtype=np.float64), []
    for entry in frames_of_boxes(boxes):
        array = np.array([box for box, _, _ in entry], dtype=np.float64).reshape(-1, 4) / sides
        if array.size and (not np.isfinite(array).all() or array.max() > 1.5 or array.min() < -0.5):
            raise StereoSyncError(
                f"Boxes: a box reaches to {np.nanmax(np.abs(array)):.3g} times the frame's size ({width} x {height} pixels); "
                "the boxes belong to pictures of another size. Give the size they were found at."
            )
        scores = np.array([score for _, score, _ in entry], dtype=np.float64)
        result.append(Detections(np.clip(array, 0.0, 1.0), scores, tuple(label for _, _, label in entry)))
    return result


def tracks_from_boxes(
    boxes: Any, times: np.ndarray, width: int, height: int, duration: float, *, link: bool = True, **clean: Any
) -> Tracks:
    """Tracks from another pack's boxes.

    :param boxes: any of the three dialects, one entry a frame; a single frame's boxes hold for the whole clip.
    :param times: seconds of each entry.
    :param width, height: size in pixels of the frames that the boxes were found in.
    :param link: follow objects from frame to frame; otherwise the n-th box of every frame is object n.
    :param clean: options of :func:`refine`.
    """
    found = detections_of(boxes, width, height)
    if len(found) == 1 and len(times) > 1:
        found = found * len(times)
    if len(found) != len(times):
        raise StereoSyncError(
            f"Boxes: {len(found)} frames of boxes but the clip has {len(times)} frames; run the detector on the same clip, "
            "or set the rate that the boxes were made at."
        )
    spacing = float(np.median(np.diff(times))) if len(times) > 1 else duration
    if not link:
        tracks = Tracks(_by_position(found, times), duration, max_gap=max(0.5, 2.5 * spacing), aspect=width / height)
        return tracks.most_prominent(clean["max_tracks"]) if clean.get("max_tracks", 0) > 0 else tracks
    # Other packs have thresholded already: every box may begin a track.
    associator = Associator(threshold=0.0)
    for time, detections in zip(times, found, strict=True):
        associator.add(float(time), detections)
    return refine(associator.tracklets, duration, spacing=spacing, aspect=width / height, **clean)


def _by_position(found: list[Detections], times: np.ndarray) -> tuple[Track, ...]:
    tracks = []
    for place in range(max((len(detections) for detections in found), default=0)):
        rows = [(t, d.boxes[place], d.scores[place]) for t, d in zip(times, found, strict=True) if len(d) > place]
        label = next(d.labels[place] for d in found if len(d) > place)
        seconds, boxes, scores = zip(*rows, strict=True)
        tracks.append(Track(place + 1, label, np.array(seconds), np.stack(boxes), np.array(scores)))
    return tuple(tracks)


def tracks_from_masks(masks: np.ndarray, times: np.ndarray, duration: float, *, threshold: float = 0.5, **clean: Any) -> Tracks:
    """One object out of a mask for each frame: the box around what the mask covers.

    :param masks: float ``[T, H, W]`` in 0..1; a single mask holds for the whole clip; empty ones mean off screen.
    """
    masks = np.asarray(masks)
    if masks.ndim != 3:
        raise StereoSyncError(f"Masks: expected [T, H, W], got shape {masks.shape}.")
    if len(masks) == 1 and len(times) > 1:
        masks = np.broadcast_to(masks, (len(times), *masks.shape[1:]))
    if len(masks) != len(times):
        raise StereoSyncError(
            f"Masks: {len(masks)} masks but the clip has {len(times)} frames; make one mask for each frame, or set the rate "
            "that the masks were made at."
        )
    _, height, width = masks.shape
    tracklet = Tracklet(1, "object")
    for time, mask in zip(times, masks, strict=True):
        covered = mask > threshold
        if covered.any():
            y, x = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
            box = np.array([x[0] / width, y[0] / height, (x[-1] + 1) / width, (y[-1] + 1) / height])
            tracklet.add(float(time), box, 1.0)
    if not tracklet.times:
        return Tracks((), duration)
    spacing = float(np.median(np.diff(times))) if len(times) > 1 else duration
    return refine([tracklet], duration, spacing=spacing, min_seconds=0.0, aspect=width / height, **clean)
