"""Cuts: where one shot ends and another begins, from pictures that are looked at anyway."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import uniform_filter
from torch.nn.functional import interpolate

from .video import Source, frame_times, frames

#: Rows and columns of the thumbnails that are compared, and cells by which one may be shifted against the other.
_GRID, _SHIFT = (18, 32), 2
#: Correlation of two pictures' details up to which they may be of different shots. Measured at 0.1 s: cuts 0.28 at most, all
#: else 0.4 at least, but for cameras that are torn about, whose pictures are alike again from frame to frame.
_ALIKE = 0.35
#: Change of the pixels (of 255) below which nothing is a cut: dark or empty pictures have no details.
_LEAST_CHANGE = 8.0


class CutFinder:
    """Feed it the pictures of a clip in order, some ten a second, then ask for the :meth:`cuts`."""

    def __init__(self):
        self.times: list[float] = []
        self.thumbnails: list[np.ndarray] = []

    def add(self, time: float, picture: np.ndarray) -> None:
        """Take in the picture uint8 RGB ``[H, W, 3]`` at ``time`` seconds."""
        self.times.append(time)
        self.thumbnails.append(_thumbnail(picture))

    def cuts(self, source: Source) -> tuple[float, ...]:
        """Seconds of the first picture of every shot but the first. Dissolves are none.

        :param source: the clip, whose every frame is looked at where two pictures differ.
        """
        exact = (_exact(source, self.times[place - 1], self.times[place]) for place in _unlike(self.thumbnails))
        return tuple(time for time in exact if time is not None)


def _exact(source: Source, before: float, after: float) -> float | None:
    times = frame_times(source)
    # one frame more on either side tells a flash from a cut
    first, last = np.searchsorted(times, [before - 1e-6, after + 1e-6])
    times = times[max(0, first - 1) : last + 1]
    small = [_thumbnail(picture) for _, picture in frames(source, times=times, max_side=160)]
    for n in _unlike(small):
        # within a shot, pictures follow from each other; where a camera is torn about, none does
        if all(_alike(*pair) for pair in (small[max(0, n - 2) : n], small[n : n + 2]) if len(pair) == 2):
            return float(times[n])
    return None


def _unlike(thumbnails: list[np.ndarray]) -> list[int]:
    """Places of pictures that have nothing of the two before them, nor has the one that follows: a flash comes back."""
    return [
        n
        for n in range(1, len(thumbnails))
        if not any(_alike(a, b) for a in thumbnails[max(0, n - 2) : n] for b in thumbnails[n : n + 2])
    ]


def _thumbnail(picture: np.ndarray) -> np.ndarray:
    """Brightness ``[rows, columns]`` in 0..255."""
    pixels = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]
    return interpolate(pixels, _GRID, mode="bilinear", antialias=True)[0].float().mean(0).numpy()


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether the details correlate, for any small shift: brightness and colour may change with the light."""
    if np.abs(a - b).mean() < _LEAST_CHANGE:
        return True
    a, b = (values - uniform_filter(values, 5, mode="nearest") for values in (a, b))
    centre = a[_SHIFT:-_SHIFT, _SHIFT:-_SHIFT]
    shifted = np.lib.stride_tricks.sliding_window_view(b, centre.shape)
    products = (shifted * centre).sum((2, 3))
    sizes = np.sqrt((shifted**2).sum((2, 3)) * (centre**2).sum())
    return float((products / np.maximum(sizes, 1e-9)).max()) > _ALIKE
