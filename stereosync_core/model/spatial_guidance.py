"""Training-free spatial guidance (docs/spatial_guidance.md): a stereo latent diffusion model that was trained without places
puts its sound where the scene is. At each step the levels of the predicted x0's channels are read off and compared with the
target, and the latents are moved the least way that makes them agree. (In the manner of He et al., "Manifold Preserving Guided
Diffusion", 2024, which corrects the predicted sample itself; a step's length is Polyak's: the squared error over the squared
gradient.)"""

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import StereoSyncError
from ..rendering.panning_laws import panning_laws
from .conditioning.spatial_target import SpatialGuidanceTarget
from .latent_levels import Levels
from .objectives import alpha_sigma, predict_x0
from .samplers import Velocity

#: dB below a sound's loudest moment at which its difference no longer counts.
_AUDIBLE = 40.0
#: Root mean square, over the latents of a frame, of the longest correction; the latents' own is about 1.
_FARTHEST = 0.5
#: Turns dB of power into natural logarithms.
_NATURAL = math.log(10) / 10


@dataclass(frozen=True)
class SpatialGuidance:
    """Strength and cost of the guidance.

    :param strength: share of the way to the target that each round goes; 0 leaves guidance out.
    :param panning_law: how azimuth becomes a level difference, one of :func:`..rendering.panning_laws.panning_laws`.
    :param loudness_weight: of the course of the level next to the difference; 0 leaves the level free.
    :param rounds: corrections a step.
    :param every: steps of which one is guided; through a large decoder each costs more than the network itself.
    :raises StereoSyncError: for numbers out of range.
    """

    strength: float = 1.0
    panning_law: str = "pan"
    loudness_weight: float = 0.0
    rounds: int = 4
    every: int = 1

    def __post_init__(self):
        bounds = {"strength": (0, 2), "loudness_weight": (0, 10), "rounds": (1, 50), "every": (1, 100)}
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise StereoSyncError(f"Spatial guidance: {name} is {getattr(self, name)}; give {low} to {high}.")
        if self.panning_law not in panning_laws():
            raise StereoSyncError(
                f"Spatial guidance: the panning law '{self.panning_law}' is not known; choose {', '.join(panning_laws())}."
            )


def with_spatial_guidance(
    velocity: Velocity, levels: Levels, target: SpatialGuidanceTarget, guidance: SpatialGuidance, objective: str
) -> Velocity:
    """A velocity whose predicted x0 is corrected towards the target, which is for as many moments as ``levels`` gives.

    :param levels: of the network's latents ``[B, C, T]``; may be called with gradients on.
    """
    steps = itertools.count()

    def corrected(x: Tensor, t: float) -> Tensor:
        predicted = velocity(x, t)
        if next(steps) % guidance.every:
            return predicted
        sigma = float(alpha_sigma(t, objective)[1])
        denoised = predict_x0(x, predicted, x.new_full((len(x),), t), objective)
        return predicted + (denoised - correct_denoised(denoised, levels, target, guidance)) / sigma

    return corrected


def correct_denoised(latents: Tensor, levels: Levels, target: SpatialGuidanceTarget, guidance: SpatialGuidance) -> Tensor:
    """Latents ``[B, C, T]`` near the given ones whose levels are nearer to the target."""
    with torch.inference_mode(False), torch.enable_grad():
        target = target.to(latents.device)
        moved = latents.detach().clone().float()
        for _ in range(guidance.rounds):
            moved.requires_grad_(True)
            errors = _errors(levels(moved), target, guidance)  # [B, M], of each moment
            (gradient,) = torch.autograd.grad(errors.sum(), moved)
            frames = moved.shape[-1]
            # a latent frame's sound reaches into its neighbours: both sides of the ratio are taken over a short while
            lengths = _neighbourhood(gradient.square().sum(1))
            sizes = _neighbourhood(errors.unflatten(1, (frames, -1)).sum(-1))
            change = guidance.strength * (2 * sizes / lengths.clamp(min=1e-12))[:, None] * gradient
            # where the levels hardly depend on the latents a straight line goes nowhere
            size = change.square().mean(1, keepdim=True).sqrt()
            moved = (moved - change * (_FARTHEST / size.clamp(min=_FARTHEST))).detach()
        return moved.to(latents)


def _errors(levels: Tensor, target: SpatialGuidanceTarget, guidance: SpatialGuidance) -> Tensor:
    """Squared errors ``[B, M]`` in dB, each weighted by how loud the moment is."""
    left, right = levels.unbind(1)
    both = torch.logaddexp(left * _NATURAL, right * _NATURAL) / _NATURAL
    with torch.no_grad():
        loudest = both.amax(-1, keepdim=True)
        audible = ((both - loudest) / _AUDIBLE + 1).clamp(0, 1)
    errors = target.weight * audible * (right - left - target.ild_db).square()
    if guidance.loudness_weight and target.level_db is not None:
        # the course alone: its height is the model's own
        own = (both - loudest).clamp(min=float(target.level_db.min()))
        shift = (own - target.level_db).mean(-1, keepdim=True).detach()
        errors = errors + guidance.loudness_weight * (own - target.level_db - shift).square()
    return errors


def _neighbourhood(values: Tensor) -> Tensor:
    return nn.functional.avg_pool1d(values[:, None], 3, stride=1, padding=1, count_include_pad=False)[:, 0] * 3
