"""Depth out of what other packs give: a batch of pictures, bright or dark where near."""

from __future__ import annotations

import numpy as np

from ..errors import StereoSyncError
from ..scene import DepthSequence


def depth_from_images(images: np.ndarray, times: np.ndarray, *, polarity: str = "bright") -> DepthSequence:
    """Depth from pictures of it.

    :param images: float ``[T, H, W]`` or ``[T, H, W, C]``; colour is averaged; any range, stretched to 0..1 over the clip.
    :param times: seconds of each picture.
    :param polarity: ``bright`` where near is bright, as with most estimators; ``dark`` for those that draw distance.
    """
    images = np.asarray(images, dtype=np.float32)
    if images.ndim == 4:
        images = images[..., :3].mean(axis=-1)
    if images.ndim != 3:
        raise StereoSyncError(f"Depth images: expected [T, H, W] or [T, H, W, C], got shape {images.shape}.")
    if len(images) == 1 and len(times) > 1:
        times = times[:1]
    if len(images) != len(times):
        raise StereoSyncError(
            f"Depth images: {len(images)} pictures but the clip has {len(times)} frames; estimate depth on the same clip, or "
            "set the rate that the pictures were made at."
        )
    if not np.isfinite(images).all():
        raise StereoSyncError("Depth images: they contain NaN or infinite values; repair them before giving them here.")
    low, high = float(images.min()), float(images.max())
    maps = (images - low) / max(high - low, 1e-6)
    return DepthSequence(1.0 - maps if polarity == "dark" else maps, np.asarray(times, dtype=np.float64))
