"""What a detector gives for a frame, and the interface that every detector has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torchvision.ops import box_iou, nms

from ..errors import StereoSyncError

#: Overlap from which two boxes are one object, whatever their classes (as MASA's demonstration has it).
ONE_OBJECT = 0.5


@dataclass(frozen=True)
class Detections:
    """The boxes of one frame.

    :param boxes: float ``[N, 4]`` as x0, y0, x1, y1 in 0..1 of the frame.
    :param scores: confidence ``[N]`` in 0..1.
    :param labels: class name of each box.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: np.ndarray) -> Detections:
        return Detections(self.boxes[rows], self.scores[rows], tuple(self.labels[row] for row in rows))


class Detector(Protocol):
    """Finds boxes in frames of any size."""

    def detect(self, times: Sequence[float], frames: Sequence[np.ndarray]) -> list[Detections]:
        """Boxes of each frame, uint8 RGB ``[H, W, 3]``, all of one size, at these seconds."""
        ...


def iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union ``[N, M]`` of boxes ``[N, 4]`` and ``[M, 4]``; 0 for boxes without area."""
    return np.nan_to_num(box_iou(torch.from_numpy(first), torch.from_numpy(second)).numpy())


def suppress_overlaps(found: Detections) -> Detections:
    """Non-maximum suppression across classes: of two boxes that are :data:`ONE_OBJECT` the stronger remains."""
    return found[nms(torch.from_numpy(found.boxes), torch.from_numpy(found.scores), ONE_OBJECT).numpy()]


def split_names(text: str) -> list[str]:
    """Names in lower case out of ``person. red car`` or ``person, red car``, each once."""
    names = (part.strip().lower() for part in text.replace(".", ",").split(","))
    return list(dict.fromkeys(name for name in names if name))


def parse_classes(text: str, known: Sequence[str]) -> list[str]:
    """Class names out of a line; ``all`` or nothing means every class.

    :param known: the names that the detector has, in lower case.
    :raises StereoSyncError: a name that is not among them.
    """
    names = split_names(text)
    if names in ([], ["all"]):
        return list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise StereoSyncError(
            f"Classes: the detector does not know {', '.join(unknown)}. It knows: {', '.join(known[:100])}; or write all."
        )
    return names
