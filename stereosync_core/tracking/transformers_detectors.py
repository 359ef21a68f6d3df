"""Detectors of the transformers library, from a local folder: GroundingDINO by text, RT-DETR and D-FINE by their class lists.

Liu et al., "Grounding DINO: Marrying DINO with Grounded Pre-Training for Open-Set Object Detection", ECCV 2024; Zhao et al.,
"DETRs Beat YOLOs on Real-time Object Detection", CVPR 2024; Peng et al., "D-FINE", ICLR 2025. Scores are read from the
networks' own outputs, because the library's post-processing changed its arguments between releases and scores a phrase by its
strongest word, where MASA takes the mean over its words: with the strongest, "red car" finds everything red.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torchvision.ops import box_convert

from ..errors import StereoSyncError
from .detector import Detections
from .found import one_box_a_thing

TEXT_KINDS = ("grounding-dino", "mm-grounding-dino")
CLASS_KINDS = ("rt_detr", "rt_detr_v2", "d_fine")
#: Pairs of box and class that are kept of a frame before overlapping ones are thinned, as MASA's demonstration has it.
MOST = 300
#: Scores below this are noise even for an object that is already tracked.
FLOOR = 0.05


def detector_kind(folder: str | Path) -> str:
    """The kind of model in a folder, by its config.json.

    :raises StereoSyncError: no folder, no config.json, or a kind that is not supported.
    """
    folder = Path(folder)
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StereoSyncError(
            f"Detector: {folder.name} is no model folder of transformers ({error}); it has to hold config.json, the weights as "
            "safetensors and the processor's files."
        ) from error
    if kind not in TEXT_KINDS + CLASS_KINDS:
        raise StereoSyncError(
            f"Detector: {folder.name} is a '{kind}' model; supported are {', '.join(TEXT_KINDS + CLASS_KINDS)}. Boxes of any "
            "other detector can be connected as boxes."
        )
    return kind


class TransformersDetector(nn.Module):
    """A network with its processor, as one thing that a host can place on a device. See :func:`load_detector`."""

    def __init__(self, network: nn.Module, processor: Any, kind: str):
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.processor = processor
        self.kind = kind

    @property
    def names(self) -> list[str]:
        """Classes that it knows; none where it is asked by text."""
        if self.kind in TEXT_KINDS:
            return []
        table = self.network.config.id2label  # type: ignore[union-attr]
        return [table[number] for number in sorted(table)]

    def finder(self, classes: str) -> TransformersFinder:
        """What finds these classes in frames (:class:`TransformersFinder`)."""
        return TransformersFinder(self, classes)


def load_detector(folder: str | Path) -> TransformersDetector:
    """A detector from a local folder, on the CPU in single precision; nothing is fetched, no code of the folder is run.

    :raises StereoSyncError: as :func:`detector_kind`, transformers is missing or too old for the model, files are missing.
    """
    kind = detector_kind(folder)
    name = Path(folder).name
    try:
        import transformers
    except ImportError as error:
        raise StereoSyncError(
            f"Detector: transformers cannot be imported ({error}); install it, ComfyUI needs it too."
        ) from error
    text = kind in TEXT_KINDS
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        reader = transformers.AutoProcessor if text else transformers.AutoImageProcessor
        processor = reader.from_pretrained(str(folder), **options)
        factory = transformers.AutoModelForZeroShotObjectDetection if text else transformers.AutoModelForObjectDetection
        network = factory.from_pretrained(str(folder), use_safetensors=True, **options).float()
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise StereoSyncError(
            f"Detector: {name} cannot be loaded ({str(error).splitlines()[0]}); put the whole model folder there (config.json, "
            "model.safetensors, preprocessor_config.json, for text the tokenizer), or update transformers."
        ) from error
    return TransformersDetector(network, processor, kind)


def phrases_of(text: str) -> list[str]:
    """Things to look for out of ``person. red car`` or ``person, red car``."""
    phrases = [part.strip().lower() for part in text.replace(",", ".").split(".")]
    phrases = list(dict.fromkeys(part for part in phrases if part))
    if not phrases:
        raise StereoSyncError(
            "Classes: the text is empty; name what to look for, separated by commas, for example: person, dog."
        )
    return phrases


class TransformersFinder:
    """Finds boxes with a detector.

    :param detector: on the device where it should run.
    :param classes: for a detector by text, any words; for one with a class list, names from it or ``all``.
    :raises StereoSyncError: a name that the class list lacks, or more text than the network reads.
    """

    def __init__(self, detector: TransformersDetector, classes: str):
        self.detector = detector
        if detector.kind in TEXT_KINDS:
            self.phrases = phrases_of(classes)
            self.prompt = " . ".join(self.phrases) + " ."
        else:
            self.phrases, self.columns = _known(classes, detector.names)

    @torch.inference_mode()
    def find(self, times: Sequence[float], frames: Sequence[np.ndarray]) -> list[Detections]:
        """Boxes of each frame (:class:`found.Finder`)."""
        network = self.detector.network
        weight = next(network.parameters())
        inputs = {"images": list(frames), "return_tensors": "pt"}
        if self.detector.kind in TEXT_KINDS:
            inputs |= {"text": [self.prompt] * len(frames), "padding": True}
        batch = self.detector.processor(**inputs)
        batch = {key: value.to(weight.device) for key, value in batch.items() if isinstance(value, torch.Tensor)}
        batch["pixel_values"] = batch["pixel_values"].to(weight.dtype)
        output = network(**batch)
        chances = output.logits.float().sigmoid().cpu()
        if self.detector.kind in TEXT_KINDS:
            chances = self._of_phrases(chances, batch["input_ids"][0].tolist())
        else:
            chances = chances[..., self.columns]
        boxes = box_convert(output.pred_boxes.float().cpu(), "cxcywh", "xyxy").clamp(0, 1)
        return [self._pick(scores, places) for scores, places in zip(chances, boxes, strict=True)]

    def _of_phrases(self, chances: torch.Tensor, tokens: list[int]) -> torch.Tensor:
        """Chances ``[B, Q, phrases]`` out of those of the tokens ``[B, Q, L]``: the mean over a phrase's tokens."""
        spans = token_spans(tokens, self.detector.processor.tokenizer)
        if len(spans) != len(self.phrases) or max(span[-1] for span in spans) >= chances.shape[-1]:
            raise StereoSyncError(
                f"Classes: the detector reads the text as {len(spans)} things instead of {len(self.phrases)}, or not to its "
                "end; name fewer things, in plain words."
            )
        return torch.stack([chances[..., span].mean(dim=-1) for span in spans], dim=-1)

    def _pick(self, chances: torch.Tensor, boxes: torch.Tensor) -> Detections:
        scores, pairs = chances.flatten().topk(min(MOST, chances.numel()))
        keep = scores >= FLOOR
        scores, pairs = scores[keep], pairs[keep]
        kinds, rows = pairs % chances.shape[-1], pairs // chances.shape[-1]
        labels = tuple(self.phrases[kind] for kind in kinds.tolist())
        found = Detections(boxes[rows].double().numpy().reshape(-1, 4), scores.double().numpy(), labels)
        return one_box_a_thing(found)


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


def _known(classes: str, names: list[str]) -> tuple[list[str], list[int]]:
    """Wanted classes and their columns."""
    lower = [name.lower() for name in names]
    wanted = [part.strip().lower() for part in classes.replace(".", ",").split(",") if part.strip()]
    if not wanted or wanted == ["all"]:
        return lower, list(range(len(lower)))
    unknown = [name for name in wanted if name not in lower]
    if unknown:
        raise StereoSyncError(
            f"Classes: this detector does not know {', '.join(unknown)}. It knows: {', '.join(names[:100])}; or write all."
        )
    return wanted, [lower.index(name) for name in wanted]
