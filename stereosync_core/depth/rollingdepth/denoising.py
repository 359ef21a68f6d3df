"""From noise to depth latents, snippet by snippet."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ...batches import Batches
from .model import RollingDepthModel
from .snippets import Snippets


def draw_noise(model: RollingDepthModel, height: int, width: int, seed: int) -> torch.Tensor:
    """The one Gaussian map ``[4, h, w]`` that all frames of all snippets start from.

    Drawn on the CPU in single precision, so that a seed means the same on every machine.
    """
    noise = torch.randn((1, 4, height, width), generator=torch.Generator().manual_seed(seed))[0]
    return noise.to(model.compute_device, model.dtype)


def denoise_snippets(
    model: RollingDepthModel, rgb_latents: torch.Tensor, noise: torch.Tensor, snippets: Snippets, batches: Batches
) -> Iterator[torch.Tensor]:
    """Depth latents ``[B, L, 4, h, w]`` of the snippets, in order, a batch at a time.

    :param rgb_latents: of the whole clip ``[N, 4, h, w]``, on any device.
    :param noise: ``[4, h, w]``.
    """
    indices, scheduler = snippets.indices(), model.ddim(snippets.steps)

    @torch.inference_mode()
    def work(part: slice) -> torch.Tensor:
        rgb = rgb_latents[indices[part]].to(model.compute_device)
        latents = noise.expand_as(rgb)
        for timestep in scheduler.timesteps:
            latents = scheduler.step(model.velocity(rgb, latents, timestep), timestep, latents).prev_sample
        return latents

    for _, latents in batches.run(work, snippets.count):
        yield latents
