"""Classifier-free guidance by any number of conditions, each with a scale of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .conditioning.clip import ClipConditions
from .conditioning.features import Kind, map_tensors
from .control import ControlOutput
from .denoiser import Conditioning, Denoiser
from .samplers import Velocity
from .speedups import ResidualCache, SamplerSpeedups


@dataclass(frozen=True)
class GuidanceBranch:
    """One set of conditions that the denoiser is evaluated with; ``scale`` is of what it adds to the branch before."""

    scale: float
    conditions: ClipConditions | None
    conditioning: Conditioning | None = None


def guidance_branches(
    conditions: ClipConditions | None,
    conditioning: Conditioning | None,
    guidance_scale: float,
    spatial_scale: float,
    takes: int = 1,
) -> list[GuidanceBranch]:
    """From no conditions but the envelope, by prompt and timbre, to boxes and depth.

    The envelope and the global condition (the seconds) are in every branch, as in Stable-V2A (arXiv 2412.15023).

    :param guidance_scale: of what prompt and timbre add to the unconditional branch, and ``spatial_scale`` of what boxes and
        depth add to that; 0 leaves them out.
    :param takes: how many rows of latents there are for each row of the conditions.
    """
    if takes > 1:
        conditions, conditioning = _repeated(conditions, takes), _repeated(conditioning, takes)
    blind = None if conditions is None else conditions.without_space()
    negative = None if conditioning is None else conditioning.unconditional()
    branches = [GuidanceBranch(1.0, None if blind is None else blind.without_timbre(), negative)]
    if conditioning is not None or (blind is not None and blind.timbre.any()):
        branches.append(GuidanceBranch(guidance_scale, blind, conditioning))
    if conditions is not None and conditions.has_space:
        branches.append(GuidanceBranch(spatial_scale, conditions, conditioning))
    return branches


def _repeated(given: Kind, takes: int) -> Kind:
    return map_tensors(lambda value: value.repeat_interleave(takes, dim=0), given)


def guided(
    denoiser: Denoiser,
    branches: Sequence[GuidanceBranch],
    control_scale: float = 1.0,
    speedups: SamplerSpeedups | None = None,
) -> Velocity:
    """Velocity under classifier-free guidance (Ho and Salimans, 2022), composed as by Liu et al. (2022): the first branch's,
    plus each further branch's scale times what it adds to the one before; ``control_scale`` is of the envelope's residuals in
    all of them. All are evaluated in one batch, but those that cancel out."""
    speedups = speedups or SamplerSpeedups()
    following = [*(branch.scale for branch in branches[1:]), 0.0]
    branches = [branch for branch, after in zip(branches, following, strict=True) if branch.scale != after]
    batch = _Batch(denoiser, branches, control_scale, speedups.control_interval)
    single = _Batch(denoiser, branches[-1:], control_scale, speedups.control_interval)

    def velocity(x: Tensor, t: float) -> Tensor:
        if not speedups.guides(t):
            return single(x, t)[0]
        outputs = batch(x, t)
        made = outputs[0]
        for branch, without, with_it in zip(branches[1:], outputs, outputs[1:], strict=False):
            made = made + branch.scale * (with_it - without)
        return made

    return velocity


class _Batch:
    """The denoiser evaluated with several branches of conditions in one call."""

    def __init__(self, denoiser: Denoiser, branches: Sequence[GuidanceBranch], control_scale: float, control_interval: int):
        self.denoiser, self.count, self.control_scale = denoiser, len(branches), control_scale
        conditions = [branch.conditions for branch in branches if branch.conditions is not None]
        self.conditions = ClipConditions.join(conditions) if conditions else None
        prompts = [branch.conditioning for branch in branches if branch.conditioning is not None]
        self.conditioning = _joined(denoiser, prompts) if prompts else None
        self.residual_cache = ResidualCache(control_interval)
        self.control_output: ControlOutput | None = None

    def __call__(self, x: Tensor, t: float) -> tuple[Tensor, ...]:
        """Velocities of each branch."""
        spatial = self.denoiser.spatial_control
        # at the first step, where the caller is in inference mode or keeps gradients
        if self.control_output is None and spatial is not None and self.conditions is not None:
            output = spatial.encode(self.conditions)
            self.control_output = replace(output, cross_attn_tokens=self.denoiser.cached(output.cross_attn_tokens))
        latents, given = x.repeat(self.count, 1, 1), (self.conditions, self.conditioning)
        control = (self.control_scale, self.control_output, self.residual_cache)
        return self.denoiser(latents, x.new_full((len(latents),), t), *given, *control).chunk(self.count)


def _joined(denoiser: Denoiser, several: list[Conditioning]) -> Conditioning:
    tokens, global_cond = (torch.cat([getattr(one, name) for one in several]) for name in ("cross_attn_tokens", "global_cond"))
    local = [one.local_cond for one in several if one.local_cond is not None]
    cached = denoiser.cached(tokens)
    assert cached is not None
    return Conditioning(cached, global_cond, local_cond=torch.cat(local) if local else None)
