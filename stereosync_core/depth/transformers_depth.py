"""Depth Anything V2 and every other single-frame estimator that transformers knows, from a local folder."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..checkpoints import MISFITS, within_folder
from ..errors import StereoSyncError, explained
from ..media.source import Source
from ..scene import DepthSequence
from .frame_by_frame import estimate_frame_by_frame
from .maps import NEAREST

LINK = "https://huggingface.co/depth-anything/Depth-Anything-V2-Small-hf"


class FrameEstimator(nn.Module):
    """A depth network of transformers with its own preparation of pictures; ``metric`` where its values are distances."""

    def __init__(self, network: Any, processor: Any, metric: bool):
        super().__init__()
        self.network, self.processor, self.metric = network, processor, metric
        self.eval().requires_grad_(False)

    @torch.inference_mode()
    def inverse_depth(self, images: list[np.ndarray]) -> torch.Tensor:
        """Inverse depth float32 ``[B, h, w]``, larger = nearer, of uint8 RGB pictures ``[H, W, 3]``."""
        pixels = self.processor(images=images, return_tensors="pt")["pixel_values"]
        weight = next(self.network.parameters())
        depth = self.network(pixel_values=pixels.to(weight.device, weight.dtype)).predicted_depth.float()
        return 1.0 / depth.clamp(min=NEAREST) if self.metric else depth


def load_frame_estimator(folder: str | Path, dtype: torch.dtype = torch.float32) -> FrameEstimator:
    """The network of a folder in transformers' layout, on the CPU: config.json, preprocessor_config.json, safetensors. Raises
    StereoSyncError where the folder is missing or incomplete, or holds no depth estimator."""
    folder = Path(folder)
    for name in ("config.json", "preprocessor_config.json"):
        if not (folder / name).is_file():
            raise StereoSyncError(
                f"Depth estimator '{folder.name}': {name} is missing in {folder}. Download the whole of a model in "
                f"transformers' layout, for example {LINK} (Apache-2.0), into that folder."
            )
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    message = (
        f"Depth estimator '{folder.name}' cannot be loaded ({{line}}); give the folder of a depth model that this version of "
        f"transformers knows, with safetensors, for example {LINK}"
    )
    with explained(message, ImportError, OSError, *MISFITS), within_folder(folder, f"Depth estimator '{folder.name}'"):
        network = AutoModelForDepthEstimation.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
        processor = AutoImageProcessor.from_pretrained(str(folder), local_files_only=True)
    # Of these the depth is a distance in metres, larger = farther; the others give inverse depth, larger = nearer.
    distance = network.config.model_type in ("zoedepth", "glpn", "depth_pro")
    metric = distance or getattr(network.config, "depth_estimation_type", "") == "metric"
    return FrameEstimator(network.to(dtype), processor, metric)


def estimate_with_transformers(source: Source, network: FrameEstimator, **options: Any) -> DepthSequence:
    """Relative depth of a clip; options are those of :func:`.frame_by_frame.estimate_frame_by_frame`."""
    return estimate_frame_by_frame(source, network.inverse_depth, **options)
