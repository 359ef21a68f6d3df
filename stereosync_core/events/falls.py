"""Things that fall and hit: blobs of motion whose path speeds up downwards as a free fall does, and then breaks off.

No detector has to know the thing. What moves is what differs from the frame before and from the frame after; the camera has to
stand, and the thing has to be seen falling for a tenth of a second at least.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import grey_closing, label
from torch.nn.functional import interpolate

from ..media.video import Source, frames
from ..scene_events import Event

#: Pixels of the long side in which motion is looked for, least change of a pixel of 255, and over what is usual in the frame.
_SIDE, _CHANGE, _OVER_USUAL = 320, 14.0, 5.0
#: Share of the frame: a frame with more motion has a moving camera; larger blobs are people; and least pixels of a blob.
_MOVING, _LARGEST, _SMALLEST, _MOST = 0.2, 0.03, 16, 24
#: Positions in a fall at least, frame heights a second at its end, frame heights fallen, and frame heights a second squared.
_SHORTEST, _LEAST_SPEED, _LEAST_DROP, _GRAVITY = 6, 1.2, 0.15, (2.0, 60.0)
#: Pixels by which a blob's middle errs, and speed sideways over speed downwards.
_ERROR, _SLANT = 1.5, 0.7
#: Times its own size that a thing falls, for limbs do not, and seconds between two impacts.
_OVER_SIZE, _SPACING = 2.5, 0.15
#: Part of the expected way in the next frame from which a fall has not broken off: limbs slow down, things are stopped.
_GOES_ON = 0.4


@dataclass(frozen=True)
class Blob:
    """What moves as one in a frame: its middle in frame heights, and its pixels."""

    x: float
    y: float
    area: float


class FallFinder:
    """Feed it the frames of a clip in order, then ask for the :meth:`events`."""

    def __init__(self):
        self.times: list[float] = []
        self.blobs: list[list[Blob]] = []
        self.height = 1
        self._last: list[torch.Tensor] = []

    def add(self, time: float, picture: np.ndarray) -> None:
        """Take in the picture uint8 RGB ``[H, W, 3]`` at ``time`` seconds."""
        pixels = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]
        scale = _SIDE / max(pixels.shape[2:])
        if scale < 1:
            pixels = interpolate(pixels, scale_factor=scale, mode="bilinear", antialias=True)
        self.height = pixels.shape[2]
        self.times.append(time)
        self.blobs.append([])
        self._last = [*self._last[-2:], pixels[0].short()]
        if len(self._last) == 3 and self._last[0].shape == self._last[2].shape:
            self.blobs[-2] = _blobs(*self._last)

    def falls(self, source: Source) -> list[tuple[Event, tuple[float, float]]]:
        """Impacts of nobody at the ends of falls, each with its place ``(x, y)`` in frame heights.

        :param source: the clip, of which a few frames are read again: what has hit lies there, or bounces off.
        """
        found: list[tuple[Event, tuple[float, float]]] = []
        for chain in self._chains():
            # in its last frame it may have hit already
            for part in (chain, chain[:-1]):
                fall = self._impact(source, part) if len(part) >= _SHORTEST else None
                if fall is not None and all(abs(fall[0].time - other.time) > _SPACING for other, _ in found):
                    found.append(fall)
                    break
        return sorted(found, key=lambda fall: fall[0].time)

    def _chains(self) -> list[list[tuple[int, Blob]]]:
        """Paths that go down faster and faster, the longest first (dynamic programming over pairs of frames)."""
        error = _ERROR / self.height
        best: dict[tuple[int, int, int], tuple[int, tuple[int, int, int] | None]] = {}
        for k in range(1, len(self.blobs)):
            step = self.times[k] - self.times[k - 1]
            for i, before in enumerate(self.blobs[k - 1]):
                for j, after in enumerate(self.blobs[k]):
                    down, across = (after.y - before.y) / step, (after.x - before.x) / step
                    if down < 2 * error or abs(across) > _SLANT * down + 2 * error / step or not _alike(before, after):
                        continue
                    length, came = 2, None
                    for h, earlier in enumerate(self.blobs[k - 2]) if k > 1 else ():
                        known = best.get((k - 1, h, i))
                        if known is None or known[0] + 1 <= length:
                            continue
                        past = self.times[k - 1] - self.times[k - 2]
                        gain = down - (before.y - earlier.y) / past
                        aside = abs(across - (before.x - earlier.x) / past)
                        slack = 3 * error / step
                        if -slack <= gain <= _GRAVITY[1] * step + slack and aside <= slack + 0.2 * down:
                            length, came = known[0] + 1, (k - 1, h, i)
                    best[k, i, j] = (length, came)
        used: set[tuple[int, int]] = set()
        chains = []
        for key in sorted(best, key=lambda key: -best[key][0]):
            if best[key][0] < _SHORTEST:
                break
            chain, place = [(key[0], key[2])], key
            while place is not None:
                chain.append((place[0] - 1, place[1]))
                place = best[place][1]
            if not used.intersection(chain):
                chains.append([(k, self.blobs[k][n]) for k, n in reversed(chain)])
            used.update(chain)
        return chains

    def _impact(self, source: Source, chain: list[tuple[int, Blob]]) -> tuple[Event, tuple[float, float]] | None:
        times = np.array([self.times[k] for k, _ in chain])
        x, y = (np.array([getattr(blob, name) for _, blob in chain]) for name in ("x", "y"))
        # a hand may hold it in the first frames: the last ones tell how it falls
        late = slice(-min(len(y), 8), None)
        bend, speed, end = np.polyfit(times[late] - times[-1], y[late], 2)
        rest = y[late] - np.polyval([bend, speed, end], times[late] - times[-1])
        (last, blob), step = chain[-1], times[-1] - times[-2]
        if not _GRAVITY[0] <= 2 * bend <= _GRAVITY[1] or np.abs(rest).max() > 2 * _ERROR / self.height:
            return None
        size = np.sqrt(blob.area) / self.height
        if speed < _LEAST_SPEED or y[-1] - y[0] < max(_LEAST_DROP, _OVER_SIZE * size):
            return None
        following = self.blobs[last + 1] if last + 1 < len(self.blobs) else []
        gone = [(other.y - blob.y) / (speed * step) for other in following if abs(other.x - blob.x) < size + step]
        if any(_GOES_ON < part < 1.5 for part in gone):
            return None
        part = self._rebound(last, blob, speed)
        place = (float(x[-1]), float(y[-1] + (0.5 * step if part is None else part) * speed))
        if part is None and not self._lies(source, times[0], times[-1] + step, place, size):
            return None
        time = times[-1] + (0.5 * step if part is None else part)
        confidence = float(np.clip(0.55 + 0.07 * (len(chain) - _SHORTEST), 0, 0.9))
        return Event(float(time), "impact", None, None, float(np.clip(speed / 5, 0.3, 1)), confidence), place

    def _lies(self, source: Source, before: float, after: float, place: tuple[float, float], size: float) -> bool:
        """Whether something is at a place after a moment that was not there before."""
        moments = [max(0.0, before - 0.05), min(after + 0.05, self.times[-1]), min(after + 0.15, self.times[-1])]
        pictures = [picture.astype(np.float32) for _, picture in frames(source, times=moments, max_side=_SIDE)]
        height, width = pictures[0].shape[:2]
        left, top = (max(0, round((middle - size) * height)) for middle in place)
        right, bottom = (round((middle + size) * height) + 1 for middle in place)
        first, *later = (picture[top : min(bottom, height), left : min(right, width)] for picture in pictures)
        return first.size > 0 and all(float(np.abs(one - first).max(-1).mean()) > _CHANGE for one in later)

    def _rebound(self, last: int, blob: Blob, speed: float) -> float | None:
        """Seconds after the fall's last frame at which it meets the path of what bounces off, where that is seen."""
        if last + 2 >= len(self.blobs):
            return None
        reach = 0.5 * speed * (self.times[last + 1] - self.times[last]) + 2 * np.sqrt(blob.area) / self.height
        for first in self.blobs[last + 1]:
            for second in self.blobs[last + 2]:
                near = max(abs(first.x - blob.x), abs(second.x - blob.x), abs(first.y - blob.y)) < reach
                back = (second.y - first.y) / (self.times[last + 2] - self.times[last + 1])
                if near and back < 0.3 * speed and _alike(blob, first) and _alike(first, second):
                    step = self.times[last + 1] - self.times[last]
                    return float(np.clip((first.y - back * step - blob.y) / (speed - back), 0.0, step))
        return None


def _blobs(before: torch.Tensor, now: torch.Tensor, after: torch.Tensor) -> list[Blob]:
    """What is in this frame ``[3, H, W]`` alone."""
    change = torch.minimum((now - before).abs().amax(0), (now - after).abs().amax(0)).numpy()
    mask = change > max(_CHANGE, _OVER_USUAL * float(np.median(change)))
    if not 0 < mask.mean() < _MOVING:
        return []
    pieces, count = label(grey_closing(mask.view(np.uint8), size=(3, 3)))  # type: ignore[misc]
    rows, columns = np.nonzero(mask)
    owners = pieces[rows, columns]
    areas, y, x = (np.bincount(owners, weights, count + 1) for weights in (None, rows, columns))
    kept = np.flatnonzero((areas >= _SMALLEST) & (areas <= _LARGEST * mask.size))
    kept = kept[np.argsort(-areas[kept])][:_MOST]
    height = mask.shape[0]
    return [
        Blob((x[n] / areas[n] + 0.5) / height, (y[n] / areas[n] + 0.5) / height, float(areas[n]))
        for n in kept.tolist()
        if n > 0
    ]


def _alike(a: Blob, b: Blob) -> bool:
    return 0.4 < a.area / b.area < 2.5
