"""The bundled detector NanoDet-g, and the tracker that goes with it: association by motion, clean-up, all of it streamed.

Li, "NanoDet" (Apache-2.0): an anchor-free one-stage detector with a small cross-stage-partial backbone, 3.8 M parameters, 80
COCO classes; boxes as distributions after Li et al., "Generalized Focal Loss", NeurIPS 2020. Batch norms are folded into the
convolutions of the bundled weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights
from torchvision.ops import batched_nms

from ..assets import load_weights
from ..batches import batched, prefetched
from ..errors import StereoSyncError
from ..media.camera import CameraFinder
from ..media.shots import CutFinder
from ..media.source import Source, as_clip
from ..media.video import frames, probe
from ..scene import Tracks
from .closer import MotionMap, moves
from .detections import Detections, parse_classes, suppress_overlaps
from .tracklets import Associator, check_rate, refine

#: COCO's, without the eleven that its pictures lack.
CLASSES = [name for name in FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"][1:] if name != "N/A"]
#: Mean and deviation of the input's blue, green and red, in 0..255.
MEAN, DEVIATION = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
STRIDES = (8, 16, 32)
#: A side of a box is a distribution over 0..10 strides.
BINS = 11
WIDTH = 128
#: Boxes of a class that overlap more than this are one object.
OVERLAP = 0.6
#: Scores below this are noise even for an object that is already tracked.
FLOOR = 0.08
MOST_BOXES = 200
#: Score from which a box hides the surroundings.
_SOMETHING = 0.2
#: Frames at a time of a clip.
BATCH = 4
#: Pixels of the picture's long side, and of the part of it that is given to the detector, where it looks closer.
CLOSER, CLOSER_PIXELS = 1280, 320_000


def _conv(channels: int, out_channels: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out_channels, kernel, stride, kernel // 2)


def _activate(x: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu(x, 0.1)


class PartialStage(nn.Module):
    """A cross-stage-partial block: ``depth`` pairs of half-width convolutions, joined with the stage's own input."""

    def __init__(self, channels: int, out_channels: int, stride: int, depth: int):
        super().__init__()
        half = out_channels // 2
        self.enter = _conv(channels, out_channels, stride=stride)
        self.first = nn.ModuleList(_conv(out_channels, half) for _ in range(depth))
        self.second = nn.ModuleList(_conv(half, half) for _ in range(depth))
        self.leave = _conv(out_channels, out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        entered = x = _activate(self.enter(x))
        for first, second in zip(self.first, self.second, strict=True):
            head = _activate(first(x))
            x = torch.cat([_activate(second(head)), head], dim=1)
        return torch.cat([_activate(self.leave(x)), entered], dim=1)


class NanoDet(nn.Module):
    """Normalised blue-green-red ``[B, 3, H, W]``, sides divisible by 32 -> scores and boxes of every anchor point.

    :returns: scores ``[B, P, 80]`` in 0..1 and boxes ``[B, P, 4]`` as x0, y0, x1, y1 in pixels of the input.
    """

    def __init__(self):
        super().__init__()
        self.stem = _conv(3, 32, stride=2)
        self.stages = nn.ModuleList(
            [PartialStage(32, 32, 1, 1), PartialStage(64, 64, 2, 2), PartialStage(128, 128, 2, 2), PartialStage(256, 256, 2, 3)]
        )
        self.laterals = nn.ModuleList(_conv(channels, WIDTH, kernel=1) for channels in (128, 256, 512))
        self.towers = nn.ModuleList(_conv(WIDTH, WIDTH) for _ in STRIDES)
        self.outputs = nn.ModuleList(_conv(WIDTH, len(CLASSES) + 4 * BINS, kernel=1) for _ in STRIDES)

    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The path-aggregation pyramid at strides 8, 16 and 32."""
        x = F.max_pool2d(_activate(self.stem(x)), 3, 2, 1)
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        fine, middle, coarse = (lateral(level) for lateral, level in zip(self.laterals, levels[1:], strict=True))
        middle = middle + _resize(coarse, middle)
        fine = fine + _resize(middle, fine)
        middle = middle + _resize(fine, middle)
        coarse = coarse + _resize(middle, coarse)
        return [fine, middle, coarse]

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scores, boxes = [], []
        for feature, tower, output, stride in zip(self.features(x), self.towers, self.outputs, STRIDES, strict=True):
            rows, columns = feature.shape[-2:]
            raw = output(_activate(tower(feature))).flatten(2).transpose(1, 2)
            scores.append(raw[..., : len(CLASSES)].sigmoid())
            bins = raw[..., len(CLASSES) :].unflatten(-1, (4, BINS)).softmax(-1)
            reach = bins @ torch.arange(BINS).to(raw) * stride
            centre = (torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).flip(-1).to(raw) + 0.5) * stride
            boxes.append(torch.cat([centre - reach[..., :2], centre + reach[..., 2:]], dim=-1))
        return torch.cat(scores, dim=1), torch.cat(boxes, dim=1)


def _resize(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


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

    :param classes: COCO names separated by commas or full stops, or ``all`` (see :data:`CLASSES`).
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


def _look_closer(
    source: Source, detector: NanoDetDetector, associator: Associator, region: np.ndarray, rate: float, camera: list, progress
) -> None:
    """Detections in a part of the picture alone, at up to :data:`CLOSER` pixels, in the coordinates of the whole.

    :param camera: its motion at each of the frames.
    """
    info, steps = probe(source), iter(camera)
    for batch in batched(frames(source, rate=rate, max_side=CLOSER), BATCH):
        height, width = batch[0][1].shape[:2]
        left, top, right, bottom = (round(value) for value in region * [width, height, width, height])
        scale = min(3.0, (CLOSER_PIXELS / max((right - left) * (bottom - top), 1)) ** 0.5)
        across, down = input_size(right - left, bottom - top, round(scale * max(right - left, bottom - top)))
        pixels = detector._pixels([picture[top:bottom, left:right] for _, picture in batch]).float()
        pixels = F.interpolate(pixels, size=(down, across), mode="bilinear", antialias=True).round().clamp(0, 255)
        for (time, _), found in zip(batch, detector._detect(pixels), strict=True):
            boxes = found.boxes * np.tile(region[2:] - region[:2], 2) + np.tile(region[:2], 2)
            associator.add(time, replace(found, boxes=boxes), next(steps, None))
        if progress is not None:
            progress(batch[-1][0], info.duration)


def track_with_nanodet(
    source: Source,
    network: NanoDet | None = None,
    *,
    classes: str = "person",
    threshold: float = 0.35,
    rate: float = 10.0,
    long_side: int = 416,
    max_tracks: int = 1,
    progress: Callable[[float, float], None] | None = None,
    **clean: Any,
) -> Tracks:
    """Follow people or things through a clip; ``rate``, ``max_tracks`` and ``progress`` as in :class:`registry.Tracker`.

    :param network: the detector's network on the device of choice; the bundled weights on the CPU when left out.
    :param classes: COCO class names separated by commas, or ``all``.
    :param threshold: score from which a box may begin a track (0..1); weaker boxes only carry a track on.
    :param long_side: pixels of the long side of the detector's input; more finds smaller things and takes longer.
    :param clean: ``fill_gaps``, ``smoothing`` and ``min_seconds`` of :func:`refine`.
    :raises StereoSyncError: unreadable clip, unknown class, numbers out of range.
    """
    if not 0 < threshold < 1:
        raise StereoSyncError(f"Score threshold: {threshold} is outside 0..1; 0.35 is a good start.")
    check_rate(rate)
    source = as_clip(source)
    info = probe(source)
    detector, associator, finder = NanoDetDetector(classes, network), Associator(threshold), CutFinder()
    size = input_size(info.width, info.height, long_side)
    motion, camera = MotionMap(), CameraFinder(info.width / info.height)
    for batch in batched(prefetched(frames(source, rate=rate, size=size)), BATCH):
        for (time, picture), found in zip(batch, detector.detect_resized([picture for _, picture in batch]), strict=True):
            associator.add(time, found, camera.add(time, picture, found.boxes[found.scores >= _SOMETHING]))
            finder.add(time, picture)
            motion.add(picture)
        if progress is not None:
            progress(batch[-1][0], info.duration)
    tracklets = associator.tracklets
    region = motion.region(tracklets)
    if region is not None:  # what moves is too small for the detector, or is none of its classes
        closer = Associator(threshold)
        _look_closer(source, detector, closer, region, rate, camera.steps, progress)
        tracklets = tracklets + [replace(one, id=one.id + len(tracklets)) for one in closer.tracklets if moves(one)]
    if progress is not None:
        progress(info.duration, info.duration)
    cuts = finder.cuts(source)
    clean |= {"max_tracks": max_tracks, "aspect": info.width / info.height, "cuts": cuts, "camera": camera.motion(cuts)}
    return refine(tracklets, info.duration, spacing=1.0 / rate, **clean)
