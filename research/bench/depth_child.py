"""What :mod:`.depth` and :mod:`.depth_full_size` measure, each in a process of its own."""

import time
from collections.abc import Callable, Sequence
from itertools import accumulate
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
    normalize,
)
from stereosync_core.depth.rollingdepth.denoising import denoise_snippets, draw_noise, refine
from stereosync_core.depth.rollingdepth.loader import load_rollingdepth
from stereosync_core.depth.rollingdepth.model import RollingDepthModel, prepare_frame
from stereosync_core.depth.rollingdepth.pipeline import estimate, estimate_with_rollingdepth
from stereosync_core.depth.rollingdepth.snippets import RollingDepthSettings, Snippets, plan_refinement, plan_snippets

from .process import peak_mib

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


def clip(folder: str, path: str, count: int) -> dict[str, Any]:
    """Time and memory for the first frames of a clip, streamed."""
    model = load_rollingdepth(folder)
    warm_up(model)
    seconds, depth = timed(lambda: estimate_with_rollingdepth(path, model, SETTINGS["fast"], rate=10))
    # the clip is up to a second longer, so that its rate is a whole number
    return {"seconds": seconds * count / len(depth.times), "mib": peak_mib()}


def compare(folder: str, settings: str, height: int, width: int) -> dict[str, Any]:
    """Seconds of ours and of the released order of work on the same pictures."""
    model, chosen, shape = load_rollingdepth(folder), SETTINGS[settings], (height, width)
    warm_up(model)
    noise = np.random.default_rng(0).integers(0, 255, (FRAMES, *shape, 3), dtype=np.uint8)
    images = [prepare_frame(torch.from_numpy(image), 0) for image in noise]

    ours, depth = timed(lambda: estimate(images, torch.empty(FRAMES, *shape), model, chosen))
    fast, _ = timed(lambda: estimate(images, torch.empty(FRAMES, *shape), model, chosen, alignment=FAST_ALIGNMENT))
    released, (theirs, values, snippets) = timed(lambda: as_released(images, model, chosen))
    assert float((depth - theirs).abs().max()) < 0.02, "the two ways must give the same depth"
    plan = plan_snippets(chosen, FRAMES)
    return {
        "ours": ours,
        "ours_fast_alignment": fast,
        "as_released": released,
        "alignment_as_released": timed(lambda: dense_alignment(values, snippets))[0],
        "alignment_ours": timed(lambda: co_align(values[: len(plan)], plan))[0],
    }


def warm_up(model: RollingDepthModel) -> None:
    estimate([torch.zeros(3, 48, 80)] * 3, torch.empty(3, 48, 80), model, SETTINGS["fast"], alignment=FAST_ALIGNMENT)


def in_fours(network: Callable[[torch.Tensor], torch.Tensor], batch: torch.Tensor) -> torch.Tensor:
    return torch.cat([network(part) for part in batch.split(4)])


def as_released(
    images: list[torch.Tensor], model: RollingDepthModel, settings: RollingDepthSettings
) -> tuple[torch.Tensor, list[torch.Tensor], list[Snippets]]:
    """Depth, the alignment's input and its passes; one snippet at a time, all dilations of the settings."""
    rgb = in_fours(model.encode, torch.stack(images))
    noise = draw_noise(model, rgb.shape[-2], rgb.shape[-1], 0)
    snippets = [one for group in plan_snippets(settings, len(images)) for one in [group] * group.repeats]
    depths = []
    for group in snippets:
        latents = torch.cat(list(denoise_snippets(model, rgb, noise, group, Batches(1, "snippets"))))
        depths.append(in_fours(model.decode, latents.flatten(0, 1)).unflatten(0, latents.shape[:2]))
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
        latents = in_fours(model.encode, merged[:, None].expand(-1, 3, -1, -1))
        merged = in_fours(model.decode, refine(model, rgb, latents, noise, refinement, Batches(1, "snippets")))
    return merged, values, snippets


