"""Where to look closer: the part of the picture in which something moves that no detection covers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import binary_dilation, find_objects, label, uniform_filter1d

from .tracklets import Tracklet

#: Rows and columns in which motion is summed, and change of a cell's brightness (of 255) that counts.
_GRID, _CHANGE = (36, 64), 6.0
#: Share of the frame from which motion is a moving camera's, and of the moments at which a place moves for it to count.
_MOVING, _LASTING = 0.25, 0.02
#: Share of its height by which the found part is grown, and the largest part that is worth looking at closer.
_MARGIN, _LARGEST = 0.6, 0.4
#: Share of its sides by which a followed box is grown, for what moves around it is its own.
_AROUND = 0.2
#: Box heights that a tracklet goes at least if it does not stand still.
_STILL = 0.5
#: Mean score from which a tracklet is one that is followed well.
_WELL = 0.3


class MotionMap:
    """Feed it the pictures that the detector sees, then ask for the :meth:`region`."""

    def __init__(self):
        self._last: np.ndarray | None = None
        self._count = np.zeros(_GRID)
        self._pictures = 0

    def add(self, picture: np.ndarray) -> None:
        """Take in a picture uint8 RGB ``[H, W, 3]``; all are of one size."""
        rows, columns = (np.linspace(0, side, cells + 1).astype(int) for side, cells in zip(picture.shape, _GRID, strict=False))
        grey = picture[:, :, 1].astype(np.float32)
        sums = np.add.reduceat(np.add.reduceat(grey, rows[:-1], axis=0), columns[:-1], axis=1)
        cells = sums / (np.diff(rows)[:, None] * np.diff(columns))
        if self._last is not None:
            moved = np.abs(cells - self._last) > _CHANGE
            if moved.mean() < _MOVING:
                self._count += moved
        self._last = cells
        self._pictures += 1

    def region(self, tracklets: Sequence[Tracklet]) -> np.ndarray | None:
        """Box x0, y0, x1, y1 in 0..1 around what moves; None where nothing or too much moves, or it is followed well."""
        if any(moves(tracklet) and np.mean(tracklet.scores) >= _WELL for tracklet in tracklets):
            return None
        moving = self._count >= max(2.0, _LASTING * self._pictures)
        for boxes in (np.stack(tracklet.boxes) for tracklet in tracklets):
            sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2) * [-_AROUND, -_AROUND, _AROUND, _AROUND]
            cells = np.clip(boxes + sides, 0, 1) * np.tile(_GRID[::-1], 2)
            for x0, y0, x1, y1 in np.stack([*np.floor(cells[:, :2]).T, *np.ceil(cells[:, 2:]).T], axis=1).astype(int):
                moving[y0:y1, x0:x1] = False
        pieces, count = label(binary_dilation(moving, np.ones((3, 5))))  # type: ignore[misc]
        if count == 0:
            return None
        largest = 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
        rows, columns = find_objects(pieces)[largest - 1]
        height = (rows.stop - rows.start) / _GRID[0]
        box = np.array([columns.start / _GRID[1], rows.start / _GRID[0], columns.stop / _GRID[1], rows.stop / _GRID[0]])
        box = np.clip(box + _MARGIN * height * np.array([-1, -1, 1, 1]), 0.0, 1.0)
        return box if np.prod(box[2:] - box[:2]) <= _LARGEST else None


def moves(tracklet: Tracklet) -> bool:
    """Whether it goes anywhere."""
    boxes = np.stack(tracklet.boxes)
    middles = uniform_filter1d((boxes[:, :2] + boxes[:, 2:]) / 2, 5, axis=0, mode="nearest")
    way = float(np.linalg.norm(middles - middles[0], axis=1).max())
    height = float(np.median(boxes[:, 3] - boxes[:, 1]))
    return way > _STILL * max(height, 0.02)
