"""Things that fall and hit: blobs of motion whose path speeds up downwards as a free fall does, and then breaks off.

No detector has to know the thing. What moves is what differs from the frame before and from the frame after, once the camera's
motion is taken off; the thing has to be seen falling for a tenth of a second at least.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import grey_closing, label
from torch.nn.functional import grid_sample, interpolate

from ..media.video import Source, frames
from ..scene_camera import CameraMotion, moved, scale_at
from ..scene_events import Event

#: Pixels of the long side in which motion is looked for, least change of a pixel of 255, and over what is usual in the frame.
_SIDE, _CHANGE, _OVER_USUAL = 320, 14.0, 5.0
#: Share of the frame: a frame with more motion has a moving camera; larger blobs are people; and least pixels of a blob.
_MOVING, _LARGEST, _SMALLEST, _MOST = 0.08, 0.03, 16, 24
#: Positions in a fall at least, frame heights a second at its end, frame heights fallen, and frame heights a second squared.
_SHORTEST, _LEAST_SPEED, _LEAST_DROP, _GRAVITY = 6, 1.2, 0.15, (2.0, 60.0)
#: Pixels by which a blob's middle errs, and speed sideways over speed downwards.
_ERROR, _SLANT = 1.5, 0.7
#: Times its own size that a thing falls, for limbs do not, and seconds between two impacts.
_OVER_SIZE, _SPACING = 2.5, 0.15
#: Part of the expected way in the next frame from which a fall has not broken off: limbs slow down, things are stopped.
_GOES_ON = 0.4
#: A camera that stands, and part of the picture, or logarithm of the scale, from which it has left a picture.
_STILL, _LEFT = np.eye(3), 0.4


@dataclass(frozen=True)
class Blob:
    """What moves as one in a frame: seconds, its middle in frame heights, and its pixels."""

    time: float
    x: float
    y: float
    area: float


class _Fall(NamedTuple):
    """A path that goes down faster and faster, by its last blob."""

    length: int
    blob: Blob
    before: _Fall | None

    def blobs(self) -> list[Blob]:
        """All of them, in order of time."""
        found, fall = [], self
        while fall is not None:
            found.append(fall.blob)
            fall = fall.before
        return found[::-1]


class FallFinder:
    """Feed it the frames of a clip in order, then ask for the :meth:`falls`. It keeps a few frames, and the paths that fell."""

    def __init__(self):
        self.height, self.end, self.aspect = 1, 0.0, 1.0
        self._last: list[tuple[float, torch.Tensor, np.ndarray]] = []
        self._going: list[_Fall] = []
        #: Seconds of the frame in whose picture blobs have their places, and the camera's motion since.
        self._anchor, self._since = 0.0, _STILL
        #: Falls that have ended, each with the blobs of the two frames that followed, and the anchor.
        self._ended: list[tuple[_Fall, list[list[Blob]], float]] = []

    def add(self, time: float, picture: np.ndarray, camera: np.ndarray = _STILL) -> None:
        """Take in the picture uint8 RGB ``[H, W, 3]`` at ``time`` seconds.

        :param camera: ``[3, 3]``, its motion since the picture before (:class:`CameraMotion`).
        """
        pixels = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]
        scale = _SIDE / max(pixels.shape[2:])
        if scale < 1:
            pixels = interpolate(pixels, scale_factor=scale, mode="bilinear", antialias=True)
        self.height, self.end, self.aspect = pixels.shape[2], time, pixels.shape[3] / pixels.shape[2]
        self._last = [*self._last[-2:], (time, pixels[0].short(), camera)]
        if len(self._last) == 3:
            (_, before, _), (now, middle, step), (_, after, following) = self._last
            blobs = _blobs(now, laid(before, step), middle, laid(after, np.linalg.inv(following)))
            self._follow(self._anchored(blobs, now, step))

    def _anchored(self, blobs: list[Blob], now: float, step: np.ndarray) -> list[Blob]:
        """Blobs at places of the anchor's picture; where the camera has left it, nothing goes on, and there is a new one."""
        self._since = step @ self._since
        if (self._since == _STILL).all():
            return blobs
        back = np.linalg.inv(self._since)
        middle = np.array([0.5, 0.5])
        if np.abs(moved(back, middle) - middle).max() > _LEFT or abs(np.log(scale_at(back, middle))) > _LEFT:
            self._follow([])
            self._anchor, self._since, back = now, _STILL, _STILL
        return [replace(blob, **dict(zip("xy", self._through(back, blob.x, blob.y), strict=True))) for blob in blobs]

    def _through(self, step: np.ndarray, x: float, y: float) -> tuple[float, float]:
        """A place in frame heights taken along by the camera."""
        if (step == _STILL).all():
            return x, y
        x, y = moved(step, np.array([x / self.aspect, y]))
        return float(x * self.aspect), float(y)

    def _follow(self, blobs: list[Blob]) -> None:
        """Each blob goes on with the longest path that it fits, or may begin one (dynamic programming)."""
        for _, following, _ in self._ended[-_MOST:]:
            if len(following) < 2:
                following.append(blobs)
        going, went_on = [_Fall(1, blob, None) for blob in blobs], set()
        for blob in blobs:
            fitting = [fall for fall in self._going if self._falls_on(fall, blob)]
            went_on.update(map(id, fitting))
            if fitting:
                longest = max(fitting, key=lambda fall: fall.length)
                going.append(_Fall(longest.length + 1, blob, longest))
        ended = [fall for fall in self._going if fall.length >= _SHORTEST and id(fall) not in went_on]
        self._ended += [(fall, [blobs], self._anchor) for fall in ended if self._is_free(fall)]
        self._going = going

    def _falls_on(self, fall: _Fall, blob: Blob) -> bool:
        last, error = fall.blob, _ERROR / self.height
        step = blob.time - last.time
        down, across = (blob.y - last.y) / step, (blob.x - last.x) / step
        if down < 2 * error or abs(across) > _SLANT * down + 2 * error / step or not _alike(last, blob):
            return False
        if fall.before is None:
            return True
        earlier = fall.before.blob
        past, slack = last.time - earlier.time, 3 * error / step
        gain, aside = down - (last.y - earlier.y) / past, abs(across - (last.x - earlier.x) / past)
        return -slack <= gain <= _GRAVITY[1] * step + slack and aside <= slack + 0.2 * down

    def falls(self, source: Source, camera: CameraMotion | None = None) -> list[tuple[Event, tuple[float, float]]]:
        """Impacts of nobody at the ends of falls, each with its place ``(x, y)`` in frame heights.

        :param source: the clip, of which a few frames are read again: what has hit lies there, or bounces off.
        :param camera: that of the pictures; one that stands when left out.
        """
        through = _standing if camera is None else camera.between
        ended = [*self._ended, *((fall, [], self._anchor) for fall in self._going if fall.length >= _SHORTEST)]
        found: list[tuple[Event, tuple[float, float]]] = []
        for fall, following, anchor in sorted(ended, key=lambda item: -item[0].length):
            blobs = fall.blobs()
            # in its last frame it may have hit already
            for part, later in ((blobs, following), (blobs[:-1], [blobs[-1:], *following])):
                hit = self._impact(source, part, later, partial(through, anchor)) if len(part) >= _SHORTEST else None
                if hit is not None and all(abs(hit[0].time - other.time) > _SPACING for other, _ in found):
                    found.append(hit)
                    break
        return sorted(found, key=lambda item: item[0].time)

    def _is_free(self, fall: _Fall) -> bool:
        """Whether the path, with or without its last frame, is one of free fall; limbs' are not, and are many."""
        blobs = fall.blobs()
        return any(self._speed(part) is not None for part in (blobs, blobs[:-1]) if len(part) >= _SHORTEST)

    def _speed(self, chain: list[Blob]) -> float | None:
        """Frame heights a second at the end of a path, where it is one of free fall from high enough."""
        times, y = (np.array([getattr(blob, name) for blob in chain]) for name in ("time", "y"))
        # a hand may hold it in the first frames: the last ones tell how it falls
        late = slice(-min(len(y), 8), None)
        bend, speed, end = np.polyfit(times[late] - times[-1], y[late], 2)
        rest = y[late] - np.polyval([bend, speed, end], times[late] - times[-1])
        if not _GRAVITY[0] <= 2 * bend <= _GRAVITY[1] or np.abs(rest).max() > 2 * _ERROR / self.height:
            return None
        size = np.sqrt(chain[-1].area) / self.height
        return None if speed < _LEAST_SPEED or y[-1] - y[0] < max(_LEAST_DROP, _OVER_SIZE * size) else float(speed)

    def _impact(
        self, source: Source, chain: list[Blob], later: list[list[Blob]], camera: Callable[[float], np.ndarray]
    ) -> tuple[Event, tuple[float, float]] | None:
        """:param camera: its motion from the picture of the blobs' places to that of a moment."""
        speed = self._speed(chain)
        if speed is None:
            return None
        times, x, y = (np.array([getattr(blob, name) for blob in chain]) for name in ("time", "x", "y"))
        blob, step = chain[-1], times[-1] - times[-2]
        size = np.sqrt(blob.area) / self.height
        if self._goes_on(blob, later, speed * step, size):
            return None
        part = self._rebound(blob, later, speed)
        place = (float(x[-1]), float(y[-1] + (0.5 * step if part is None else part) * speed))
        if part is None and not self._lies(source, times[0], times[-1] + step, place, size, camera):
            return None
        time = times[-1] + (0.5 * step if part is None else part)
        confidence = float(np.clip(0.45 + 0.08 * (len(chain) - _SHORTEST), 0, 0.9))
        place = self._through(camera(time), *place)
        return Event(float(time), "impact", None, None, float(np.clip(speed / 5, 0.3, 1)), confidence), place

    def _goes_on(self, blob: Blob, later: list[list[Blob]], way: float, size: float) -> bool:
        """Whether it moves on downwards in the next two frames, slower: a limb."""
        for first in later[0] if later else []:
            if abs(first.x - blob.x) < size + way and _GOES_ON * way < first.y - blob.y < 1.5 * way:
                following = later[1] if len(later) > 1 else []
                if any(
                    abs(second.x - first.x) < size + way and second.y - first.y > 0.5 * _GOES_ON * way for second in following
                ):
                    return True
        return False

    def _lies(self, source: Source, before: float, after: float, place: tuple[float, float], size: float, camera) -> bool:
        """Whether something is at a place after a moment that was not there before."""
        moments = [max(0.0, before - 0.05), min(after + 0.05, self.end), min(after + 0.15, self.end)]
        pictures = [
            torch.from_numpy(picture).permute(2, 0, 1).short() for _, picture in frames(source, times=moments, max_side=_SIDE)
        ]
        pictures = [laid(one, np.linalg.inv(camera(moment))) for moment, one in zip(moments, pictures, strict=True)]
        height, width = pictures[0].shape[1:]
        left, top = (max(0, round((middle - size) * height)) for middle in place)
        right, bottom = (round((middle + size) * height) + 1 for middle in place)
        first, *later = (picture[:, top : min(bottom, height), left : min(right, width)] for picture in pictures)
        return first.numel() > 0 and all(float((one - first).abs().amax(0).float().mean()) > _CHANGE for one in later)

    def _rebound(self, blob: Blob, later: list[list[Blob]], speed: float) -> float | None:
        """Seconds after the fall's last frame at which it meets the path of what bounces off, where that is seen."""
        if len(later) < 2:
            return None
        for first in later[0]:
            step = first.time - blob.time
            reach = 0.5 * speed * step + 2 * np.sqrt(blob.area) / self.height
            for second in later[1]:
                near = max(abs(first.x - blob.x), abs(second.x - blob.x), abs(first.y - blob.y)) < reach
                back = (second.y - first.y) / (second.time - first.time)
                if near and back < 0.3 * speed and _alike(blob, first) and _alike(first, second):
                    return float(np.clip((first.y - back * step - blob.y) / (speed - back), 0.0, step))
        return None


