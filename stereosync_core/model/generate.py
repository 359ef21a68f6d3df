"""From a scene to sound: the whole way through the generative model."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..errors import StereoSyncError
from ..scene import DepthSequence, Envelope, Tracks
from .conditioning.features import REFERENCE_LEVEL, SUBFRAMES, SceneFeatures, envelope_features, latent_count, scene_features
from .conditioning.target import stereo_target
from .decoding import decode
from .economy import Economy
from .guidance import guided, in_windows
from .latent_levels import reader
from .loader import Model
from .model import Conditions
from .samplers import SAMPLERS, Velocity, schedule
from .spatial_guidance import Lead, SpatialGuidance, steered

#: Loudest level of the envelope where none is given: that of a step some three metres away in the rooms.
USUAL_LEVEL = 0.05


@dataclass(frozen=True)
class Sampling:
    """How to walk from noise to sound.

    :param steps: of the sampler.
    :param sampler: one of :data:`SAMPLERS`.
    :param cfg: scale of classifier-free guidance for timbre.
    :param space: scale of the guidance by boxes and depth. Chosen on validation rooms (docs/results.md).
    :param envelope: scale of the control branch.
    :param shift: above 1, more steps near the noise.
    :param overlap: seconds by which the windows of a long clip overlap.
    :param spatial_guidance: strength of the guidance that needs no trained conditions
        (:class:`.spatial_guidance.SpatialGuidance`); 0 = without.
    :param law: how azimuth becomes a level difference there; ``rooms`` is that of the bundled model's training.
    :param economy: what may be left out to be faster.
    """

    steps: int = 16
    sampler: str = "dpmpp_2m"
    cfg: float = 1.5
    space: float = 2.5
    envelope: float = 1.0
    shift: float = 1.0
    overlap: float = 0.8
    seed: int = 0
    spatial_guidance: float = 0.0
    law: str = "rooms"
    economy: Economy = field(default_factory=Economy)

    def __post_init__(self):
        SpatialGuidance(strength=self.spatial_guidance, law=self.law)
        if self.sampler not in SAMPLERS:
            raise StereoSyncError(f"Sampler: '{self.sampler}' is not known; choose one of {', '.join(SAMPLERS)}.")
        if not 1 <= self.steps <= 1000:
            raise StereoSyncError(f"Sampler: {self.steps} steps; give 1 to 1000.")
        scales = {"cfg": self.cfg, "space": self.space, "envelope": self.envelope}
        for name, value in scales.items():
            if not math.isfinite(value) or not -20 <= value <= 20:
                raise StereoSyncError(f"Sampler: the scale '{name}' is {value}; give a number near 1, at most 20.")
        if not 0 < self.shift <= 20 or not 0 <= self.overlap <= 10:
            raise StereoSyncError(f"Sampler: shift {self.shift} must be above 0, overlap {self.overlap} in 0..10 seconds.")


class Listener(Protocol):
    """What is told of a scene: the pack's own model, and Stable Audio Open with an adapter.

    :ivar timbre_size: of the timbre's embedding.
    """

    @property
    def latent_rate(self) -> float: ...

    @property
    def timbre_size(self) -> int: ...


def make_conditions(
    model: Listener,
    tracks: Tracks,
    depth: DepthSequence | None,
    envelope: Envelope | None,
    timbre: Tensor | None,
    *,
    spatial: bool = True,
) -> tuple[Conditions, float]:
    """What the model is told of a clip, and the level of its loudest moment.

    :param timbre: ``[E]`` (see :class:`TimbreEncoder`); None = whatever the model likes.
    :param spatial: False leaves boxes and depth out.
    """
    frames = latent_count(tracks.duration, model.latent_rate)
    scene = scene_features(tracks, depth, frames, model.latent_rate)
    if envelope is None:
        curve, loudest = torch.zeros((SUBFRAMES, frames)), USUAL_LEVEL
    else:
        curve, loudest = envelope_features(envelope, frames, model.latent_rate)
    size = model.timbre_size
    vector = torch.zeros(size) if timbre is None else timbre.detach().float().cpu()
    if vector.shape != (size,):
        raise StereoSyncError(f"Timbre: a vector of {tuple(vector.shape)} was given, this model takes [{size}].")
    conditions = Conditions(
        SceneFeatures.stack([scene]), curve[None], torch.full((1, 1), float(envelope is not None)), vector[None]
    )
    return conditions if spatial else conditions.without_space(), loudest


@torch.inference_mode()
def sample_latents(
    model: Model,
    conditions: Conditions,
    options: Sampling,
    progress: Callable[[int, int], None] | None = None,
    lead: Lead | None = None,
) -> Tensor:
    """Latents ``[1, C, T]`` of the autoencoder's own scale, on the CPU; equal seeds give equal latents.

    :param progress: called after every step.
    :param lead: spatial guidance, see :func:`spatial_lead`.
    """
    network = model.diffusion
    # latents stay in single precision, and so does what a condition says unless its own network was changed
    device, dtype = model.place[0], network.timbre.weight.dtype
    frames = conditions.envelope.shape[-1]
    generator = torch.Generator().manual_seed(options.seed % 2**63)
    noise = torch.randn((1, network.mean.shape[0], frames), generator=generator).to(device)
    window = model.window
    overlap = min(round(options.overlap * model.latent_rate), window // 2)
    velocity = in_windows(
        lambda told: guided(
            network, told, cfg=options.cfg, space=options.space, envelope=options.envelope, economy=options.economy
        ),
        conditions.only(model.cues).to(device, dtype),
        window,
        overlap,
    )
    if lead is not None:
        velocity = _led(model, velocity, lead)
    arguments = {"objective": network.objective} if options.sampler == "dpmpp_2m" else {}
    made = SAMPLERS[options.sampler](velocity, noise, schedule(options.steps, options.shift), progress, **arguments)
    if not torch.isfinite(made).all():
        raise StereoSyncError("Sampler: the latents are not finite; lower the guidance scales, or use single precision.")
    return network.restored(made).float().cpu()


def spatial_lead(model: Model, tracks: Tracks, depth: DepthSequence | None, options: Sampling) -> Lead | None:
    """The spatial guidance of these options; None where it is left out."""
    how = SpatialGuidance(strength=options.spatial_guidance, law=options.law)
    if not how.strength:
        return None
    frames = latent_count(tracks.duration, model.latent_rate)
    return Lead(stereo_target(tracks, depth, frames, model.latent_rate, law=how.law), how)


def _led(model: Model, velocity: Velocity, lead: Lead) -> Velocity:
    measure = reader(model.autoencoder, model.levels)
    with torch.inference_mode(False):  # for tensors that were made in that mode have no place in a gradient
        mean, spread = (value.clone()[:, None] for value in (model.diffusion.mean, model.diffusion.spread))

    def levels(latents: Tensor) -> Tensor:
        return measure(latents * spread + mean)

    return steered(velocity, levels, lead.target, lead.how, model.diffusion.objective)


def generate(
    model: Model,
    tracks: Tracks,
    depth: DepthSequence | None = None,
    *,
    envelope: Envelope | None = None,
    timbre: Tensor | None = None,
    spatial: bool = True,
    options: Sampling | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Stereo sound float32 ``[2, N]`` at 44.1 kHz, exactly as long as the clip.

    An envelope of silence gives silence.
    """
    options = options or Sampling()
    conditions, loudest = make_conditions(model, tracks, depth, envelope, timbre, spatial=spatial)
    if loudest <= 0:
        logging.getLogger(__name__).warning("The envelope is silent from beginning to end, and so is the sound.")
    lead = spatial_lead(model, tracks, depth, options)
    return decoded(model, sample_latents(model, conditions, options, progress, lead), tracks.duration, loudest)


def decoded(model: Model, latents: Tensor, duration: float, loudest: float) -> np.ndarray:
    """Sound float32 ``[2, round(duration * 44100)]`` of latents, at the level of an envelope whose loudest moment is
    ``loudest``."""
    return decode(model.autoencoder, latents, round(duration * model.sample_rate)) * np.float32(loudest / REFERENCE_LEVEL)
