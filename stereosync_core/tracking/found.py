"""What finds boxes in frames: the bundled detector, a detector of transformers, or another pack's boxes and masks.

All of them take frames of any size with their times and give :class:`Detections` in 0..1 of the frame, so that a tracker need
not know which it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import find_objects, label
from torchvision.ops import nms

from ..errors import StereoSyncError
from .adapt import frames_of_boxes
from .detector import Detections, Detector, input_size, parse_classes
from .nanodet import NanoDet

#: Overlap from which two boxes are one thing, whatever their classes (as MASA's demonstration has it).
ONE_THING = 0.5
#: Share of the frame from which a connected piece of a mask counts as a thing and not as a speck.
SPECK = 5e-4


class Finder(Protocol):
    """Finds boxes."""

    def find(self, times: Sequence[float], frames: Sequence[np.ndarray]) -> list[Detections]:
        """Boxes of each frame, uint8 RGB ``[H, W, 3]``, all of one size, at these seconds."""
        ...


def one_box_a_thing(found: Detections, limit: float = ONE_THING) -> Detections:
    """Without the weaker of two boxes that overlap by more than ``limit``, of whatever class."""
    if len(found) < 2:
        return found
    keep = nms(torch.from_numpy(found.boxes), torch.from_numpy(found.scores), limit).numpy()
    return Detections(found.boxes[keep], found.scores[keep], tuple(found.labels[row] for row in keep))


class SmallFinder:
    """The bundled detector on frames of any size.

    :param classes: COCO names separated by commas or full stops, or ``all``.
    :param network: its network on the device of choice; the bundled weights on the CPU when left out.
    :param long_side: pixels of the picture's long side as the detector sees it.
    """

    def __init__(self, classes: str = "person", network: NanoDet | None = None, long_side: int = 416):
        self.detector = Detector(parse_classes(classes.replace(".", ",")), network)
        self.long_side = long_side

    def find(self, times: Sequence[float], frames: Sequence[np.ndarray]) -> list[Detections]:
        from kornia.utils import image_list_to_tensor

        height, width = frames[0].shape[:2]
        across, down = input_size(width, height, self.long_side)
        device = self.detector.network.stem.weight.device
        pixels = image_list_to_tensor(list(frames)).to(device).float()
        pixels = F.interpolate(pixels, size=(down, across), mode="bilinear", antialias=True)
        small = pixels.round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
        return [one_box_a_thing(found) for found in self.detector.detect(list(small))]


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
        scale, entries = np.array([width, height, width, height], dtype=np.float64), []
        for entry in frames_of_boxes(boxes):
            array = np.array([box for box, _, _ in entry], dtype=np.float64).reshape(-1, 4) / scale
            if array.size and (not np.isfinite(array).all() or array.max() > 1.5 or array.min() < -0.5):
                raise StereoSyncError(
                    f"Boxes: a box reaches beyond one and a half times the frame ({width} x {height} pixels); the boxes belong "
                    "to pictures of another size. Give the size they were found at."
                )
            scores = np.array([score for _, score, _ in entry], dtype=np.float64)
            entries.append(Detections(np.clip(array, 0.0, 1.0), scores, tuple(name for _, _, name in entry)))
        return cls(entries * len(times) if len(entries) == 1 else entries, times)

    @classmethod
    def of_masks(cls, masks: np.ndarray, times: np.ndarray, name: str = "object") -> GivenBoxes:
        """From masks ``[T, H, W]`` in 0..1: every connected piece of a mask is a thing; one mask holds for all."""
        if masks.ndim != 3:
            raise StereoSyncError(f"Masks: expected one for each frame, [T, H, W], got shape {masks.shape}.")
        entries = [_pieces(mask > 0.5, name) for mask in masks]
        return cls(entries * len(times) if len(entries) == 1 else entries, times)

    def find(self, times: Sequence[float], frames: Sequence[np.ndarray]) -> list[Detections]:
        places = np.searchsorted(self.times, np.asarray(times) + 1e-6, side="right") - 1
        return [self.entries[place] for place in np.clip(places, 0, len(self.entries) - 1)]


def _pieces(covered: np.ndarray, name: str) -> Detections:
    height, width = covered.shape
    pieces, _ = label(covered)  # type: ignore[misc]
    counts = np.bincount(pieces.ravel())[1:]
    slices = [part for part, count in zip(find_objects(pieces), counts, strict=True) if count >= SPECK * covered.size]
    boxes = [[x.start / width, y.start / height, x.stop / width, y.stop / height] for y, x in slices]
    return Detections(np.array(boxes, dtype=np.float64).reshape(-1, 4), np.ones(len(boxes)), (name,) * len(boxes))
