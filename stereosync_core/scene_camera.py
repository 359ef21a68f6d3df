"""Camera motion: how the picture of the surroundings moves from frame to frame, whatever people and things do in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .errors import StereoSyncError


def freeze(self, **fields) -> None:
    """Set fields of a frozen dataclass; arrays as read-only views, for nodes share these objects through the host's cache."""
    for name, value in fields.items():
        if isinstance(value, np.ndarray):
            value = value.view()
            value.flags.writeable = False
        object.__setattr__(self, name, value)


@dataclass(frozen=True)
class CameraMotion:
    """Motion of a clip's camera.

    :param times: seconds ``[F]``, rising.
    :param steps: ``[F, 3, 3]``, homographies that take places of the frame before, ``(x, y, 1)`` in 0..1 of the picture, to
        where the same place of the surroundings is in this frame; the identity for the first frame, at cuts, where the camera
        stands, and where nothing is known.
    :param confidence: ``[F]`` in 0..1, share of the corners that agree; 0 where nothing is known.
    :param cuts: seconds at which a new shot begins, rising.
    """

    times: np.ndarray
    steps: np.ndarray
    confidence: np.ndarray
    cuts: tuple[float, ...] = ()

    def __post_init__(self):
        times, steps, confidence = (np.asarray(v, dtype=np.float64) for v in (self.times, self.steps, self.confidence))
        if times.ndim != 1 or steps.shape != (len(times), 3, 3) or confidence.shape != times.shape or not len(times):
            raise StereoSyncError(
                f"Camera motion: {times.shape} times, {steps.shape} steps and {confidence.shape} confidences; give one 3x3 "
                "matrix and one confidence for each time."
            )
        if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            raise StereoSyncError("Camera motion: times must be finite seconds that rise; sort them and drop repeated ones.")
        determinants = np.linalg.det(steps) if np.isfinite(steps).all() else np.zeros(1)
        if (determinants <= 1e-6).any() or not ((confidence >= 0) & (confidence <= 1)).all():
            raise StereoSyncError("Camera motion: steps must be finite and keep the picture's sides, confidence be in 0..1.")
        freeze(self, times=times, steps=steps, confidence=confidence, cuts=tuple(float(cut) for cut in self.cuts))

    @cached_property
    def still(self) -> bool:
        """Whether the camera stands, in every shot, as far as anything is known."""
        return bool((self.steps[1:] == np.eye(3)).all())  # there is no frame before the first

    @cached_property
    def accumulated(self) -> np.ndarray:
        """``[F, 3, 3]`` from the first frame of the shot to this frame, scaled to determinant 1."""
        result = np.tile(np.eye(3), (len(self.times), 1, 1))
        first = set(np.searchsorted(self.times, np.asarray(self.cuts) - 1e-6).tolist())
        for n in range(1, len(self.times)):
            result[n] = self._steps[n] @ result[n - 1] if n not in first else np.eye(3)
        return result

    @cached_property
    def _steps(self) -> np.ndarray:
        """The steps, scaled to determinant 1."""
        return self.steps / np.cbrt(np.linalg.det(self.steps))[:, None, None]

    def at(self, times) -> np.ndarray:
        """``[N, 3, 3]`` from the first frame of its shot to the picture at each of ``times`` seconds; between two frames, along
        a smooth way (Catmull and Rom)."""
        times = np.atleast_1d(np.asarray(times, dtype=np.float64))
        whole = self.accumulated
        after = np.clip(np.searchsorted(self.times, times), 0, len(self.times) - 1)
        before = np.maximum(after - 1, 0)
        span = np.maximum(self.times[after] - self.times[before], 1e-9)
        part = np.where(after > 0, np.clip((times - self.times[before]) / span, 0, 1), 1.0)[:, None, None]
        earlier, later, here = (self.shot(when) for when in (self.times[before], self.times[after], times))
        way = self._steps - np.eye(3)
        beyond = np.minimum(after + 1, len(self.times) - 1)
        d0, d1, d2 = way[before], way[after], way[beyond]
        d0 = np.where(((before > 0) & (self.shot(self.times[before - 1]) == earlier))[:, None, None], d0, d1)
        d2 = np.where((self.shot(self.times[beyond]) == later)[:, None, None], d2, d1)
        bend = part * (1 - part) / 2 * ((d0 - d1) * (1 - part) + (d1 - d2) * part)
        moving = np.eye(3) + part * d1 + bend
        between = moving @ whole[before]
        # next to a cut, the frame on the same side of it
        between = np.where((earlier == here)[:, None, None], between, whole[after])
        return np.where((later == here)[:, None, None], between, whole[before])

    def shot(self, times) -> np.ndarray:
        """Number of the shot, from 0, that each of ``times`` seconds is in."""
        return np.searchsorted(np.asarray(self.cuts), np.asarray(times) + 1e-6)

    def between(self, start: float, end: float) -> np.ndarray:
        """``[3, 3]`` from the picture at ``start`` seconds to the one at ``end``; the identity from shot to shot."""
        first, last = self.shot([start, end])
        if self.still or first != last:
            return np.eye(3)
        begin, finish = self.at([start, end])
        return finish @ np.linalg.inv(begin)

    def without(self, times: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A path as a camera that stands would see it, in the size that it has at first.

        Only the surroundings' motion at the path's own place is taken off, from moment to moment, so that a path may go on
        for as long as it likes and beyond the picture.

        :param times: seconds ``[N]``, rising.
        :param points: ``[N, 2]`` in 0..1 of the picture.
        :returns: the path ``[N, 2]``, the same numbers where the camera stands, and ``[N]``, by how much the camera makes
            things larger than at first.
        """
        points = np.asarray(points, dtype=np.float64)
        if self.still or len(points) < 2:
            return points, np.ones(len(points))
        whole = self.at(times)
        shots = self.shot(times)
        step = whole[1:] @ np.linalg.inv(whole[:-1])
        step[shots[1:] != shots[:-1]] = np.eye(3)
        expected, scale = moved(step, points[:-1]), scale_at(step, points[:-1])
        size = np.concatenate([[1.0], np.cumprod(scale)])
        own = (points[1:] - expected) / size[1:, None]
        return points[0] + np.concatenate([np.zeros((1, 2)), np.cumsum(own, axis=0)]), size

    def boxes_without(self, times: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Boxes ``[N, 4]`` (x0, y0, x1, y1 in 0..1) as a camera that stands would see them; they may leave 0..1."""
        if self.still:
            return boxes
        middle, size = self.without(times, (boxes[:, :2] + boxes[:, 2:]) / 2)
        half = (boxes[:, 2:] - boxes[:, :2]) / 2 / size[:, None]
        return np.concatenate([middle - half, middle + half], axis=1)

    def speed(self) -> np.ndarray:
        """``[F, 3]``: picture widths a second to the right, heights a second downwards, and growth a second, of the picture's
        middle, from the frame before."""
        gaps = np.diff(self.times, prepend=self.times[0] - 1.0)[:, None]
        middle = np.full((len(self.times), 2), 0.5)
        way = moved(self.steps, middle) - middle
        return np.concatenate([way, np.log(scale_at(self.steps, middle))[:, None]], axis=1) / gaps

    def summary(self) -> str:
        """A line on what the camera does."""
        known, moving = self.confidence[1:] > 0, (self.steps[1:] != np.eye(3)).any((1, 2))
        if not known.any():
            return "Not known: there is too little in the picture that stands."
        shots = f" Shots: {len(self.cuts) + 1}." if self.cuts else ""
        if self.still:
            return "The camera stands." + shots
        across, down, growth = np.percentile(np.abs(self.speed()[1:][moving]), 95, axis=0)
        return (
            f"The camera moves in {moving.mean():.0%} of the frames, by up to {across:.2f} picture widths and {down:.2f} "
            f"heights a second, and zooms by up to {growth:.0%} a second; known in {known.mean():.0%}.{shots}"
        )


def check_camera_fits(camera: CameraMotion, duration: float) -> None:
    """Raise where camera motion belongs to a longer or a much shorter clip."""
    if not duration - max(1.5, 0.1 * duration) <= camera.times[-1] <= duration + 0.25:
        raise StereoSyncError(
            f"Camera motion: it ends at {camera.times[-1]:.2f} s, but this clip lasts {duration:.2f} s; take the clip's own."
        )


def moved(steps: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points ``[..., 2]`` taken along by homographies ``[..., 3, 3]``."""
    flat = np.einsum("...ij,...j->...i", steps, np.concatenate([points, np.ones((*points.shape[:-1], 1))], axis=-1))
    return flat[..., :2] / flat[..., 2:]


def scale_at(steps: np.ndarray, points: np.ndarray) -> np.ndarray:
    """How much larger homographies ``[..., 3, 3]`` make things at points ``[..., 2]``."""
    depth = np.einsum("...j,...j->...", steps[..., 2, :2], points) + steps[..., 2, 2]
    return np.sqrt(np.abs(np.linalg.det(steps) / depth**3))


def moved_boxes(step: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Boxes ``[N, 4]`` taken along by one homography: middle and size, without the turn."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * scale_at(step[None], middle)[:, None]
    middle = moved(step[None], middle)
    return np.concatenate([middle - half, middle + half], axis=1)
