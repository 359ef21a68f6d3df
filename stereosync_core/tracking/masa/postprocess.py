"""What MASA's demonstration does with a finished clip: boxes around crowds go, coordinates and scores are smoothed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.ndimage import uniform_filter1d

from .tracker import TrackedBoxes

#: A box of at least so many square pixels may be one around several objects.
GIANT_AREA = 10_000
#: Share of a box's own area that has to lie inside a giant one to count.
COVERED = 0.75
#: Score above which the boxes inside count.
COUNTED_SCORE = 0.2
#: A track goes with so many weaker ones inside, with more than so many of any score, or with more than this share of the frame.
WEAK_COUNT, ANY_COUNT, WHOLE_SHARE = 4, 6, 2 / 3
#: Frames of the mean.
WINDOW = 5


def remove_giants(frames: list[TrackedBoxes], width: int, height: int) -> list[TrackedBoxes]:
    """The tracks of a clip without those that in any frame are a box around several objects, or nearly the whole frame.

    :param frames: every frame of the clip.
    :param width, height: pixels of a frame.
    """
    giants = {int(id_) for frame in frames for id_ in _giants(frame, width * height)}
    return [frame[~np.isin(frame.ids, list(giants))] for frame in frames]


def _giants(frame: TrackedBoxes, whole: float) -> Iterator[int]:
    boxes = frame.boxes.astype(np.float64)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    for row in np.flatnonzero(areas >= GIANT_AREA):
        others = (frame.scores > COUNTED_SCORE) & (np.arange(len(boxes)) != row)
        if not others.any():
            continue
        low = np.maximum(boxes[others, :2], boxes[row, :2])
        high = np.minimum(boxes[others, 2:], boxes[row, 2:])
        count = int((np.prod(np.clip(high - low, 0, None), axis=1) > COVERED * areas[others]).sum())
        weakest = bool((frame.scores[row] < frame.scores[others]).all())
        if (count >= WEAK_COUNT and weakest) or areas[row] > WHOLE_SHARE * whole or count > ANY_COUNT:
            yield int(frame.ids[row])


def smooth(frames: list[TrackedBoxes]) -> list[TrackedBoxes]:
    """Coordinates as the mean of five frames within runs of at least five without a gap; scores as the mean of their run."""
    boxes = [frame.boxes.astype(np.float64) for frame in frames]
    scores = [frame.scores.astype(np.float64) for frame in frames]
    for run in runs(frames):
        path = np.stack([boxes[number][row] for number, row in run])
        if len(run) >= WINDOW:
            path = uniform_filter1d(path, WINDOW, axis=0, mode="nearest")
        score = np.mean([scores[number][row] for number, row in run])
        for (number, row), box in zip(run, path, strict=True):
            boxes[number][row], scores[number][row] = box, score
    return [replace(frame, boxes=b, scores=s) for frame, b, s in zip(frames, boxes, scores, strict=True)]


def runs(frames: list[TrackedBoxes]) -> list[list[tuple[int, int]]]:
    """Each object's runs of consecutive frames, as (frame, row) pairs."""
    found: dict[int, list[list[tuple[int, int]]]] = {}
    for number, frame in enumerate(frames):
        for row, id_ in enumerate(frame.ids):
            parts = found.setdefault(int(id_), [])
            if not parts or parts[-1][-1][0] != number - 1:
                parts.append([])
            parts[-1].append((number, row))
    return [run for parts in found.values() for run in parts]
