"""One measurement of :mod:`.depth` in a process of its own; prints JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stereosync_core.batches import Batches
from stereosync_core.depth.rollingdepth.alignment import (
    FAST_ALIGNMENT,
    RELEASED_ALIGNMENT,
    AlignmentOptions,
    alignment_points,
    co_align,
)
from stereosync_core.depth.rollingdepth.denoising import denoise_snippets, draw_noise
from stereosync_core.depth.rollingdepth.loader import load_rollingdepth
from stereosync_core.depth.rollingdepth.merging import normalize
from stereosync_core.depth.rollingdepth.model import RollingDepthModel, prepare_frame
from stereosync_core.depth.rollingdepth.pipeline import estimate, estimate_with_rollingdepth
from stereosync_core.depth.rollingdepth.presets import RollingDepthSettings
from stereosync_core.depth.rollingdepth.refinement import refine
from stereosync_core.depth.rollingdepth.snippets import Snippets, plan_refinement, plan_snippets

from .memory import peak_mib

SETTINGS = {"fast": RollingDepthSettings(0), "full": RollingDepthSettings(0, (1, 10, 25), refine_steps=10)}
FRAMES = 25


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds and result: with one thread the time on the clock, but for what else the machine does."""
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def imports() -> dict[str, Any]:
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel

    return {"mib": peak_mib(), "used": [kind.__name__ for kind in (AutoencoderKL, DDIMScheduler, UNet2DConditionModel)]}


def clip(folder: str, path: str, count: str) -> dict[str, Any]:
    """Time and memory for the first frames of a clip, streamed."""
    model = load_rollingdepth(folder)
    warm_up(model)
    rate = 10.0
    seconds, depth = timed(lambda: estimate_with_rollingdepth(path, model, SETTINGS["fast"], rate=rate))
    # the clip is up to a second longer, so that its rate is a whole number
    return {"seconds": seconds * int(count) / len(depth.times), "mib": peak_mib()}


def compare(folder: str, settings: str, height: str, width: str) -> dict[str, Any]:
    """Seconds of ours and of the released order of work on the same pictures."""
    model, chosen, shape = load_rollingdepth(folder), SETTINGS[settings], (int(height), int(width))
    warm_up(model)
    noise = np.random.default_rng(0).integers(0, 255, (FRAMES, *shape, 3), dtype=np.uint8)
    images = [prepare_frame(torch.from_numpy(image), 0) for image in noise]

    def ours(options: AlignmentOptions) -> torch.Tensor:
        return estimate(images, torch.empty(FRAMES, *shape), model, chosen, alignment=options)

    result: dict[str, Any] = {}
    result["ours"], depth = timed(lambda: ours(RELEASED_ALIGNMENT))
    result["ours_fast_alignment"], _ = timed(lambda: ours(FAST_ALIGNMENT))
    result["as_released"], (theirs, values, snippets) = timed(lambda: as_released(images, model, chosen))
    assert float((depth - theirs).abs().max()) < 0.02, "the two ways must give the same depth"
    result["alignment_as_released"], _ = timed(lambda: dense_alignment(values, snippets))
    plan = plan_snippets(chosen, FRAMES)
    result["alignment_ours"], _ = timed(lambda: co_align(values[: len(plan)], plan))
    return result


def warm_up(model: RollingDepthModel) -> None:
    estimate([torch.zeros(3, 48, 80)] * 3, torch.empty(3, 48, 80), model, SETTINGS["fast"], alignment=FAST_ALIGNMENT)


def as_released(
    images: list[torch.Tensor], model: RollingDepthModel, settings: RollingDepthSettings
) -> tuple[torch.Tensor, list[torch.Tensor], list[Snippets]]:
    """Depth, the alignment's input and its passes; one snippet at a time, all dilations of the settings."""
    rgb = torch.cat([model.encode(part) for part in torch.stack(images).split(4)])
    noise = draw_noise(model, rgb.shape[-2], rgb.shape[-1], 0)
    snippets = [one for group in plan_snippets(settings, len(images)) for one in [group] * group.repeats]
    depths = []
    for group in snippets:
        latents = torch.cat(list(denoise_snippets(model, rgb, noise, group, Batches(1, "snippets"))))
        maps = torch.cat([model.decode(part) for part in latents.flatten(0, 1).split(4)])
        depths.append(maps.unflatten(0, latents.shape[:2]))
    minimum = torch.stack([depth.min() for depth in depths]).min()
    depths = [depth - minimum for depth in depths]
    values = [alignment_points(depth, RELEASED_ALIGNMENT).clone() for depth in depths]
    merged, counts = torch.zeros(len(images), *depths[0].shape[-2:]), torch.zeros(len(images), 1, 1)
    for depth, group, (scales, shifts) in zip(depths, snippets, dense_alignment(values, snippets), strict=True):
        for slot in range(group.length):
            merged[group.span(slot)] += depth[:, slot] * scales[:, None, None] + shifts[:, None, None]
            counts[group.span(slot)] += 1
    merged = normalize(merged / counts)
    refinement = plan_refinement(settings, len(images))
    if refinement:
        grey = merged[:, None].expand(-1, 3, -1, -1)
        latents = torch.cat([model.encode(part) for part in grey.split(4)])
        latents = refine(model, rgb, latents, noise, refinement, Batches(1, "snippets"))
        merged = torch.cat([model.decode(part) for part in latents.split(4)])
    return merged, values, snippets


