"""Augmentation: conditions with the errors of estimators, so that a small tracker and a small depth network are good enough."""

from dataclasses import replace

import torch
from torch import Tensor

from stereosync_core.model.conditioning.features import SceneFeatures, map_tensors


class Chance:
    """Random numbers of a batch of ``count`` from one generator, on ``device``."""

    def __init__(self, generator: torch.Generator, count: int, device: torch.device):
        self.generator, self.count, self.device = generator, count, device

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand((self.count, *shape), generator=self.generator).to(self.device)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn((self.count, *shape), generator=self.generator).to(self.device)

    def happens(self, probability: float, *shape: int) -> Tensor:
        """Bool ``[count, *shape]``."""
        return self.uniform(*shape) < probability


def augment(scene: SceneFeatures, generator: torch.Generator) -> SceneFeatures:
    """Batched features as an estimator would give them: boxes seldom, jittered, of a wrong size and missed for a while; tracks
    dropped; maps blurred, shifted, of another scale, mirrored in depth, or missing. A quarter of the clips stay as they are: a
    good tracker shows the gait in the boxes, and it is worth knowing."""
    chance = Chance(generator, len(scene.boxes), scene.boxes.device)
    augmented = _augment_depth(_augment_boxes(scene, chance), chance)
    spared = chance.happens(0.25)

    def chosen(kept: Tensor, changed: Tensor) -> Tensor:
        return torch.where(spared.reshape(-1, *[1] * (kept.dim() - 1)), kept, changed)

    return map_tensors(chosen, scene, augmented)


def _augment_boxes(scene: SceneFeatures, chance: Chance) -> SceneFeatures:
    _, count, frames, sub = scene.seen.shape
    if not count:
        return scene
    boxes, seen = scene.boxes.flatten(2, 3), scene.seen.flatten(2, 3)  # [B, K, M, 4], [B, K, M]
    moments = frames * sub
    boxes = _seldom(boxes, seen, chance)
    centre, size = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    # a detector errs by a part of the box: steadily (a wrong size), slowly, and from look to look
    amount = chance.uniform(1, 1, 1, high=1.0)
    size = size * torch.exp(0.12 * amount * chance.normal(count, 1, 2))
    slow = torch.nn.functional.interpolate(chance.normal(count * 4, 12), size=moments, mode="linear").unflatten(1, (count, 4))
    fast = torch.nn.functional.interpolate(chance.normal(count * 4, max(2, moments // 8)), size=moments, mode="linear")
    wobble = (0.03 * slow + 0.02 * fast.unflatten(1, (count, 4))).transpose(-1, -2) * amount * chance.happens(0.7, 1, 1, 1)
    centre, size = centre + wobble[..., :2] * size, size * torch.exp(wobble[..., 2:])
    boxes = torch.cat([centre - size / 2, centre + size / 2], dim=-1)
    clock = torch.arange(moments, device=boxes.device)
    start = chance.uniform(count, 1) * moments
    missed = (clock >= start) & (clock < start + chance.uniform(count, 1, low=8, high=60)) & chance.happens(0.25, count, 1)
    seen = seen * ~missed * ~chance.happens(0.06, count, 1)
    return replace(scene, boxes=boxes.unflatten(2, (frames, sub)), seen=seen.unflatten(2, (frames, sub)))


def _seldom(boxes: Tensor, seen: Tensor, chance: Chance) -> Tensor:
    """Boxes looked at some ten times a second and drawn straight between; the picture's own rate for a third of the clips."""
    moments = boxes.shape[2]
    every = torch.tensor([6, 8, 12], device=boxes.device)[(chance.uniform(1) * 3).long()]
    whole = chance.happens(1 / 3, 1)
    clock = torch.arange(moments, device=boxes.device)
    left = clock // every * every
    right = (left + every).clamp(max=moments - 1)
    weight = ((clock - left) / (right - left).clamp(min=1))[:, None, :, None]

    def at(values: Tensor, places: Tensor) -> Tensor:
        shape = (-1, values.shape[1], -1, *values.shape[3:])
        return values.gather(2, places.reshape(len(places), 1, -1, *[1] * (values.dim() - 3)).expand(shape))

    straight = at(boxes, left) * (1 - weight) + at(boxes, right) * weight
    both = (at(seen, left) * at(seen, right) > 0) & ~whole[:, None]
    return torch.where(both[..., None], straight, boxes)


def _augment_depth(scene: SceneFeatures, chance: Chance) -> SceneFeatures:
    depth = scene.depth
    depth = depth * torch.exp(0.3 * chance.normal(1, 1, 1)) + 0.1 * chance.normal(1, 1, 1)
    blurred = torch.nn.functional.avg_pool2d(depth, 3, stride=1, padding=1, count_include_pad=False)
    depth = torch.where(chance.happens(0.3, 1, 1, 1), blurred, depth)
    rolled = torch.where(chance.happens(0.5, 1, 1, 1), depth.roll(1, dims=-1), depth.roll(-1, dims=-1))
    depth = torch.where(chance.happens(0.13, 1, 1, 1), rolled, depth)
    depth = torch.where(chance.happens(0.05, 1, 1, 1), 1 - depth, depth).clamp(0, 1)
    kept = scene.has_depth * ~chance.happens(0.15, 1)
    return replace(scene, depth=depth * kept[:, :, None, None], has_depth=kept)


def mirror(latents: Tensor, scene: SceneFeatures, which: Tensor) -> tuple[Tensor, SceneFeatures]:
    """Left and right exchanged in the clips ``which [B]`` (bool): channels of the latents, boxes and maps."""
    left, right = latents.chunk(2, dim=1)
    latents = torch.where(which[:, None, None], torch.cat([right, left], dim=1), latents)
    x0, y0, x1, y1 = scene.boxes.unbind(-1)
    turned = torch.stack([1 - x1, y0, 1 - x0, y1], dim=-1)
    boxes = torch.where(which[:, None, None, None, None], turned, scene.boxes)
    depth = torch.where(which[:, None, None, None], scene.depth.flip(-1), scene.depth)
    return latents, replace(scene, boxes=boxes, depth=depth)