def dense_alignment(values: list[torch.Tensor], snippets: list[Snippets]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Scales and shifts ``[K]`` of each pass by autograd and torch's Adam."""
    options = RELEASED_ALIGNMENT
    loss = stated_objective(values, snippets, options)
    scales = [torch.ones(group.count, requires_grad=True) for group in snippets]
    shifts = [torch.zeros(group.count, requires_grad=True) for group in snippets]
    optimizer = torch.optim.Adam(scales + shifts, lr=options.rate, betas=(0.5, 0.9))
    for _ in range(options.iterations):
        optimizer.zero_grad()
        loss(scales, shifts).backward()
        optimizer.step()
    return [(scale.detach(), shift.detach()) for scale, shift in zip(scales, shifts, strict=True)]


def stated_objective(
    values: Sequence[torch.Tensor], snippets: Sequence[Snippets], options: AlignmentOptions
) -> Callable[[Sequence[torch.Tensor], Sequence[torch.Tensor]], torch.Tensor]:
    """The alignment's loss of scales and shifts ``[K]`` of each pass, as it is specified: rows x frames x points.

    :param values: depth ``[K, L, ...]`` of each pass at the alignment's points.
    """
    values = [value.flatten(2).clone() for value in values]
    starts = list(accumulate((group.length for group in snippets), initial=0))
    slots = [(k, slot, starts[k] + slot, group.span(slot)) for k, group in enumerate(snippets) for slot in range(group.length)]
    shape = (len(slots), snippets[0].frame_count, values[0].shape[-1])
    covered = torch.zeros(*shape[:2], 1)
    for _, _, row, frames in slots:
        covered[row, frames] = 1

    def loss(scales: Sequence[torch.Tensor], shifts: Sequence[torch.Tensor]) -> torch.Tensor:
        depth, inverse = torch.zeros(shape), torch.zeros(shape)
        for k, slot, row, frames in slots:
            aligned = values[k][:, slot] * scales[k][:, None] + shifts[k][:, None]
            depth[row, frames] = aligned
            inverse[row, frames] = 1 / aligned.clamp(min=options.floor)
        total = torch.zeros(())
        for predicted in (depth, inverse):
            target = (predicted.sum(dim=0) / covered.sum(dim=0)).detach()
            norm = target.abs().mean(dim=-1, keepdim=True)
            total = total + ((predicted - target) * covered / norm).abs().mean()
        for scale, shift in zip(scales, shifts, strict=True):
            total = total + options.scale_weight * (1 - scale).clamp(min=0).square().mean()
            total = total + options.shift_weight * shift.square().mean()
        return total

    return loss


def full_size(folder: str, dtype: str, width: int, height: int) -> dict[str, Any]:
    """Loads a folder of the released size and runs one snippet through it."""
    before = peak_mib()
    loading, model = timed(lambda: load_rollingdepth(folder, getattr(torch, dtype)))
    loaded = peak_mib()
    latents = model.encode(torch.zeros(1, 3, height, width)).expand(3, -1, -1, -1)
    noise = draw_noise(model, latents.shape[-2], latents.shape[-1], 0)
    snippet = denoise_snippets(model, latents, noise, Snippets(1, 3, 3), Batches(1, "snippets"))
    seconds, depth_latents = timed(lambda: next(snippet))
    decoding, maps = timed(lambda: model.decode(depth_latents[0, :1]))
    assert torch.isfinite(maps).all()
    return {
        "parameters_m": round(sum(p.numel() for p in model.parameters()) / 1e6, 1),
        "weights_mib": round(sum(p.numel() * p.element_size() for p in model.parameters()) / 2**20),
        "loading_s": round(loading, 1),
        "before_mib": before,
        "loaded_mib": loaded,
        "snippet_s": round(seconds, 1),
        "decode_one_s": round(decoding, 1),
        "peak_mib": peak_mib(),
    }
