"""Boxes and masks that other packs give: tracks out of them, or what takes the place of a detector.

The dialects (a list of boxes for every frame): native ``BOUNDING_BOX`` mappings ``{x, y, width, height[, label, score]}``
in pixels, KJNodes ``BBOX`` tuples ``(x, y, width, height)`` in pixels, and Impact-Pack ``SEGS``, a pair of ``(height, width)``
and segments that carry ``bbox`` ``[x0, y0, x1, y1]`` in pixels, ``confidence`` and ``label``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.ndimage import find_objects, label

from ..errors import StereoSyncError, explained
from ..scene import Track, Tracks
from .detections import Detections
from .tracklets import Associator, Tracklet, refine

EXPECTED = (
    "Boxes: expected a list of boxes for each frame, as native bounding boxes ({x, y, width, height} in pixels), KJNodes "
    "BBOX tuples (x, y, width, height) or Impact-Pack SEGS"
)
#: Value from which a pixel of a mask is covered, and share of the frame from which a connected piece is no speck.
COVERED, SPECK = 0.5, 5e-4


def frames_of_boxes(boxes: Any) -> list[list[tuple[np.ndarray, float, str]]]:
    """Boxes of any dialect as, for every frame, a list of (x0, y0, x1, y1 in pixels; score; label)."""
    if _is_segs(boxes) or _is_box(boxes):
        return [_frame(boxes)]
    if hasattr(boxes, "tolist"):
        boxes = boxes.tolist()
    if not _is_list(boxes):
        raise StereoSyncError(f"{EXPECTED}; got {type(boxes).__name__}.")
    return [_frame(entry) for entry in boxes]


def _frame(entry: Any) -> list[tuple[np.ndarray, float, str]]:
    if entry is None:
        return []
    if _is_segs(entry):
        return [_segment(segment) for segment in entry[1]]
    if _is_box(entry):
        return [_box(entry)]
    if _is_list(entry):
        return [_box(box) for box in entry]
    raise StereoSyncError(f"{EXPECTED}; a frame holds {type(entry).__name__}.")


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_box(value: Any) -> bool:
    """A mapping, or a list that begins with four numbers."""
    numbers = (int, float, np.number)
    return isinstance(value, Mapping) or (
        _is_list(value) and len(value) >= 4 and all(isinstance(number, numbers) for number in value[:4])
    )


def _is_segs(value: Any) -> bool:
    if not (isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], Sequence) and isinstance(value[1], Sequence)):
        return False
    return len(value[0]) == 2 and all(hasattr(segment, "bbox") for segment in value[1])


def _segment(segment: Any) -> tuple[np.ndarray, float, str]:
    confidence = getattr(segment, "confidence", None)
    score = 1.0 if confidence is None else float(np.asarray(confidence).reshape(-1)[0])
    return np.asarray(segment.bbox, dtype=np.float64), score, str(getattr(segment, "label", None) or "object")


def _box(box: Any) -> tuple[np.ndarray, float, str]:
    with explained(f"{EXPECTED}; a box is {box!r}.", KeyError, TypeError, ValueError):
        if isinstance(box, Mapping):
            x, y, width, height = (float(box[key]) for key in ("x", "y", "width", "height"))
            return np.array([x, y, x + width, y + height]), float(box.get("score", 1.0)), str(box.get("label", "object"))
        x, y, width, height = (float(number) for number in box[:4])
        return np.array([x, y, x + width, y + height]), float(box[4]) if len(box) > 4 else 1.0, "object"


def detections_of(boxes: Any, width: int, height: int) -> list[Detections]:
    """Boxes of any dialect, in pixels of frames of ``width`` and ``height``, as detections of every frame. Raises
    StereoSyncError for no boxes, or boxes of a picture of another size."""
    sides, result = np.array([width, height, width, height], dtype=np.float64), []
    for number, entry in enumerate(frames_of_boxes(boxes)):
        array = np.array([box for box, _, _ in entry], dtype=np.float64).reshape(-1, 4) / sides
        if not (np.isfinite(array).all() and np.isfinite([score for _, score, _ in entry]).all()):
            raise StereoSyncError(
                f"Boxes: a box of frame {number} holds NaN or infinite values, or its score does; mend or drop it before."
            )
        if array.size and (array.max() > 1.5 or array.min() < -0.5):
            raise StereoSyncError(
                f"Boxes: a box reaches to {np.abs(array).max():.3g} times the frame's size ({width} x {height} pixels); "
                "the boxes belong to pictures of another size. Give the size they were found at."
            )
        scores = np.array([score for _, score, _ in entry], dtype=np.float64)
        result.append(Detections(np.clip(array, 0.0, 1.0), scores, tuple(label for _, _, label in entry)))
    return result


def _for_each(entries: list, count: int, name: str) -> list:
    """An entry for each of a clip's ``count`` frames; a single one holds for all of them."""
    if len(entries) == 1:
        return entries * count
    if len(entries) != count:
        raise StereoSyncError(
            f"{name}: {len(entries)} frames of {name.lower()} but the clip has {count} frames; make one entry for each "
            "frame of the same clip, or set the rate that they were made at."
        )
    return entries


