"""Small Depth: the bundled FastDepth over a clip, streamed, as relative nearness."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from ..assets import load_weights
from ..errors import StereoSyncError
from ..media.video import Source, frames, probe
from ..scene import DepthSequence
from .fastdepth import FastDepth

#: The size FastDepth was trained at.
INPUT = 224
BATCH = 4
#: Bytes that a clip's maps may take; beyond, they get smaller, so that memory does not grow with the clip.
MAPS_BYTES = 48 * 2**20
#: Metres below which a depth is not believed; keeps the inverse finite.
NEAREST = 0.1


def load_network() -> FastDepth:
    """The bundled weights on the CPU in single precision."""
    network = FastDepth()
    network.load_state_dict({key: value.float() for key, value in load_weights("fastdepth.safetensors").items()})
    return network.eval()


def estimate_depth(
    source: Source,
    *,
    rate: float = 4.0,
    long_side: int = 160,
    network: FastDepth | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> DepthSequence:
    """Relative depth of a clip, 1 = near.

    The network's metres become inverse distance, stretched so that the clip's 1st and 99th percentile are 0 and 1: what is
    near has resolution, and the scale, which one camera cannot know, is gone.

    :param rate: maps a second; the paper takes 4.
    :param long_side: pixels of a map's long side, which the network resolves little more than; maps of very long clips (over
        three minutes at four a second) are made smaller, so that all together take no more than :data:`MAPS_BYTES`.
    :param network: on the device of choice; the bundled weights on the CPU when left out.
    :param progress: called with seconds done and in all; raising inside it stops the work.
    """
    if not 0.1 <= rate <= 240:
        raise StereoSyncError(f"Depth rate: {rate} maps a second is outside 0.1..240; 4 is what the paper takes.")
    info = probe(source)
    network = network if network is not None else load_network()
    count = int(np.ceil(info.duration * rate)) + 1
    scale = min(long_side / max(info.width, info.height), (MAPS_BYTES / (4 * count * info.width * info.height)) ** 0.5)
    shape = (max(8, round(info.height * scale)), max(8, round(info.width * scale)))
    # Filled as frames come: stacking a list at the end would hold every map twice.
    maps = np.empty((count, *shape), dtype=np.float32)
    times: list[float] = []
    waiting: list = []

    def work() -> None:
        inverse = _inverse_distance(network, [image for _, image in waiting], shape)
        maps[len(times) : len(times) + len(waiting)] = inverse
        times.extend(time for time, _ in waiting)
        if progress is not None:
            progress(times[-1], info.duration)
        waiting.clear()

    for item in frames(source, rate=rate, size=(INPUT, INPUT)):
        waiting.append(item)
        if len(waiting) == BATCH:
            work()
    if waiting:
        work()
    if progress is not None:
        progress(info.duration, info.duration)
    maps = maps[: len(times)]
    stretch(maps)
    return DepthSequence(maps, np.array(times))


@torch.inference_mode()
def _inverse_distance(network: FastDepth, images: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    weight = network.stem.weight
    pixels = torch.from_numpy(np.stack(images)).to(weight.device).permute(0, 3, 1, 2).to(weight.dtype) / 255.0
    metres = network(pixels).float()
    inverse = 1.0 / metres.clamp(min=NEAREST)
    return F.interpolate(inverse, size=shape, mode="bilinear", align_corners=False, antialias=True)[:, 0].cpu().numpy()


def stretch(maps: np.ndarray) -> None:
    """Bring maps ``[T, H, W]`` to 0..1 in place: the clip's 1st percentile to 0, its 99th to 1."""
    sample = maps[:, ::4, ::4]
    low, high = np.quantile(sample, [0.01, 0.99])
    maps -= low
    maps /= max(float(high - low), 1e-6)
    np.clip(maps, 0.0, 1.0, out=maps)
