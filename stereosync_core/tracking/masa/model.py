"""MASA-R50 as a whole: frames and boxes in, embeddings out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ...errors import StereoSyncError
from .adapter import FeaturePyramid, Fusion
from .backbone import ResNet50
from .head import EMBEDDING, TrackHead
from .roi import STRIDES, roi_features, roi_levels

#: Pixels of the long side that frames are resized to.
LONG_SIDE = 1024
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class Masa(nn.Module):
    """The network; its weight names are the checkpoint's. Fill it with :func:`loader.load_masa`."""

    def __init__(self):
        super().__init__()
        self.backbone = ResNet50()
        self.masa_adapter = nn.ModuleList([FeaturePyramid(), Fusion()])
        self.track_head = TrackHead()

    @property
    def weights_device(self) -> torch.device:
        """Where the weights are now; a host may move them between two calls, and keeps a ``device`` of its own here."""
        return self.backbone.conv1.weight.device

    def features(self, pixels: torch.Tensor, wanted: Collection[int] = range(len(STRIDES))) -> list[torch.Tensor | None]:
        """Levels 0..4 (strides 4 to 64, 256 channels) of normalised frames ``[B, 3, H, W]``; None where not ``wanted``."""
        pyramid, fusion = self.masa_adapter
        return fusion(pyramid(self.backbone(pixels)), wanted)

    @torch.inference_mode()
    def embed(self, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray], long_side: int = LONG_SIDE) -> list[np.ndarray]:
        """Embeddings float32 ``[N, 256]`` of the boxes of each frame.

        :param frames: uint8 or float RGB ``[H, W, 3]`` in 0..255, all of one size.
        :param boxes: float ``[N, 4]`` for each frame, x0, y0, x1, y1 in its pixels; they may reach beyond the frame.
        :param long_side: pixels of the long side that the network sees; the weights were trained with 1024.
        :raises StereoSyncError: the frames' sizes differ.
        """
        if len({frame.shape for frame in frames}) > 1:
            raise StereoSyncError("Frames: pictures of one size are needed at a time; embed each size for itself.")
        busy = [place for place, found in enumerate(boxes) if len(found)]
        result = [np.zeros((0, EMBEDDING), dtype=np.float32) for _ in frames]
        if not busy:
            return result
        weight = self.backbone.conv1.weight
        pixels, scale = prepare(np.stack([frames[place] for place in busy]), long_side, weight.device)
        rois = torch.cat([_rois(boxes[place], scale, row) for row, place in enumerate(busy)]).to(weight.device)
        wanted = set(roi_levels(rois[:, 1:]).tolist())
        levels = self.features(pixels.to(weight.dtype), wanted)[: len(STRIDES)]
        embeddings = self.track_head(roi_features(levels, rois)).float().cpu().numpy()
        counts = np.cumsum([len(boxes[place]) for place in busy])[:-1]
        for place, part in zip(busy, np.split(embeddings, counts), strict=True):
            result[place] = part
        return result


def prepare(frames: np.ndarray, long_side: int, device: torch.device | str = "cpu") -> tuple[torch.Tensor, np.ndarray]:
    """Normalised frames ``[B, 3, H, W]`` with sides divisible by 32, and the factors (across, down) from frame to it.

    :param frames: RGB ``[B, H, W, 3]`` in 0..255.
    """
    from kornia.enhance import normalize
    from kornia.geometry.transform import resize
    from kornia.utils import image_to_tensor

    height, width = frames.shape[1:3]
    scale = long_side / max(height, width)
    size = int(height * scale + 0.5), int(width * scale + 0.5)
    pixels = resize(image_to_tensor(frames).to(device).float(), size, align_corners=False)
    pixels = normalize(pixels, torch.tensor(MEAN), torch.tensor(DEVIATION))
    pixels = F.pad(pixels, (0, -size[1] % 32, 0, -size[0] % 32))
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    return pixels, np.array([size[1] / width, size[0] / height])


def _rois(boxes: np.ndarray, scale: np.ndarray, row: int) -> torch.Tensor:
    """Boxes ``[N, 5]`` of the batch's entry ``row`` in pixels of the resized frame."""
    scaled = torch.from_numpy(np.asarray(boxes, dtype=np.float32)) * torch.tensor([*scale, *scale], dtype=torch.float32)
    return torch.cat([torch.full((len(scaled), 1), float(row)), scaled], dim=1)
