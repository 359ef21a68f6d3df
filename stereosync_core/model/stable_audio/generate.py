"""From a prompt, or native conditioning, and what an adapter is told of a scene, to sound."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import StereoSyncError
from ..conditioning.features import REFERENCE_LEVEL, latent_count
from ..decoding import decode
from ..economy import Economy
from ..guidance import cut, faded, windows
from ..latent_levels import reader
from ..model import Conditions
from ..precision import WIDER, in_precision
from ..samplers import Progress
from ..spatial_guidance import Lead, steered
from .guidance import guided
from .model import StableAudio
from .samplers import SAMPLERS, cosine_times, flow_times, seeded_noise, starting
from .text import TextEncoder

_LOG = logging.getLogger(__name__)
#: Steps and guidance of the releases: Stable Audio Open 1.0, and Small, which was distilled for few steps without guidance.
_USUAL, _DISTILLED = (100, 7.0), (8, 1.0)


@dataclass(frozen=True)
class StableAudioSampling:
    """How to walk from noise to sound; what is left out is as the release has it.

    :param steps: of the sampler.
    :param sampler: one of those that :data:`.samplers.SAMPLERS` has for the model's objective.
    :param cfg: scale of classifier-free guidance; 1 leaves it out, and is twice as fast.
    :param overlap: seconds by which the windows of a long clip overlap.
    :param economy: what may be left out to be faster.
    :raises StereoSyncError: for numbers out of range.
    """

    steps: int | None = None
    sampler: str | None = None
    cfg: float | None = None
    seed: int = 0
    overlap: float = 4.0
    economy: Economy = field(default_factory=Economy)

    def __post_init__(self):
        if self.steps is not None and not 1 <= self.steps <= 1000:
            raise StereoSyncError(f"Sampler: {self.steps} steps; give 1 to 1000.")
        if self.cfg is not None and not (math.isfinite(self.cfg) and -20 <= self.cfg <= 20):
            raise StereoSyncError(f"Sampler: the scale 'cfg' is {self.cfg}; give a number up to 20.")
        if not 0 <= self.overlap <= 20:
            raise StereoSyncError(f"Sampler: overlap {self.overlap} must be in 0..20 seconds.")


def encoded(text: str | Tensor | None, encoder: TextEncoder | None, tokens: int) -> Tensor:
    """A prompt's tokens ``[1, N, D]``; conditioning that is a tensor already comes back as it is.

    :raises StereoSyncError: for a prompt without an encoder, or for neither.
    """
    if isinstance(text, Tensor):
        return text
    if text is None or encoder is None:
        raise StereoSyncError(
            "Stable Audio: there is no text encoder for the prompt; give the folder of T5 base, or conditioning from the "
            "host's CLIP nodes (CLIPLoader of type stable_audio)."
        )
    return encoder(text, tokens)


@torch.inference_mode()
def sample_latents(
    model: StableAudio,
    text: Tensor | None,
    duration: float,
    *,
    against: Tensor | None = None,
    conditions: Conditions | None = None,
    space: float | None = None,
    envelope: float = 1.0,
    lead: Lead | None = None,
    options: StableAudioSampling | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Latents ``[1, C, ceil(duration * latent_rate)]`` on the CPU; equal seeds give equal latents.

    A clip longer than the model's window is made of overlapping windows, each of which is told where it begins. Where half
    precision does not hold the numbers, the model goes on in a wider type, and stays in it.

    :param text: ``[1, N, D]``, see :meth:`.conditioners.Conditioners.forward`; so is ``against``, which guidance leads away
        from. None says nothing.
    :param conditions: of the clip, for the model's adapter (:func:`..generate.make_conditions`).
    :param space: scale of the guidance by boxes and depth; that of the text when left out.
    :param envelope: scale of the adapter's control branch.
    :param lead: spatial guidance, which needs no adapter.
    :raises StereoSyncError: for a sampler that does not go with the model, conditions without an adapter or of another length,
        or latents that are not finite in single precision either.
    """
    options = options or StableAudioSampling()
    if not (math.isfinite(duration) and duration > 0):
        raise StereoSyncError(f"Stable Audio: the clip lasts {duration} seconds; give a length above 0.")
    for name, value in (("space", space), ("envelope", envelope)):
        if value is not None and not (math.isfinite(value) and -20 <= value <= 20):
            raise StereoSyncError(f"Sampler: the scale '{name}' is {value}; give a number near 1, at most 20.")
    _check_conditions(model, conditions, latent_count(duration, model.latent_rate))
    if text is None:
        text = torch.zeros((1, 1, model.config.width))
    while True:
        made = _walked(model, text, duration, against, conditions, lead, options, progress, space=space, envelope=envelope)
        if torch.isfinite(made).all():
            return made.cpu()
        narrow = model.place[1]
        wide = WIDER.get(narrow)
        if wide is None:
            raise StereoSyncError("Sampler: the latents are not finite; lower the guidance scale, or load the model again.")
        _LOG.warning("The latents are not finite in %s; the model goes on in %s, from the first step.", narrow, wide)
        for part in (model.backbone, model.conditioners, *([] if model.adapter is None else [model.adapter.control])):
            in_precision(part, wide)


