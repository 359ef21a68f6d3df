"""Depth Anything V2 and every other single-frame estimator that transformers knows, from a local folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..errors import StereoSyncError
from ..media.video import Source, frames, probe
from ..scene import DepthSequence
from .batches import Batches
from .small import NEAREST, stretch

LINK = "https://huggingface.co/depth-anything/Depth-Anything-V2-Small-hf"
#: Kinds of model whose depth is a distance in metres, larger = farther; the others give inverse depth, larger = nearer.
_METRIC_KINDS = {"zoedepth", "glpn", "depth_pro"}


class FrameEstimator(nn.Module):
    """A depth network of transformers together with its own preparation of pictures.

    :param metric: whether its values are distances, larger = farther.
    """

    def __init__(self, network: Any, processor: Any, metric: bool):
        super().__init__()
        self.network, self.processor, self.metric = network, processor, metric
        self.eval().requires_grad_(False)

    @torch.inference_mode()
    def nearness(self, images: list[np.ndarray], shape: tuple[int, int]) -> torch.Tensor:
        """Inverse depth float32 ``[B, *shape]`` on the CPU, larger = nearer, of uint8 RGB pictures ``[H, W, 3]``."""
        pixels = self.processor(images=images, return_tensors="pt")["pixel_values"]
        weight = next(self.network.parameters())
        depth = self.network(pixel_values=pixels.to(weight.device, weight.dtype)).predicted_depth.float()
        if self.metric:
            depth = 1.0 / depth.clamp(min=NEAREST)
        return F.interpolate(depth[:, None], size=shape, mode="bilinear", align_corners=False, antialias=True)[:, 0].cpu()


def load_estimator(folder: str | Path, dtype: torch.dtype = torch.float32) -> FrameEstimator:
    """The network of a folder in transformers' layout, on the CPU: config.json, preprocessor_config.json, safetensors.

    :raises StereoSyncError: the folder is missing or incomplete, or holds no depth estimator.
    """
    folder = Path(folder)
    for name in ("config.json", "preprocessor_config.json"):
        if not (folder / name).is_file():
            raise StereoSyncError(
                f"Depth estimator '{folder.name}': {name} is missing in {folder}. Download the whole of a model in "
                f"transformers' layout, for example {LINK} (Apache-2.0), into that folder."
            )
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    try:
        network = AutoModelForDepthEstimation.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
        processor = AutoImageProcessor.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise StereoSyncError(
            f"Depth estimator '{folder.name}' cannot be loaded ({str(error).splitlines()[0]}); give the folder of a depth "
            f"model that this version of transformers knows, with safetensors, for example {LINK}"
        ) from error
    config: Any = network.config
    metric = getattr(config, "depth_estimation_type", "") == "metric" or config.model_type in _METRIC_KINDS
    return FrameEstimator(network.to(dtype), processor, metric)


def estimate_depth(
    source: Source,
    estimator: FrameEstimator,
    *,
    rate: float = 4.0,
    long_side: int = 518,
    batch: int = 4,
    notice: Callable[[str], None] | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> DepthSequence:
    """Relative depth of a clip, 1 = near: the clip's 1st and 99th percentile become 0 and 1.

    :param rate: maps a second.
    :param long_side: pixels of a map's long side.
    :param batch: frames at once; halved when memory runs out, of which ``notice`` is told.
    :param progress: called with seconds done and in all; raising inside it stops the work.
    """
    if not 0.1 <= rate <= 240:
        raise StereoSyncError(f"Depth rate: {rate} maps a second is outside 0.1..240; 4 is what the paper takes.")
    info = probe(source)
    scale = long_side / max(info.width, info.height)
    shape = (max(8, round(info.height * scale)), max(8, round(info.width * scale)))
    times = np.arange(max(1, int(np.ceil(info.duration * rate - 1e-6)))) / rate
    maps = np.empty((len(times), *shape), dtype=np.float32)
    batches = Batches(batch, "frames", notice)
    waiting: list[np.ndarray] = []
    done = 0
    for number, (_, image) in enumerate(frames(source, times=times), 1):
        waiting.append(image)
        if len(waiting) < batches.size and number < len(times):
            continue
        for part, nearness in batches.run(lambda part: estimator.nearness(waiting[part], shape), len(waiting)):
            maps[done + part.start : done + part.stop] = nearness.numpy()
        done += len(waiting)
        waiting.clear()
        if progress is not None:
            progress(done, len(times))
    if not np.isfinite(maps.sum()):
        raise StereoSyncError("Depth estimator: it gave NaN or infinite depth; choose fp32 in the loader.")
    stretch(maps)
    return DepthSequence(maps, times)
