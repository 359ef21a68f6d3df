"""Detectors of the transformers library, from a local folder: GroundingDINO (Liu et al., ECCV 2024) by text, RT-DETR (Zhao et
al., CVPR 2024) and D-FINE (Peng et al., ICLR 2025) by class lists. Scores are read from the networks' own outputs: the
library's post-processing changed its arguments between releases and scores a phrase by its strongest word, where MASA takes the
mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torchvision.ops import box_convert

from ..errors import StereoSyncError
from .detections import Detections, parse_classes, split_names, suppress_overlaps

#: Pairs of box and class that are kept of a frame before overlapping ones are suppressed, as MASA's demonstration has it.
MOST = 300
#: Scores below this are noise even for an object that is already tracked.
FLOOR = 0.05


class DetectorModel(nn.Module, ABC):
    """A network with its processor, as one thing that a host can place on a device; a subclass is a kind of detector."""

    #: Names in transformers of the classes that load the processor and the network.
    processor_class: str
    network_class: str

    def __init__(self, network: nn.Module, processor: Any):
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.processor = processor

    def detector(self, classes: str) -> TransformersDetector:
        """What finds these classes in frames. Raises StereoSyncError for a class that the network cannot find."""
        return TransformersDetector(self, self.parse(classes))

    @abstractmethod
    def parse(self, classes: str) -> list[str]:
        """The classes in lower case."""

    def text_inputs(self, classes: list[str], count: int) -> dict[str, Any]:
        """What the processor takes with ``count`` frames."""
        return {}

    @abstractmethod
    def class_scores(self, classes: list[str], scores: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Scores ``[B, Q, classes]`` out of those of the network's outputs ``[B, Q, L]``."""


class TextDetectorModel(DetectorModel):
    """GroundingDINO: finds what a text names, and scores a phrase by the mean over its tokens."""

    processor_class, network_class = "AutoProcessor", "AutoModelForZeroShotObjectDetection"

    def parse(self, classes: str) -> list[str]:
        phrases = split_names(classes)
        if not phrases:
            raise StereoSyncError(
                "Classes: the text is empty; name what to look for, separated by commas, for example: person, dog."
            )
        return phrases

    def text_inputs(self, classes: list[str], count: int) -> dict[str, Any]:
        return {"text": [" . ".join(classes) + " ."] * count, "padding": True}

    def class_scores(self, classes: list[str], scores: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        spans = token_spans(batch["input_ids"][0].tolist(), self.processor.tokenizer)
        if len(spans) != len(classes) or max(span[-1] for span in spans) >= scores.shape[-1]:
            raise StereoSyncError(
                f"Classes: the detector reads the text as {len(spans)} phrases instead of {len(classes)}, or not to its end; "
                "name fewer objects, in plain words."
            )
        return torch.stack([scores[..., span].mean(dim=-1) for span in spans], dim=-1)


class ClassDetectorModel(DetectorModel):
    """RT-DETR and D-FINE: find the classes of the list that they were trained on."""

    processor_class, network_class = "AutoImageProcessor", "AutoModelForObjectDetection"

    @property
    def names(self) -> list[str]:
        """The class list, in lower case."""
        table = self.network.config.id2label  # type: ignore[union-attr]
        return [table[number].lower() for number in sorted(table)]

    def parse(self, classes: str) -> list[str]:
        return parse_classes(classes, self.names)

    def class_scores(self, classes: list[str], scores: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        names = self.names
        return scores[..., [names.index(name) for name in classes]]


class TransformersDetector:
    """Finds the ``classes``, in lower case, with a model, on the device where that is."""

    def __init__(self, model: DetectorModel, classes: list[str]):
        self.model, self.classes = model, classes

    @torch.inference_mode()
    def detect(self, times: Sequence[float], frames: Sequence[np.ndarray]) -> list[Detections]:
        """Boxes of each frame (:class:`detections.Detector`), overlapping ones suppressed across classes."""
        weight = next(self.model.network.parameters())
        text = self.model.text_inputs(self.classes, len(frames))
        batch = self.model.processor(images=list(frames), return_tensors="pt", **text)
        batch = {key: value.to(weight.device) for key, value in batch.items() if isinstance(value, torch.Tensor)}
        batch["pixel_values"] = batch["pixel_values"].to(weight.dtype)
        output = self.model.network(**batch)
        scores = self.model.class_scores(self.classes, output.logits.float().sigmoid().cpu(), batch)
        boxes = box_convert(output.pred_boxes.float().cpu(), "cxcywh", "xyxy").clamp(0, 1)
        return [self._pick(*parts) for parts in zip(scores, boxes, strict=True)]

    def _pick(self, scores: torch.Tensor, boxes: torch.Tensor) -> Detections:
        best, pairs = scores.flatten().topk(min(MOST, scores.numel()))
        keep = best >= FLOOR
        best, pairs = best[keep], pairs[keep]
        kinds, rows = pairs % scores.shape[-1], pairs // scores.shape[-1]
        labels = tuple(self.classes[kind] for kind in kinds.tolist())
        return suppress_overlaps(Detections(boxes[rows].double().numpy().reshape(-1, 4), best.double().numpy(), labels))


def token_spans(tokens: list[int], tokenizer: Any) -> list[list[int]]:
    """Places of each phrase's tokens in a prompt whose phrases end with full stops."""
    stop, special = tokenizer.convert_tokens_to_ids("."), set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    spans: list[list[int]] = [[]]
    for place, token in enumerate(tokens):
        if token == stop or token in special:
            spans.append([])
        else:
            spans[-1].append(place)
    return [span for span in spans if span]
