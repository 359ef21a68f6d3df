"""Refinement: the merged depth gets half of its noise back and is denoised again, in snippets that close up step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ...batches import Batches
from .model import RollingDepthModel
from .snippets import Snippets

#: The part of the noise schedule that is left out.
SKIP = 0.5


def refinement_schedule(model: RollingDepthModel, steps: int) -> tuple[Any, torch.Tensor]:
    """A DDIM scheduler of twice as many steps, and its last ``steps`` time steps, int64 ``[steps]``."""
    scheduler = model.ddim(int(steps / SKIP))
    return scheduler, scheduler.timesteps[-steps:]


@torch.inference_mode()
def refine(
    model: RollingDepthModel,
    rgb_latents: torch.Tensor,
    depth_latents: torch.Tensor,
    noise: torch.Tensor,
    plan: list[Snippets],
    batches: Batches,
    *,
    observe: Callable[[int, torch.Tensor], None] | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> torch.Tensor:
    """Refined depth latents ``[N, 4, h, w]``.

    In each step all snippets are denoised from the same latents, and a frame's new latent is the mean over the snippets that
    contain it.

    :param rgb_latents: of the clip, ``[N, 4, h, w]``.
    :param depth_latents: of the merged depth, ``[N, 4, h, w]``.
    :param noise: the same map as before, ``[4, h, w]``.
    :param plan: snippets of each step, see :func:`.snippets.plan_refinement`.
    :param observe: called with the step's number and the latents that go into it.
    """
    scheduler, timesteps = refinement_schedule(model, len(plan))
    noise = noise.expand_as(depth_latents)
    latents = scheduler.add_noise(depth_latents, noise, timesteps[:1])
    total, done = sum(snippets.count for snippets in plan), 0
    for step, (snippets, timestep) in enumerate(zip(plan, timesteps, strict=True)):
        if observe is not None:
            observe(step, latents)
        indices = snippets.indices().to(latents.device)
        sums, counts = torch.zeros_like(latents), torch.zeros(len(latents), 1, 1, 1, device=latents.device)

        def work(part: slice, indices=indices, timestep=timestep, old=latents) -> torch.Tensor:
            chosen = indices[part]
            rgb, depth = rgb_latents[chosen], old[chosen]
            return scheduler.step(model.velocity(rgb, depth, timestep), timestep, depth).prev_sample

        for part, denoised in batches.run(work, snippets.count):
            first = part.start
            for slot in range(snippets.length):
                frames = slice(first + slot * snippets.dilation, part.stop + slot * snippets.dilation)
                sums[frames] += denoised[:, slot]
                counts[frames] += 1
            done += part.stop - part.start
            if progress is not None:
                progress(done, total)
        latents = sums / counts.to(sums.dtype)
    return latents
