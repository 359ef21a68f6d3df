"""Boxes of people and things in frames: the bundled NanoDet, letterboxed, batched and de-duplicated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torchvision.ops import batched_nms

from ..assets import load_weights
from ..errors import StereoSyncError
from .nanodet import CLASSES, DEVIATION, MEAN, NanoDet

#: Boxes that overlap more than this are one object.
OVERLAP = 0.6
#: Scores below this are noise even for an object that is already tracked.
FLOOR = 0.08
MOST_BOXES = 200


@dataclass(frozen=True)
class Detections:
    """What a detector found in one frame.

    :param boxes: float ``[N, 4]`` as x0, y0, x1, y1 in 0..1 of the frame.
    :param scores: confidence ``[N]`` in 0..1.
    :param labels: class name of each box.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.scores)


def parse_classes(text: str) -> list[str]:
    """Class names out of a comma-separated line; ``all`` or nothing means every class. Raises on a name COCO lacks."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if not names or names == ["all"]:
        return list(CLASSES)
    unknown = [name for name in names if name not in CLASSES]
    if unknown:
        raise StereoSyncError(
            f"Classes: the detector does not know {', '.join(unknown)}. It knows: {', '.join(CLASSES)}; or write all."
        )
    return names


def input_size(width: int, height: int, long_side: int) -> tuple[int, int]:
    """Width and height that the network sees: the frame's aspect, long side as given, both rounded up to multiples of 32."""
    scale = long_side / max(width, height)
    across, down = (max(64, -(-round(side * scale) // 32) * 32) for side in (width, height))
    return across, down


class Detector:
    """The bundled detector on a device.

    :param classes: names to keep (see :data:`nanodet.CLASSES`).
    :param network: a :class:`NanoDet` already on its device; loaded to the CPU when left out.
    """

    def __init__(self, classes: list[str], network: NanoDet | None = None):
        self.network = network if network is not None else load_network()
        self.classes = torch.tensor([CLASSES.index(name) for name in classes])

    @torch.inference_mode()
    def detect(self, frames: list[np.ndarray]) -> list[Detections]:
        """Detections of each frame, uint8 RGB ``[H, W, 3]``, all of one size with sides divisible by 32."""
        from kornia.color import rgb_to_bgr
        from kornia.enhance import normalize
        from kornia.utils import image_list_to_tensor

        weight = self.network.stem.weight
        pixels = rgb_to_bgr(image_list_to_tensor(frames).to(weight.device).float())
        pixels = normalize(pixels, torch.tensor(MEAN), torch.tensor(DEVIATION)).to(weight.dtype)
        scores, boxes = self.network(pixels.contiguous(memory_format=torch.channels_last))
        height, width = frames[0].shape[:2]
        return [self._pick(s.float().cpu(), b.float().cpu(), width, height) for s, b in zip(scores, boxes, strict=True)]

    def _pick(self, scores: torch.Tensor, boxes: torch.Tensor, width: int, height: int) -> Detections:
        best, kind = scores[:, self.classes].max(dim=1)
        keep = best >= FLOOR
        best, kind, boxes = best[keep], kind[keep], boxes[keep]
        order = batched_nms(boxes, best, kind, OVERLAP)[:MOST_BOXES]
        scaled = boxes[order].numpy().astype(np.float64) / np.array([width, height, width, height])
        labels = tuple(CLASSES[int(self.classes[index])] for index in kind[order])
        return Detections(np.clip(scaled, 0.0, 1.0), best[order].numpy().astype(np.float64), labels)


def load_network() -> NanoDet:
    """The bundled weights on the CPU in single precision."""
    network = NanoDet()
    network.load_state_dict({key: value.float() for key, value in load_weights("nanodet.safetensors").items()})
    return network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
