"""How much the picture changes around each box: the trace that steps leave in pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch

from ...media.video import Source, frames, probe
from ...scene import Tracks

#: Frames a second that are compared, and the longer side they are shrunk to.
RATE = 20.0
SIZE = 320
#: Red, green and blue count alike.
_WEIGHTS = torch.full((3,), 1 / 3)


def picture_motion(
    pictures: Iterable[tuple[float, np.ndarray]], tracks: Tracks, progress: Callable[[float, float], None] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Times ``[F]`` and motion ``[F, K + 1]``: of the lower half of each track's box, then of the whole picture.

    Motion is the mean absolute difference of grey values (0..1) from one picture to the next, a second; 0 at the first
    picture, and for a track while it is not seen.

    :param pictures: seconds and RGB uint8 ``[H, W, 3]``.
    :param progress: called with seconds done and in all.
    """
    from kornia.color import rgb_to_grayscale
    from kornia.utils import image_to_tensor

    times: list[float] = []
    rows: list[np.ndarray] = []
    before: np.ndarray | None = None
    for time, picture in pictures:
        grey = rgb_to_grayscale(image_to_tensor(picture).float() / 255.0, _WEIGHTS)[0].numpy()
        row = np.zeros(len(tracks) + 1, dtype=np.float32)
        if before is not None:
            change = np.abs(grey - before) / max(time - times[-1], 1e-3)
            row[-1] = change.mean()
            for n, track in enumerate(tracks):
                boxes, seen = track.at([time], tracks.max_gap)
                if seen[0]:
                    row[n] = _below(change, boxes[0]).mean()
        times.append(time)
        rows.append(row)
        before = grey
        if progress is not None:
            progress(time, tracks.duration)
    return np.array(times), np.stack(rows) if rows else np.zeros((0, len(tracks) + 1), np.float32)


def motion_of_clip(
    source: Source, tracks: Tracks, progress: Callable[[float, float], None] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """:func:`picture_motion` of a clip, streamed at :data:`RATE` frames a second, or its own where that is lower."""
    rate = min(RATE, float(probe(source).average_rate))
    return picture_motion(frames(source, rate=rate, max_side=SIZE), tracks, progress)


def _below(change: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The part of a map ``[H, W]`` under the lower half of a box, at least one pixel."""
    height, width = change.shape
    x0, y0, x1, y1 = box
    columns = np.clip([int(x0 * width), int(np.ceil(x1 * width))], 0, width)
    rows = np.clip([int((y0 + y1) / 2 * height), int(np.ceil(y1 * height))], 0, height)
    left, top = min(columns[0], width - 1), min(rows[0], height - 1)
    return change[top : max(rows[1], top + 1), left : max(columns[1], left + 1)]