def tracks_from_boxes(
    boxes: Any, times: np.ndarray, width: int, height: int, duration: float, *, link: bool = True, **clean: Any
) -> Tracks:
    """Tracks from another pack's boxes.

    :param boxes: any of the three dialects, one entry for each of ``times``; a single frame's boxes hold for the whole clip.
    :param width, height: size in pixels of the frames that the boxes were found in.
    :param link: follow objects from frame to frame; otherwise the n-th box of every frame is object n.
    :param clean: options of :func:`refine`.
    """
    found = _for_each(detections_of(boxes, width, height), len(times), "Boxes")
    spacing = _spacing(times, duration)
    if not link:
        tracks = Tracks(_by_position(found, times), duration, max_gap=max(0.5, 2.5 * spacing), aspect=width / height)
        return tracks.most_prominent(clean["max_tracks"]) if clean.get("max_tracks", 0) > 0 else tracks
    # Other packs have thresholded already: every box may begin a track.
    associator = Associator(threshold=0.0)
    for time, detections in zip(times, found, strict=True):
        associator.add(float(time), detections)
    return refine(associator.tracklets, duration, spacing=spacing, aspect=width / height, **clean)


def _spacing(times: np.ndarray, duration: float) -> float:
    return float(np.median(np.diff(times))) if len(times) > 1 else duration


def _by_position(found: list[Detections], times: np.ndarray) -> tuple[Track, ...]:
    tracks = []
    for place in range(max((len(detections) for detections in found), default=0)):
        rows = [(t, d.boxes[place], d.scores[place]) for t, d in zip(times, found, strict=True) if len(d) > place]
        name = next(d.labels[place] for d in found if len(d) > place)
        tracks.append(Track(place + 1, name, *(np.array(column) for column in zip(*rows, strict=True))))
    return tuple(tracks)


def _masks(masks: np.ndarray) -> list[np.ndarray]:
    masks = np.asarray(masks)
    if masks.ndim != 3:
        raise StereoSyncError(f"Masks: expected one for each frame, [T, H, W], got shape {masks.shape}.")
    if masks.size and np.isnan(masks.min()):
        raise StereoSyncError("Masks: they contain NaN, which is neither covered nor free; make them again.")
    return [mask > COVERED for mask in masks]


def _outlines(pieces: np.ndarray) -> list[np.ndarray]:
    """The boxes in 0..1 around the pieces of a picture ``[H, W]`` that holds their numbers."""
    height, width = pieces.shape
    places = find_objects(pieces)
    return [np.array([x.start / width, y.start / height, x.stop / width, y.stop / height]) for y, x in places]


def tracks_from_masks(masks: np.ndarray, times: np.ndarray, duration: float, *, objects: int = 1, **clean: Any) -> Tracks:
    """Objects out of a mask for each frame: the box around what the mask covers.

    :param masks: float ``[T, H, W]`` in 0..1; a single mask holds for the whole clip; empty ones mean off screen.
    :param objects: how many there are: all masks of the first one, then all of the second, and so on. 0: each connected piece
        of a mask is an object, and is followed.
    """
    if objects < 0 or len(masks) % max(objects, 1):
        raise StereoSyncError(f"Masks: {len(masks)} cannot be shared among {objects} objects; give as many for each.")
    covered = _masks(masks)
    options = {"spacing": _spacing(times, duration), "aspect": np.shape(masks)[2] / np.shape(masks)[1], **clean}
    if objects == 0:
        associator = Associator(threshold=0.0)
        pieces = _for_each([_pieces(mask, "object") for mask in covered], len(times), "Masks")
        for time, found in zip(times, pieces, strict=True):
            associator.add(float(time), found)
        return refine(associator.tracklets, duration, **options)
    outlines, each = [_outlines(mask.astype(np.uint8)) for mask in covered], len(masks) // objects
    parts = [_for_each(outlines[n * each : (n + 1) * each], len(times), "Masks") for n in range(objects)]
    boxes = [[found[0] if found else None for found in part] for part in parts]
    return _outlined(boxes, times, np.ones(objects), duration, first=1, **options)


