"""Depth maps whoever made them: out of another pack's pictures, stretched over their clip, without flicker
(docs/rollingdepth.md): each map is a snippet that stands for itself and for the frames just after it, and one scale and shift
for each map is sought with which neighbours agree. Differences count by their size and not their square, so that what moves
weighs little."""

from collections.abc import Callable

import numpy as np
import torch

from ..errors import StereoSyncError
from ..scene import DEPTH_RANGE, DepthSequence
from .rollingdepth.alignment import AlignmentOptions, alignment_points, co_align
from .rollingdepth.snippets import Snippets

#: What near pixels of depth pictures are.
POLARITIES = ("bright", "dark", "metres")
#: Metres below which a distance is not trusted; keeps the inverse finite.
NEAREST = 0.1
#: Of :func:`stabilize_depth`. Unlike snippets, which begin near each other, single maps may need a true shift; and where far is
#: exactly 0, as in maps that were stretched, inverses are only worth comparing well above it.
OPTIONS = AlignmentOptions(factor=4, shift_weight=1.0, floor=0.1, plateau=0.002)


def depth_from_images(images: np.ndarray, times: np.ndarray, *, polarity: str = "bright") -> DepthSequence:
    """Depth from another pack's pictures of it.

    :param images: float ``[T, H, W]`` or ``[T, H, W, C]``; colour is averaged; any range, stretched to 0..1 over the clip.
    :param times: seconds of each picture; the first one alone where there is a single picture.
    :param polarity: ``bright`` where near is bright, as with most estimators; ``dark`` for those that draw distance;
        ``metres`` where values are distances themselves, whose relations are kept.
    """
    if polarity not in POLARITIES:
        raise StereoSyncError(f"Depth images: near is '{polarity}'; choose {', '.join(POLARITIES)}.")
    images = np.asarray(images, dtype=np.float32)
    if images.ndim == 4:
        images = images[..., :3].mean(axis=-1)
    times = np.asarray(times)[: 1 if len(images) == 1 else None]
    if len(images) != len(times):
        raise StereoSyncError(
            f"Depth images: {len(images)} pictures but the clip has {len(times)} frames; estimate depth on the same clip, or "
            "set the rate that the pictures were made at."
        )
    if polarity == "metres":
        return depth_from_metres(images, times)
    low, high = float(images.min()), float(images.max())
    maps = (images - low) / max(high - low, 1e-6)
    return DepthSequence(1.0 - maps if polarity == "dark" else maps, times)


def depth_from_metres(metres: np.ndarray, times: np.ndarray) -> DepthSequence:
    """Depth from distances ``[T, H, W]`` in metres, or any unit; those under :data:`NEAREST` count as that near."""
    if not (np.isfinite(metres.min()) and np.isfinite(metres.max())):
        raise StereoSyncError("Depth images: distances contain NaN or infinite values; repair the depth before giving it here.")
    if not metres.max() > 0:
        raise StereoSyncError("Depth images: no distance is above 0; these are no metres, choose bright or dark.")
    inverse = 1.0 / np.maximum(metres, NEAREST)
    low, high = float(inverse.min()), float(inverse.max())
    return DepthSequence((inverse - low) / max(high - low, 1e-9), times, high / low)


def stretch(maps: np.ndarray) -> None:
    """Bring maps ``[T, H, W]`` to 0..1 in place: the clip's 1st percentile to 0, its 99th to 1."""
    low, high = np.quantile(maps[:, ::4, ::4], [0.01, 0.99])
    maps -= low
    maps /= max(float(high - low), 1e-6)
    np.clip(maps, 0.0, 1.0, out=maps)


def stabilize_depth(
    depth: DepthSequence, *, window: int = 5, progress: Callable[[float, float], None] | None = None
) -> DepthSequence:
    """The same depth without flicker, stretched to 0..1 again; ``window`` frames (2..15) that follow each other are brought to
    agree. Where its range is known, the new one is that of the same distances."""
    if not 2 <= window <= 15:
        raise StereoSyncError(f"Stabilize depth: a window of {window} frames is outside 2..15; 5 is usual.")
    count = len(depth.times)
    if count == 1:
        return depth
    length = min(window, count)
    # Ends reach beyond the clip, so that every map has all its slots.
    snippets = Snippets(dilation=1, length=length, frame_count=count + length - 1)
    maps = torch.from_numpy(np.array(depth.maps))
    points = alignment_points(maps, OPTIONS)
    if 0 in points.shape:
        raise StereoSyncError(f"Stabilize depth: maps of {maps.shape[2]} x {maps.shape[1]} are too small; make them larger.")
    values = points[:, None].expand(-1, length, -1, -1)
    scales, shifts = co_align([values], [snippets], OPTIONS, progress=progress)[0]
    stable = maps.mul_(scales[:, None, None]).add_(shifts[:, None, None]).numpy()
    known = depth.range not in (1.0, DEPTH_RANGE) and np.ptp(stable) > 0
    reach = _range_of(stable, depth) if known else depth.range
    stretch(stable)
    return DepthSequence(stable, depth.times, reach)


def _range_of(stable: np.ndarray, depth: DepthSequence) -> float:
    """Farthest over nearest distance of aligned maps ``[T, H, W]``: what is common to all of them is brought back to ``depth``,
    whose values are inverse distances."""
    step = max(1, stable.size // 2**20)
    slope, shift = np.polyfit(stable.ravel()[::step], depth.maps.ravel()[::step], 1)
    far, near = (max(slope * float(value) + shift, 0.0) for value in (stable.min(), stable.max()))
    rest = 1 / (depth.range - 1)  # inverse distance at 0, where it rises by 1 up to 1
    return (near + rest) / (far + rest)
