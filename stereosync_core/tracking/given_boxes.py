"""Boxes and masks of other packs in the place of a detector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.ndimage import find_objects, label

from ..errors import StereoSyncError
from .boxes import detections_of
from .detections import Detections

#: Share of the frame from which a connected piece of a mask counts as an object and not as a speck.
SPECK = 5e-4


class GivenBoxes:
    """Boxes that another pack found: those of the entry that is on screen.

    :param entries: boxes of each entry.
    :param times: seconds of each entry, rising.
    """

    def __init__(self, entries: list[Detections], times: np.ndarray):
        self.entries, self.times = entries, np.asarray(times, dtype=np.float64)
        if len(entries) != len(self.times):
            raise StereoSyncError(
                f"Boxes: {len(entries)} frames of boxes but {len(self.times)} times; make one list of boxes for each frame "
                "of the clip, or set the rate that they were made at."
            )

    @classmethod
    def of_boxes(cls, boxes: Any, times: np.ndarray, width: int, height: int) -> GivenBoxes:
        """From any of the three dialects, in pixels of frames of ``width`` and ``height``; one frame's boxes hold for all."""
        entries = detections_of(boxes, width, height)
        return cls(entries * len(times) if len(entries) == 1 else entries, times)

    @classmethod
    def of_masks(cls, masks: np.ndarray, times: np.ndarray, name: str = "object") -> GivenBoxes:
        """From masks ``[T, H, W]`` in 0..1: every connected piece of a mask is an object; one mask holds for all."""
        if masks.ndim != 3:
            raise StereoSyncError(f"Masks: expected one for each frame, [T, H, W], got shape {masks.shape}.")
        entries = [_pieces(mask > 0.5, name) for mask in masks]
        return cls(entries * len(times) if len(entries) == 1 else entries, times)

    def detect(self, times: Sequence[float], frames: Sequence[np.ndarray]) -> list[Detections]:
        """The boxes on screen at these seconds (:class:`detections.Detector`)."""
        places = np.searchsorted(self.times, np.asarray(times) + 1e-6, side="right") - 1
        return [self.entries[place] for place in np.clip(places, 0, len(self.entries) - 1)]


def _pieces(covered: np.ndarray, name: str) -> Detections:
    height, width = covered.shape
    pieces, _ = label(covered)  # type: ignore[misc]
    counts = np.bincount(pieces.ravel())[1:]
    slices = [part for part, count in zip(find_objects(pieces), counts, strict=True) if count >= SPECK * covered.size]
    boxes = [[x.start / width, y.start / height, x.stop / width, y.stop / height] for y, x in slices]
    return Detections(np.array(boxes, dtype=np.float64).reshape(-1, 4), np.ones(len(boxes)), (name,) * len(boxes))
