"""Spatial guidance: a stereo latent diffusion model that was never told of places is led to put its sound where the scene is.

At each step the network says which sound it is heading for. That sound's levels are read off its latents, compared with what
the scene asks for, and the latents are moved the least way that makes them agree; the network then goes on from there, and
carries left and right on together. Its own weights are neither changed nor differentiated through, so that a step costs little
more than without. (In the manner of He et al., "Manifold Preserving Guided Diffusion", 2024, which corrects the predicted
sample itself; the length of a step is Polyak's: the squared error over the squared gradient.)
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import StereoSyncError
from ..rendering.panning_laws import panning_laws
from .backbone import angles, sound_of
from .conditioning.target import StereoTarget
from .latent_levels import Levels
from .samplers import Velocity

#: dB below a sound's loudest moment at which its difference no longer counts.
_HEARD = 40.0
#: Root mean square, over the latents of a frame, of the longest correction; the latents' own is about 1.
_FARTHEST = 0.5


@dataclass(frozen=True)
class SpatialGuidance:
    """How to lead.

    :param strength: share of the way to what the scene asks for that each round goes; 0 leaves guidance out.
    :param law: how azimuth becomes a level difference: ``pan`` (a mixing desk's), ``binaural`` or ``rooms`` (a game engine's).
    :param level: weight of the course of the level beside the difference; 0 lets the sound be loud when it likes.
    :param rounds: corrections a step.
    :param every: steps of which one is led; through a large decoder each costs more than the network itself.
    :param earliest: noise share ``t`` from which on the sound is led, 1 = from the beginning.
    :param latest: the same for the end, below which the sound is left alone.
    :raises StereoSyncError: for numbers out of range.
    """

    strength: float = 1.0
    law: str = "pan"
    level: float = 0.0
    rounds: int = 4
    every: int = 1
    earliest: float = 1.0
    latest: float = 0.0

    def __post_init__(self):
        if not (math.isfinite(self.strength) and 0 <= self.strength <= 2 and 0 <= self.level <= 10):
            raise StereoSyncError(
                f"Spatial guidance: strength {self.strength} must be in 0..2 and level {self.level} in 0..10."
            )
        if not (1 <= self.rounds <= 50 and 1 <= self.every <= 100 and 0 <= self.latest < self.earliest <= 1):
            raise StereoSyncError(
                f"Spatial guidance: {self.rounds} rounds must be 1 to 50, every {self.every} steps 1 to 100, and the span from "
                f"{self.earliest} to {self.latest} within 1 and 0, falling."
            )
        if self.law not in panning_laws():
            raise StereoSyncError(f"Spatial guidance: the law '{self.law}' is not known; choose {', '.join(panning_laws())}.")


@dataclass(frozen=True)
class Lead:
    """Spatial guidance of a clip.

    :param target: what the scene asks for, :func:`..conditioning.target.stereo_target` for the sound's latent frames.
    """

    target: StereoTarget
    how: SpatialGuidance


def steered(velocity: Velocity, levels: Levels, target: StereoTarget, how: SpatialGuidance, objective: str) -> Velocity:
    """A velocity that leads where ``velocity`` does, but for the places of things.

    :param levels: of the network's latents ``[B, C, T]``; may be called with gradients on.
    :param target: for as many moments as ``levels`` gives.
    """
    asked = itertools.count()

    def led(x: Tensor, t: float) -> Tensor:
        said = velocity(x, t)
        if not how.latest <= t <= how.earliest or next(asked) % how.every:
            return said
        sigma = float(angles(torch.tensor(t, dtype=torch.float64), objective)[1])
        sound = sound_of(x, said, x.new_full((len(x),), t), objective)
        wanted = corrected(sound, levels, target, how)
        return said + (sound - wanted) / sigma

    return led


def corrected(latents: Tensor, levels: Levels, target: StereoTarget, how: SpatialGuidance) -> Tensor:
    """Latents ``[B, C, T]`` near the given ones whose levels are nearer to the target."""
    with torch.inference_mode(False), torch.enable_grad():
        target = target.to(latents.device)
        moved = latents.detach().clone().float()
        for _ in range(how.rounds):
            moved.requires_grad_(True)
            errors = _errors(levels(moved), target, how)  # [B, M], of each moment
            (gradient,) = torch.autograd.grad(errors.sum(), moved)
            frames = moved.shape[-1]
            # a latent frame speaks for its neighbours too: both sides of the ratio are taken over a short while
            lengths = _about(gradient.square().sum(1))
            sizes = _about(errors.unflatten(1, (frames, -1)).sum(-1))
            change = how.strength * (2 * sizes / lengths.clamp(min=1e-12))[:, None] * gradient
            # where the levels hardly depend on the latents a straight line leads nowhere
            size = change.square().mean(1, keepdim=True).sqrt()
            moved = (moved - change * (_FARTHEST / size.clamp(min=_FARTHEST))).detach()
        return moved.to(latents)


def _errors(levels: Tensor, target: StereoTarget, how: SpatialGuidance) -> Tensor:
    """Squared errors ``[B, M]`` in dB, each weighted by how well the moment is heard."""
    left, right = levels.unbind(1)
    both = torch.logaddexp(left * _NATURAL, right * _NATURAL) / _NATURAL
    with torch.no_grad():
        loudest = both.amax(-1, keepdim=True)
        heard = ((both - loudest) / _HEARD + 1).clamp(0, 1)
    errors = target.weight * heard * (right - left - target.difference).square()
    if how.level and target.level is not None:
        # the course alone: its height is the model's own
        own = (both - loudest).clamp(min=float(target.level.min()))
        shift = (own - target.level).mean(-1, keepdim=True).detach()
        errors = errors + how.level * (own - target.level - shift).square()
    return errors


#: Turns dB of power into natural logarithms.
_NATURAL = math.log(10) / 10


def _about(values: Tensor) -> Tensor:
    """Sums ``[B, T]`` over each frame and its two neighbours."""
    return nn.functional.avg_pool1d(values[:, None], 3, stride=1, padding=1, count_include_pad=False)[:, 0] * 3
