"""Parts of a sound are made anew, the rest stays: masked denoising, which needs nothing of the network (in the manner of
Lugmayr et al., "RePaint", 2022, without its resampling), and the samples that stay put back as they were."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .objectives import alpha_sigma, predict_x0
from .samplers import Velocity
from .stretches import Stretch

#: Seconds of the fade from what stays to what is new, in the stretch that is new.
CROSSFADE = 0.03


def kept_frames(keep: Sequence[Stretch], frames: int, latent_rate: float) -> Tensor:
    """Whether a latent frame stays ``[frames]``, bool: each that lies in a stretch from its beginning to its end."""
    starts = np.arange(frames) / latent_rate
    kept = np.zeros(frames, dtype=bool)
    for start, stop in keep:
        kept |= (starts >= start - 1e-6) & (starts + 1 / latent_rate <= stop + 1e-6)
    return torch.from_numpy(kept)


def with_kept(velocity: Velocity, source: Tensor, kept: Tensor, objective: str) -> Velocity:
    """A velocity whose predicted x0 is the ``source [1, C, T]`` where it is ``kept [T]``. The latents there are then the source
    under as much noise as everywhere, whatever the sampler, and come out as the source itself."""

    def masked(x: Tensor, t: float) -> Tensor:
        predicted = velocity(x, t)
        sigma = float(alpha_sigma(t, objective)[1])
        denoised = predict_x0(x, predicted, x.new_full((len(x),), t), objective)
        return predicted + torch.where(kept.to(x.device), (denoised - source.to(x)) / sigma, torch.zeros_like(x))

    return masked


def pasted(made: np.ndarray, source: np.ndarray, keep: Sequence[Stretch], rate: int) -> np.ndarray:
    """Samples ``[2, N]`` that are the source's where they stay, and fade into what was made over :data:`CROSSFADE` beyond
    that."""
    length = made.shape[1]
    edges = [(round(start * rate), min(round(stop * rate), length)) for start, stop in keep]
    bounds = [(0, 0), *edges, (length, length)]
    share = np.zeros(length)
    for (_, before), (start, stop), (after, _) in zip(bounds, edges, bounds[2:], strict=False):
        share[start:stop] = 1
        for free, first, step in ((start - before, start - 1, -1), (after - stop, stop, 1)):
            count = min(round(CROSSFADE * rate), free // 2)  # two fades meet in the middle at most
            share[first + step * np.arange(count)] = 1 - np.arange(1, count + 1) / (count + 1)
    result = made.copy()
    result[:, share == 1] = source[:, share == 1]
    mixed = (share > 0) & (share < 1)
    old, new, weight = source[:, mixed], made[:, mixed], share[mixed]
    # as loud as both are, whether they agree, as a source and its round trip do, or are as foreign as two noises
    alike = np.clip((old * new).sum() / max(float(np.sqrt((old**2).sum() * (new**2).sum())), 1e-12), 0, 1)
    loudness = np.sqrt(weight**2 + (1 - weight) ** 2 + 2 * alike * weight * (1 - weight))
    result[:, mixed] = (weight * old + (1 - weight) * new) / loudness
    return result.astype(np.float32)
