"""From noise to depth latents, snippet by snippet; and the refinement of depth that was merged."""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from ...batches import Batches
from .model import RollingDepthModel
from .snippets import Snippets

#: The part of the noise schedule that the refinement leaves out.
SKIP = 0.5


def draw_noise(model: RollingDepthModel, height: int, width: int, seed: int) -> torch.Tensor:
    """The one Gaussian map ``[4, h, w]`` that all frames of all snippets start from, drawn on the CPU in single precision, so
    that a seed means the same on every machine."""
    noise = torch.randn((1, 4, height, width), generator=torch.Generator().manual_seed(seed))[0]
    return noise.to(model.compute_device, model.dtype)


def denoise_snippets(
    model: RollingDepthModel, rgb_latents: torch.Tensor, noise: torch.Tensor, snippets: Snippets, batches: Batches
) -> Iterator[torch.Tensor]:
    """Depth latents ``[B, L, 4, h, w]`` of the snippets, in order, a batch at a time, from ``noise [4, h, w]`` and the latents
    of the whole clip ``[N, 4, h, w]``, on any device."""
    indices, scheduler = snippets.indices(), model.ddim(snippets.steps)

    @torch.inference_mode()
    def work(part: slice) -> torch.Tensor:
        rgb = rgb_latents[indices[part]].to(model.compute_device)
        latents = noise.expand_as(rgb)
        for timestep in scheduler.timesteps:
            latents = scheduler.step(model.velocity(rgb, latents, timestep), timestep, latents).prev_sample
        return latents

    return (latents for _, latents in batches.run(work, snippets.count))


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
    """Refined depth latents ``[N, 4, h, w]``: half of the noise comes back and is removed in snippets that close up. In each
    step all are denoised from the same latents, and a frame's new latent is the mean over the snippets that contain it.

    :param rgb_latents: of the clip, ``[N, 4, h, w]``; ``depth_latents`` those of the merged depth.
    :param noise: the same map as before, ``[4, h, w]``.
    :param plan: snippets of each step, see :func:`.snippets.plan_refinement`.
    :param observe: called with the step's number and the latents that go into it.
    """
    scheduler, timesteps = refinement_schedule(model, len(plan))
    latents = scheduler.add_noise(depth_latents, noise.expand_as(depth_latents), timesteps[:1])
    total, done = sum(snippets.count for snippets in plan), 0
    for step, (snippets, timestep) in enumerate(zip(plan, timesteps, strict=True)):
        if observe is not None:
            observe(step, latents)
        indices = snippets.indices().to(latents.device)
        sums, counts = torch.zeros_like(latents), torch.zeros(len(latents), 1, 1, 1, device=latents.device)

        def work(part: slice, indices=indices, timestep=timestep, old=latents) -> torch.Tensor:
            rgb, depth = rgb_latents[indices[part]], old[indices[part]]
            return scheduler.step(model.velocity(rgb, depth, timestep), timestep, depth).prev_sample

        for part, denoised in batches.run(work, snippets.count):
            for slot in range(snippets.length):
                frames = slice(part.start + slot * snippets.dilation, part.stop + slot * snippets.dilation)
                sums[frames] += denoised[:, slot]
                counts[frames] += 1
            done += part.stop - part.start
            if progress is not None:
                progress(done, total)
        latents = sums / counts.to(sums.dtype)
    return latents