def _check_conditions(model: StableAudio, conditions: Conditions | None, frames: int) -> None:
    if conditions is None:
        return
    if model.adapter is None:
        raise StereoSyncError(
            f"Stable Audio: '{model.name}' by itself knows nothing of a scene; give the folder of an adapter that was trained "
            "over it, or leave the scene out."
        )
    if conditions.envelope.shape[-1] != frames:
        raise StereoSyncError(
            f"Stable Audio: the conditions are for {conditions.envelope.shape[-1]} latent frames and the sound has {frames}; "
            "make both of the same clip."
        )


def _walked(
    model: StableAudio,
    text: Tensor,
    duration: float,
    against: Tensor | None,
    conditions: Conditions | None,
    lead: Lead | None,
    options: StableAudioSampling,
    progress: Progress | None,
    **scales: Any,
) -> Tensor:
    """Latents where the model is, in single precision, finite or not; see :func:`sample_latents`."""
    steps, cfg = _DISTILLED if model.config.distilled else _USUAL
    steps, cfg = options.steps or steps, cfg if options.cfg is None else options.cfg
    name = options.sampler or _usual_sampler(model)
    known = SAMPLERS[model.objective]
    if name not in known:
        raise StereoSyncError(f"Sampler: '{name}' is not for this model; choose one of {', '.join(known)}.")
    times = cosine_times(steps) if model.objective == "v" else flow_times(steps)
    frames, window = latent_count(duration, model.latent_rate), model.window
    overlap = min(round(options.overlap * model.latent_rate), window // 2)
    starts = windows(frames, window, overlap)
    seconds = {
        "seconds_start": [start / model.latent_rate for start in starts],
        "seconds_total": [duration] * len(starts),
    }
    told = model.conditioners(text, seconds, against)
    parts = None if conditions is None else Conditions.join([cut(conditions, start, window) for start in starts])
    velocity = faded(guided(model, told, cfg, parts, economy=options.economy, **scales), starts, window, overlap)
    if lead is not None:
        levels = reader(model.autoencoder, model.levels)
        velocity = steered(velocity, levels, lead.target, lead.how, model.objective)
    generator = torch.Generator().manual_seed(options.seed % 2**63)
    noise = torch.randn((1, model.autoencoder.latent_channels, frames), generator=generator).to(model.place[0])
    arguments = {
        "dpmpp_3m_sde": {"noise": seeded_noise(noise, generator)},
        "pingpong": {"noise": seeded_noise(noise, generator)},
        "dpmpp_2m": {"objective": model.objective},
    }.get(name, {})
    return known[name](velocity, starting(noise, times[0], model.objective), times, progress, **arguments)


def _usual_sampler(model: StableAudio) -> str:
    if model.objective == "v":
        return "dpmpp_3m_sde"
    return "pingpong" if model.config.distilled else "euler"


def decoded(model: StableAudio, latents: Tensor, duration: float, loudest: float = REFERENCE_LEVEL) -> np.ndarray:
    """Sound float32 ``[2, round(duration * sample_rate)]`` of latents.

    :param loudest: level of the envelope's loudest moment, which an adapter's sound does not carry; as the model made it where
        left out.
    """
    length = round(duration * model.sample_rate)
    sound = decode(model.autoencoder, latents, length)
    if not np.isfinite(sound).all():
        _LOG.warning("The sound is not finite in half precision; it is decoded again in single precision.")
        in_precision(model.autoencoder, torch.float32)
        sound = decode(model.autoencoder, latents, length)
    return sound * np.float32(loudest / REFERENCE_LEVEL)


def generate(
    model: StableAudio,
    text: str | Tensor | None,
    duration: float,
    *,
    encoder: TextEncoder | None = None,
    against: str | Tensor | None = None,
    conditions: Conditions | None = None,
    loudest: float = REFERENCE_LEVEL,
    space: float | None = None,
    envelope: float = 1.0,
    lead: Lead | None = None,
    options: StableAudioSampling | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Stereo sound float32 ``[2, round(duration * sample_rate)]``.

    :param text: a prompt, or conditioning ``[1, N, D]``; so is ``against``. None is for conditions alone.
    :param encoder: needed for prompts.
    :param conditions: of the clip, and ``loudest``, as :func:`..generate.make_conditions` gives both.
    :param lead: spatial guidance, which needs no adapter.
    :raises StereoSyncError: see :func:`encoded` and :func:`sample_latents`.
    """
    length = model.config.text_tokens
    tokens = None if text is None and conditions is not None else encoded(text, encoder, length)
    latents = sample_latents(
        model,
        tokens,
        duration,
        against=None if against is None else encoded(against, encoder, length),
        conditions=conditions,
        space=space,
        envelope=envelope,
        lead=lead,
        options=options,
        progress=progress,
    )
    return decoded(model, latents, duration, loudest)
