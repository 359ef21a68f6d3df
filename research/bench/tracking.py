"""MASA: time of a 1080p frame by stage, its deformable convolution against torchvision's, and memory over a clip's length.

Keys: ``embed_ms`` - the whole embedding step of one frame with boxes on all four levels, random weights, the best of several
turns; ``prepare_ms`` to ``head_ms`` - its stages; ``embed_vs_torchvision`` - the released step (torchvision's deformable
convolution, all levels, offsets and masks) over ours, turn and turn about; ``embed_vs_torchvision_one_level`` - the same with
boxes on one level alone, as in most clips; ``embed_vs_operator`` - as the first, but with the operator exchanged and nothing
else changed; ``max_difference`` - largest difference of the embeddings; ``detect_ms`` - the bundled detector; ``track_ms`` -
association of 20 boxes; ``peak_mib_short`` and ``peak_mib_long`` - peak resident memory of a process that tracks a generated
1080p clip of 10 s and of 60 s, 2 frames a second.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from stereosync_core.tracking.masa import deformable
from stereosync_core.tracking.masa.loader import build_masa
from stereosync_core.tracking.masa.model import LONG_SIDE, FusionBlock, Masa, _rois, prepare, roi_features
from stereosync_core.tracking.masa.pipeline import track_with_masa
from stereosync_core.tracking.masa.tracker import TaoTracker
from stereosync_core.tracking.nanodet import NanoDetDetector

from .path import make_clip, repeat_clip
from .process import peak_mib, run_child, seconds_of

THREADS = 2
TURNS = 5


def measure(quick: bool = False) -> dict[str, Any]:
    """Run all of it, about three minutes on two cores; ``quick`` leaves out the long clip."""
    threads = torch.get_num_threads()
    torch.set_num_threads(min(THREADS, threads))
    try:
        figures = {"threads": torch.get_num_threads(), **embedding(), **others()}
    finally:
        torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_clip(folder / "short.mp4", seconds=10)
        figures["peak_mib_short"] = run_child(track, folder / "short.mp4")
        if not quick:
            repeat_clip(folder / "short.mp4", folder / "long.mp4", 6)
            figures["peak_mib_long"] = run_child(track, folder / "long.mp4")
            figures["peak_long_vs_short"] = round(figures["peak_mib_long"] / figures["peak_mib_short"], 3)
    return figures


def random_model() -> Masa:
    """The network with weights of the size that trained ones have."""
    torch.manual_seed(0)
    model = Masa()
    for name, value in model.state_dict().items():
        if value.dim() > 1 and "running" not in name:
            value.normal_(0, value[0].numel() ** -0.5)
    return build_masa(model.state_dict())


@torch.inference_mode()
def embedding() -> dict[str, Any]:
    """The embedding step of one frame, by stage and against torchvision's operator."""
    model = random_model()
    frame = np.random.default_rng(0).integers(0, 255, (1080, 1920, 3), dtype=np.uint8)
    boxes = np.array([[100, 100, 100 + side, 100 + side] for side in (60, 100, 250, 300, 600, 900)], dtype=np.float64)
    few = boxes[2:4]
    pixels, scale = prepare(frame[None], LONG_SIDE)
    pyramid, fusion = model.masa_adapter
    stages = model.backbone(pixels)
    levels = pyramid(stages)
    fused, rois = fusion(levels, range(4)), _rois(boxes, scale, 0)
    works: dict[str, Callable[[], Any]] = {
        "ours": lambda: model.embed([frame], [boxes])[0],
        "ours_few": lambda: model.embed([frame], [few]),
        "operator": lambda: with_operator(lambda: model.embed([frame], [boxes])),
        "released": lambda: released(model, frame, boxes),
        "released_few": lambda: released(model, frame, few),
    }
    took = [{name: 1000 * seconds_of(work) for name, work in works.items()} for _ in range(TURNS)]
    least = {name: min(turn[name] for turn in took) for name in works}
    return {
        "embed_ms": round(least["ours"], 1),
        "embed_vs_torchvision": round(least["released"] / least["ours"], 2),
        "embed_vs_torchvision_one_level": round(least["released_few"] / least["ours_few"], 2),
        "embed_vs_operator": round(least["operator"] / least["ours"], 2),
        "max_difference": float(np.abs(works["ours"]() - works["released"]()).max()),
        "prepare_ms": best(lambda: prepare(frame[None], LONG_SIDE)),
        "backbone_ms": best(lambda: model.backbone(pixels)),
        "pyramid_ms": best(lambda: pyramid(stages)),
        "fusion_ms": best(lambda: fusion(levels, range(4))),
        "head_ms": best(lambda: model.track_head(roi_features(fused[:4], rois))),
        "embed_one_level_ms": round(least["ours_few"], 1),
    }


def with_operator(work: Callable[[], Any]) -> Any:
    """What ``work`` gives with torchvision's deformable convolution in place of ours."""
    with patch.object(deformable, "EMBEDDING_BAG_ON_CPU", False):
        return work()


def released(model: Masa, frame: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The embeddings as released: every level, all 81 channels of offsets and masks, torchvision's operator."""

    def maps(block, x, sizes):
        whole = block.spatial_conv_offset(x)
        result = {}
        for branch, (height, width) in sizes.items():
            parts = [whole[:, start : start + count].flatten(1) for start, count in zip(branch, (18, 9), strict=True)]
            offset, mask = (part[:, : part.shape[1] // (x.shape[2] * x.shape[3]) * height * width] for part in parts)
            result[branch] = offset.view(-1, 18, height, width), mask.view(-1, 9, height, width)
        return result

    def embed() -> np.ndarray:
        pixels, scale = prepare(frame[None], LONG_SIDE)
        pyramid, fusion = model.masa_adapter
        levels = pyramid(model.backbone(pixels))
        for block in fusion.dyhead_blocks:
            levels = block(levels, range(len(levels)))
        return model.track_head(roi_features(levels[:4], _rois(boxes, scale, 0))).numpy()

    with patch.object(FusionBlock, "sampling_maps", maps):
        return with_operator(embed)


def others() -> dict[str, Any]:
    """What else a frame takes."""
    frame = np.random.default_rng(0).integers(0, 255, (1080, 1920, 3), dtype=np.uint8)
    detector = NanoDetDetector("person")
    rng = np.random.default_rng(1)
    corner = rng.uniform(0, 800, (20, 2))
    boxes, looks = np.concatenate([corner, corner + 90], axis=1), rng.standard_normal((20, 256)).astype(np.float32)
    tracker, now = TaoTracker(), iter(np.arange(1000) / 10)
    return {
        "detect_ms": best(lambda: detector.detect([0.0], [frame])),
        "track_ms": best(lambda: tracker.update(next(now), boxes, None, ["a"] * 20, looks)),
    }


def best(work: Callable[[], Any]) -> float:
    """The least of several turns: others on the machine only ever add time."""
    return round(1000 * min(seconds_of(work) for _ in range(TURNS)), 1)


def track(clip: str) -> float:
    """Peak resident memory in MiB of this process once it has tracked a clip."""
    track_with_masa(clip, random_model(), rate=2.0, long_side=512)
    return peak_mib()