def tracks_from_sam3(data: Mapping[str, Any], times: np.ndarray, duration: float, **clean: Any) -> Tracks:
    """Objects out of SAM 3's track data, as ComfyUI has it: an object's id is its place there, its score is kept.

    :param data: ``packed_masks`` uint8 ``[T, N, H, W / 8]``, the leftmost pixel in the lowest bit, or None where nothing was
        found; ``scores [N]``.
    """
    packed = data.get("packed_masks")
    if packed is None:
        return Tracks((), duration)
    packed, scores = np.asarray(packed), data.get("scores")
    scores = np.asarray(np.ones(packed.shape[1]) if scores is None or not len(scores) else scores, dtype=np.float64)
    if packed.ndim != 4 or packed.dtype != np.uint8 or scores.shape != packed.shape[1:2]:
        raise StereoSyncError(
            f"SAM 3 tracks: masks {list(packed.shape)} of {packed.dtype} and {scores.size} scores; expected uint8 [frames, "
            "objects, height, width / 8] and a score for each object."
        )
    height, width = packed.shape[2], 8 * packed.shape[3]
    rows = np.asarray(packed.any(axis=3))
    columns = np.unpackbits(np.bitwise_or.reduce(packed, axis=2), axis=-1, bitorder="little").astype(bool)

    def box(down: np.ndarray, across: np.ndarray) -> np.ndarray | None:
        if not across.any():
            return None
        (y, x) = (np.flatnonzero(seen) for seen in (down, across))
        return np.array([x[0] / width, y[0] / height, (x[-1] + 1) / width, (y[-1] + 1) / height])

    boxes = [[box(rows[t, n], columns[t, n]) for t in range(len(packed))] for n in range(packed.shape[1])]
    boxes = [_for_each(own, len(times), "SAM 3 tracks") for own in boxes]
    options = {"spacing": _spacing(times, duration), "aspect": width / height, **clean}
    return _outlined(boxes, times, np.clip(scores, 0.0, 1.0), duration, first=0, **options)


def _outlined(
    boxes: list[list[np.ndarray | None]], times: np.ndarray, scores: np.ndarray, duration: float, *, first: int, **options: Any
) -> Tracks:
    """Tracks of objects whose box at each of ``times`` is known, None where one is not seen; ids count from ``first``."""
    tracklets = []
    for number, own in enumerate(boxes):
        tracklet = Tracklet(first + number, "object")
        for time, box in zip(times, own, strict=True):
            if box is not None:
                tracklet.add(float(time), box, float(scores[number]))
        tracklets += [tracklet] if tracklet.times else []
    if not tracklets:
        return Tracks((), duration)
    return refine(tracklets, duration, min_seconds=0.0, **options)


class GivenBoxes:
    """Boxes that another pack found, in the place of a detector: those of the entry that is on screen, each from its own of
    ``times`` in seconds, rising; a single entry holds for all."""

    def __init__(self, entries: list[Detections], times: np.ndarray, name: str = "Boxes"):
        self.entries, self.times = _for_each(entries, len(times), name), np.asarray(times, dtype=np.float64)

    @classmethod
    def of_boxes(cls, boxes: Any, times: np.ndarray, width: int, height: int) -> GivenBoxes:
        """From any of the three dialects, in pixels of frames of ``width`` and ``height``."""
        return cls(detections_of(boxes, width, height), times)

    @classmethod
    def of_masks(cls, masks: np.ndarray, times: np.ndarray, name: str = "object") -> GivenBoxes:
        """From masks ``[T, H, W]`` in 0..1: every connected piece of a mask is an object."""
        return cls([_pieces(mask, name) for mask in _masks(masks)], times, "Masks")

    def detect(self, times: Sequence[float], frames: Sequence[np.ndarray]) -> list[Detections]:
        """The boxes on screen at these seconds (:class:`detections.Detector`)."""
        places = np.searchsorted(self.times, np.asarray(times) + 1e-6, side="right") - 1
        return [self.entries[place] for place in np.clip(places, 0, len(self.entries) - 1)]


def _pieces(covered: np.ndarray, name: str) -> Detections:
    pieces, _ = label(covered)  # type: ignore[misc]
    large = np.bincount(pieces.ravel())[1:] >= SPECK * covered.size
    boxes = np.array(_outlines(pieces), dtype=np.float64).reshape(-1, 4)[large]
    return Detections(boxes, np.ones(len(boxes)), (name,) * len(boxes))
