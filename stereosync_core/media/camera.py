"""Camera motion out of the pictures: how most of what is no person or thing moves from picture to picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from ..batches import prefetched
from ..errors import StereoSyncError
from ..scene import Tracks
from ..scene_camera import CameraMotion, moved
from .corners import (
    LONG_SIDE,
    RESTING,
    Corners,
    Found,
    Pairs,
    agreed,
    find_corners,
    followed,
    matched,
    pyramid_of,
    resting_share,
)
from .shots import CutFinder
from .video import Source, frames, probe

#: Frames a second that are compared.
RATE = 12.0
#: Share of the matches, and of all corners that are followed, that have to agree.
_LEAST_SHARE, _FOLLOWED_SHARE = 0.35, 0.4
#: Share of the first matches to a key picture from which it is kept, and share of the long side that it may have moved.
_KEPT, _FAR = 0.75, 0.2
#: Share of its sides by which a box is grown that is no surroundings.
_AROUND = 0.1
#: Share of a shot's frames whose motion has to be known for any of it to count.
_KNOWN = 0.5


def camera_motion(
    source: Source,
    tracks: Tracks | None = None,
    *,
    rate: float = RATE,
    progress: Callable[[float, float], None] | None = None,
) -> CameraMotion:
    """How a clip's camera moves.

    :param tracks: people and things that are no surroundings; without them, what most of the picture does counts.
    :param rate: frames a second that are compared.
    :param progress: called with seconds done and in all; raising inside it stops the work.
    :raises StereoSyncError: unreadable clip, or a rate that makes no sense.
    """
    if not 1 <= rate <= 60:
        raise StereoSyncError(f"Camera motion: {rate} frames a second is outside 1..60; 12 is a good start.")
    info = probe(source)
    finder, shots = CameraFinder(info.width / info.height), CutFinder()
    for time, picture in prefetched(frames(source, rate=rate, max_side=LONG_SIDE)):
        finder.add(time, picture, boxes_at(tracks, time))
        shots.add(time, picture)
        if progress is not None:
            progress(time, info.duration)
    return finder.motion(tracks.cuts if tracks is not None and tracks.cuts else shots.cuts(source))


def boxes_at(tracks: Tracks | None, time: float) -> np.ndarray:
    """Boxes ``[N, 4]`` of the tracks in the picture at ``time`` seconds."""
    found = [track.at([time], tracks.max_gap) for track in tracks or ()] if tracks is not None else []
    return np.array([boxes[0] for boxes, present in found if present[0]]).reshape(-1, 4)


class CameraFinder:
    """Feed it the pictures of a clip in order, then read :attr:`times`, :attr:`steps` and :attr:`confidence`.

    Each picture is compared with a key picture, kept until little of it is left, so that errors do not add up from
    picture to picture; two pictures are kept.

    :param aspect: width over height of the frame; the pictures may be squeezed.
    """

    def __init__(self, aspect: float):
        scale = LONG_SIDE / max(aspect, 1.0)
        self.size = (max(16, round(scale)), max(16, round(scale * aspect)))
        self.times: list[float] = []
        self.steps: list[np.ndarray] = []
        self.confidence: list[float] = []
        self._key: Corners | None = None
        self._last: tuple[torch.Tensor, np.ndarray, Corners | None] | None = None
        self._now: Corners | None = None
        self._from_key = self._step = np.eye(3)
        self._first_count = 0

    def add(self, time: float, picture: np.ndarray, boxes: np.ndarray | None = None) -> np.ndarray:
        """Take in the picture uint8 RGB ``[H, W, 3]`` at ``time`` seconds; returns the step ``[3, 3]`` from the one before.

        :param boxes: ``[N, 4]`` in 0..1 of what is no surroundings.
        """
        grey, taken = self._grey(picture), self._taken(boxes)
        step, confidence = self._compare(grey, taken)
        self._last = grey, taken, self._now
        self.times.append(time)
        self.steps.append(step)
        self.confidence.append(confidence)
        return step

    def motion(self, cuts: tuple[float, ...] = ()) -> CameraMotion:
        """What was found, with no motion from shot to shot, nor in shots of which little is known.

        :param cuts: seconds at which shots begin.
        """
        if not self.times:
            return CameraMotion(np.zeros(1), np.eye(3)[None], np.zeros(1), cuts)
        times, steps, confidence = np.array(self.times), np.array(self.steps), np.array(self.confidence)
        first = np.searchsorted(times, np.asarray(cuts, dtype=np.float64) - 1e-6)
        first = first[first < len(times)]
        steps[first], confidence[first] = np.eye(3), 0.0
        for shot in np.split(np.arange(len(times)), first):
            if np.count_nonzero(confidence[shot]) < _KNOWN * (len(shot) - 1):
                steps[shot], confidence[shot] = np.eye(3), 0.0
        return CameraMotion(times, steps, confidence, cuts)

    def _compare(self, grey: torch.Tensor, taken: np.ndarray) -> tuple[np.ndarray, float]:
        pyramid, self._now = pyramid_of(grey), None
        if self._key is None or self._last is None:
            self._begin(find_corners(grey, taken))
            return np.eye(3), 0.0
        before = self._from_key
        resting = resting_share(self._key, grey, taken) if (before == np.eye(3)).all() else 0.0
        if resting >= RESTING:
            self._step = np.eye(3)
            return np.eye(3), resting
        # it goes on as it went since the key picture, or since the last one, or does anything else
        found, now = self._agreed(followed(self._key, pyramid, self._step @ before, taken), _FOLLOWED_SHARE), None
        if found is None and (before != np.eye(3)).any():
            self._begin(self._last[2] or find_corners(*self._last[:2]))
            before = np.eye(3)
            found = self._agreed(followed(self._key, pyramid, self._step, taken), _FOLLOWED_SHARE)
        if found is None:
            now = find_corners(grey, taken)
            found = self._agreed(matched(self._key, now, before, taken), _LEAST_SHARE)
            if found is not None and (found.motion != np.eye(3)).any():  # to a part of a pixel
                found = self._agreed(followed(self._key, pyramid, found.motion, taken), _LEAST_SHARE) or found
        self._now = now
        if found is None:
            self._begin(now or find_corners(grey, taken))
            self._step = np.eye(3)
            return np.eye(3), 0.0
        self._step = found.motion @ np.linalg.inv(before)
        self._from_key, self._first_count = found.motion, self._first_count or found.count
        away = np.abs(moved(found.motion, self._frame()) - self._frame()).max()
        if found.count < _KEPT * self._first_count or away > _FAR * LONG_SIDE:
            self._begin(now or find_corners(grey, taken))
        return self._in_shares(self._step), found.share

    def _begin(self, key: Corners) -> None:
        self._key, self._from_key, self._first_count = key, np.eye(3), 0

    def _agreed(self, pairs: Pairs, share: float) -> Found | None:
        return agreed(pairs, self._frame(), share)

    def _frame(self) -> np.ndarray:
        return np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * self.size[::-1]

    def _in_shares(self, step: np.ndarray) -> np.ndarray:
        """A step in pixels as one in 0..1 of the picture."""
        if (step == np.eye(3)).all():
            return step
        pixels = np.diag([*self.size[::-1], 1.0]).astype(np.float64)
        step = np.linalg.inv(pixels) @ step @ pixels
        return step / step[2, 2]

    def _grey(self, picture: np.ndarray) -> torch.Tensor:
        """Brightness ``[H, W]`` in 0..255; green is most of it."""
        grey = torch.from_numpy(np.ascontiguousarray(picture[:, :, 1]))[None, None]
        if tuple(grey.shape[2:]) != self.size:
            grey = F.interpolate(grey, self.size, mode="bilinear", antialias=True)
        return grey[0, 0].float()

    def _taken(self, boxes: np.ndarray | None) -> np.ndarray:
        """Boxes ``[N, 4]`` in pixels, grown."""
        boxes = np.zeros((0, 4)) if boxes is None else np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
        sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2) * [-_AROUND, -_AROUND, _AROUND, _AROUND]
        return (boxes + sides) * np.tile(self.size[::-1], 2)