def laid(pixels: torch.Tensor, step: np.ndarray) -> torch.Tensor:
    """A picture int16 ``[3, H, W]`` as the camera sees it after a step ``[3, 3]``; -1 where it was not in the picture."""
    if (step == _STILL).all():
        return pixels
    height, width = pixels.shape[1:]
    x, y = (torch.arange(count, dtype=torch.float32).add(0.5) / count for count in (width, height))
    across, down, depth = (a * x + (b * y[:, None] + c) for a, b, c in np.linalg.inv(step).tolist())
    grid = torch.stack([across / depth, down / depth], dim=-1) * 2 - 1
    result = grid_sample(pixels[None].float(), grid[None], padding_mode="border", align_corners=False)[0]
    return result.round().short().masked_fill((grid.abs() > 1).any(-1), -1)


def _standing(start: float, end: float) -> np.ndarray:
    return _STILL


def _blobs(time: float, before: torch.Tensor, now: torch.Tensor, after: torch.Tensor) -> list[Blob]:
    """What is in this frame ``[3, H, W]`` alone; where a neighbour is -1, nothing."""
    change = torch.minimum((now - before).abs().amax(0), (now - after).abs().amax(0))
    change = change.masked_fill(torch.minimum(before, after).amin(0) < 0, 0).numpy()
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
        Blob(time, (x[n] / areas[n] + 0.5) / height, (y[n] / areas[n] + 0.5) / height, float(areas[n]))
        for n in kept.tolist()
        if n > 0
    ]


def _alike(a: Blob, b: Blob) -> bool:
    return 0.4 < a.area / b.area < 2.5
