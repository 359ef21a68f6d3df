"""What estimators share: the times of their maps; of single-frame ones, a streamed clip in, relative depth out."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from ..batches import Batches
from ..errors import StereoSyncError
from ..media.source import Source, as_clip
from ..media.video import frames, probe
from ..scene import DepthSequence
from .maps import stretch


def map_times(duration: float, rate: float, remedy: str = "4 is what the paper takes") -> np.ndarray:
    """Seconds of ``rate`` maps a second over a clip; ``remedy`` ends the error of a rate that makes no sense."""
    if not 0.1 <= rate <= 240:
        raise StereoSyncError(f"Depth rate: {rate} maps a second is outside 0.1..240; {remedy}.")
    return np.arange(max(1, int(np.ceil(duration * rate - 1e-6)))) / rate


def estimate_frame_by_frame(
    source: Source,
    inverse_depth: Callable[[list[np.ndarray]], torch.Tensor],
    *,
    rate: float = 4.0,
    long_side: int = 518,
    most_bytes: float = float("inf"),
    size: tuple[int, int] | None = None,
    batch: int = 4,
    notice: Callable[[str], None] | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> DepthSequence:
    """Relative depth of a clip, 1 = near: the clip's 1st and 99th percentile of inverse depth become 0 and 1, so that what is
    near has resolution, and the scale, which one camera cannot know, is gone.

    :param inverse_depth: a network: float ``[B, h, w]`` of any size, larger = nearer, of uint8 RGB pictures ``[H, W, 3]``.
    :param rate: maps a second.
    :param long_side: pixels of a map's long side.
    :param most_bytes: what the maps may take; those of longer clips are smaller.
    :param size: width and height that the pictures are scaled to while they are decoded; the clip's own when left out.
    :param batch: pictures at once; halved when memory runs out, with a line of text to ``notice``.
    """
    clip = as_clip(source)
    info = probe(clip)
    times = map_times(info.duration, rate)
    scale = min(long_side / max(info.width, info.height), (most_bytes / (4 * len(times) * info.width * info.height)) ** 0.5)
    shape = (max(8, round(info.height * scale)), max(8, round(info.width * scale)))

    @torch.inference_mode()
    def work(images: list[np.ndarray]) -> np.ndarray:
        maps = inverse_depth(images)[:, None].float()
        return F.interpolate(maps, size=shape, mode="bilinear", align_corners=False, antialias=True)[:, 0].cpu().numpy()

    # Filled as frames come: stacking a list at the end would hold every map twice.
    maps = np.empty((len(times), *shape), dtype=np.float32)
    images = (image for _, image in frames(clip, times=times, size=size))
    for part, found in Batches(batch, "frames", notice).over(work, images):
        maps[part] = found
        if progress is not None:
            progress(part.stop, len(times))
    if not np.isfinite(maps.sum()):
        raise StereoSyncError("Depth estimator: it gave NaN or infinite depth; choose fp32 in the loader.")
    stretch(maps)
    return DepthSequence(maps, times)