def dense_alignment(values: list[torch.Tensor], snippets: list[Snippets]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The alignment as the specification states it: rows x frames x points, autograd, torch's Adam."""
    options, frame_count = RELEASED_ALIGNMENT, snippets[0].frame_count
    values = [value.flatten(2).clone() for value in values]
    rows, points = sum(group.length for group in snippets), values[0].shape[-1]
    scales = [torch.ones(group.count, 1, requires_grad=True) for group in snippets]
    shifts = [torch.zeros(group.count, 1, requires_grad=True) for group in snippets]
    covered = torch.zeros(rows, frame_count, 1)
    row = 0
    for group in snippets:
        for slot in range(group.length):
            covered[row, group.span(slot)] = 1
            row += 1
    optimizer = torch.optim.Adam(scales + shifts, lr=options.rate, betas=(0.5, 0.9))
    for _ in range(options.iterations):
        depth, inverse = torch.zeros(rows, frame_count, points), torch.zeros(rows, frame_count, points)
        row = 0
        for value, group, scale, shift in zip(values, snippets, scales, shifts, strict=True):
            for slot in range(group.length):
                aligned = value[:, slot] * scale + shift
                depth[row, group.span(slot)] = aligned
                inverse[row, group.span(slot)] = 1 / aligned.clamp(min=options.floor)
                row += 1
        loss = torch.zeros(())
        for predicted in (depth, inverse):
            target = (predicted.sum(dim=0) / covered.sum(dim=0)).detach()
            norm = target.abs().mean(dim=-1, keepdim=True)
            loss = loss + ((predicted - target) * covered / norm).abs().mean()
        for scale, shift in zip(scales, shifts, strict=True):
            loss = loss + options.scale_weight * (1 - scale).clamp(min=0).square().mean()
            loss = loss + options.shift_weight * shift.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [(scale.detach()[:, 0], shift.detach()[:, 0]) for scale, shift in zip(scales, shifts, strict=True)]


def full_size(folder: str, dtype: str, width: str, height: str) -> dict[str, Any]:
    """Loads a folder of the released size and runs one snippet through it."""
    precision = getattr(torch, dtype)
    before = peak_mib()
    loading, model = timed(lambda: load_rollingdepth(Path(folder), precision))
    loaded = peak_mib()
    image = torch.zeros(3, int(height), int(width))
    latents = model.encode(image[None]).expand(3, -1, -1, -1)
    noise = draw_noise(model, latents.shape[-2], latents.shape[-1], 0)
    snippets = Snippets(1, 3, 3)
    seconds, depth_latents = timed(lambda: next(denoise_snippets(model, latents, noise, snippets, Batches(1, "snippets"))))
    decoding, maps = timed(lambda: model.decode(depth_latents[0, :1]))
    assert torch.isfinite(maps).all()
    return {
        "parameters_m": round(sum(parameter.numel() for parameter in model.parameters()) / 1e6, 1),
        "weights_mib": round(sum(p.numel() * p.element_size() for p in model.parameters()) / 2**20),
        "loading_s": round(loading, 1),
        "before_mib": before,
        "loaded_mib": loaded,
        "snippet_s": round(seconds, 1),
        "decode_one_s": round(decoding, 1),
        "peak_mib": peak_mib(),
    }


if __name__ == "__main__":
    kinds = {"imports": imports, "clip": clip, "compare": compare, "full_size": full_size}
    torch.set_num_threads(1)
    print(json.dumps(kinds[sys.argv[1]](*sys.argv[2:])))
