"""The bundled detector: NanoDet, batched and de-duplicated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torchvision.ops import batched_nms

from ..assets import load_weights
from .detections import Detections, parse_classes, suppress_overlaps
from .nanodet import CLASSES, DEVIATION, MEAN, NanoDet

#: Boxes of a class that overlap more than this are one object.
OVERLAP = 0.6
#: Scores below this are noise even for an object that is already tracked.
FLOOR = 0.08
MOST_BOXES = 200


def load_nanodet() -> NanoDet:
    """The bundled weights on the CPU in single precision."""
    network = NanoDet()
    network.load_state_dict({key: value.float() for key, value in load_weights("nanodet.safetensors").items()})
    return network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def input_size(width: int, height: int, long_side: int) -> tuple[int, int]:
    """Width and height of the network's input: the frame's aspect, long side as given, both rounded up to multiples of 32."""
    scale = long_side / max(width, height)
    across, down = (max(64, -(-round(side * scale) // 32) * 32) for side in (width, height))
    return across, down


class NanoDetDetector:
    """The bundled detector on a device.

    :param classes: COCO names separated by commas or full stops, or ``all`` (see :data:`nanodet.CLASSES`).
    :param network: on the device of choice; the bundled weights on the CPU when left out.
    :param long_side: pixels of the long side of the network's input.
    :raises StereoSyncError: a class that COCO lacks.
    """

    def __init__(self, classes: str = "person", network: NanoDet | None = None, long_side: int = 416):
        self.classes = torch.tensor([CLASSES.index(name) for name in parse_classes(classes, CLASSES)])
        self.network = network if network is not None else load_nanodet()
        self.long_side = long_side

    def detect(self, times: Sequence[float], frames: Sequence[np.ndarray]) -> list[Detections]:
        """Boxes of each frame (:class:`detections.Detector`), overlapping ones suppressed across classes."""
        height, width = frames[0].shape[:2]
        across, down = input_size(width, height, self.long_side)
        pixels = self._pixels(frames).float()
        pixels = F.interpolate(pixels, size=(down, across), mode="bilinear", antialias=True).round().clamp(0, 255)
        return [suppress_overlaps(found) for found in self._detect(pixels)]

    def detect_resized(self, frames: Sequence[np.ndarray]) -> list[Detections]:
        """Boxes of each frame, uint8 RGB ``[H, W, 3]`` of an :func:`input_size`, overlapping ones suppressed by class."""
        return self._detect(self._pixels(frames))

    def _pixels(self, frames: Sequence[np.ndarray]) -> torch.Tensor:
        from kornia.utils import image_list_to_tensor

        return image_list_to_tensor(list(frames)).to(self.network.stem.weight.device)

    @torch.inference_mode()
    def _detect(self, pixels: torch.Tensor) -> list[Detections]:
        """:param pixels: RGB ``[B, 3, H, W]`` in 0..255."""
        from kornia.color import rgb_to_bgr
        from kornia.enhance import normalize

        normalised = normalize(rgb_to_bgr(pixels.float()), torch.tensor(MEAN), torch.tensor(DEVIATION))
        normalised = normalised.to(self.network.stem.weight.dtype).contiguous(memory_format=torch.channels_last)
        scores, boxes = self.network(normalised)
        sides = np.array([pixels.shape[3], pixels.shape[2]] * 2)
        return [self._pick(s.float().cpu(), b.float().cpu(), sides) for s, b in zip(scores, boxes, strict=True)]

    def _pick(self, scores: torch.Tensor, boxes: torch.Tensor, sides: np.ndarray) -> Detections:
        best, kind = scores[:, self.classes].max(dim=1)
        keep = best >= FLOOR
        best, kind, boxes = best[keep], kind[keep], boxes[keep]
        order = batched_nms(boxes, best, kind, OVERLAP)[:MOST_BOXES]
        labels = tuple(CLASSES[int(self.classes[index])] for index in kind[order])
        scaled = boxes[order].numpy().astype(np.float64) / sides
        return Detections(np.clip(scaled, 0.0, 1.0), best[order].numpy().astype(np.float64), labels)
