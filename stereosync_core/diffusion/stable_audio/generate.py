"""From a prompt, or native conditioning, to sound."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...conditioning.features import latent_count
from ...errors import StereoSyncError
from ..generate import decode
from ..guidance import faded, windows
from ..samplers import Progress, Velocity
from .conditioners import Told
from .model import StableAudio
from .samplers import SAMPLERS, cosine_times, flow_times, seeded_noise, starting
from .text import TextEncoder

#: Steps and guidance of the releases: Stable Audio Open 1.0, and Small, which was distilled for few steps without guidance.
_USUAL, _DISTILLED = (100, 7.0), (8, 1.0)


@dataclass(frozen=True)
class StableAudioSampling:
    """How to walk from noise to sound; what is left out is as the release has it.

    :param steps: of the sampler.
    :param sampler: one of those that :data:`.samplers.SAMPLERS` has for the model's objective.
    :param cfg: scale of classifier-free guidance; 1 leaves it out, and is twice as fast.
    :param overlap: seconds by which the windows of a long clip overlap.
    :raises StereoSyncError: for numbers out of range.
    """

    steps: int | None = None
    sampler: str | None = None
    cfg: float | None = None
    seed: int = 0
    overlap: float = 4.0

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


def guided(model: StableAudio, told: Told, cfg: float) -> Velocity:
    """A model's velocity under classifier-free guidance (Ho and Salimans, 2022), in one call for both halves.

    Text and seconds are taken from the cross-attention of the second half; the global condition speaks to both. Latents stay in
    single precision whatever the network computes in.
    """
    device, dtype = model.place
    if cfg != 1:
        against = torch.zeros_like(told.tokens) if told.against is None else told.against
        told = Told(torch.cat([told.tokens, against]), torch.cat([told.globally, told.globally]))

    def velocity(x: Tensor, t: float) -> Tensor:
        both = x if cfg == 1 else torch.cat([x, x])
        said = model(both.to(device, dtype), torch.full((len(both),), t, device=device, dtype=dtype), told).to(x)
        if cfg == 1:
            return said
        wanted, other = said.chunk(2)
        return other + cfg * (wanted - other)

    return velocity


@torch.inference_mode()
def sample_latents(
    model: StableAudio,
    text: Tensor,
    duration: float,
    *,
    against: Tensor | None = None,
    options: StableAudioSampling | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Latents ``[1, C, ceil(duration * latent_rate)]`` on the CPU; equal seeds give equal latents.

    A clip longer than the model's window is made of overlapping windows, each of which is told where it begins.

    :param text: ``[1, N, D]``, see :meth:`.conditioners.Conditioners.forward`; so is ``against``, which guidance leads away
        from.
    :raises StereoSyncError: for a sampler that does not go with the model, or latents that are not finite.
    """
    options = options or StableAudioSampling()
    if not (math.isfinite(duration) and duration > 0):
        raise StereoSyncError(f"Stable Audio: the clip lasts {duration} seconds; give a length above 0.")
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
    velocity = faded(guided(model, told, cfg), starts, window, overlap)
    generator = torch.Generator().manual_seed(options.seed % 2**63)
    noise = torch.randn((1, model.autoencoder.latent_channels, frames), generator=generator).to(model.place[0])
    arguments = {
        "dpmpp_3m_sde": {"noise": seeded_noise(noise, generator)},
        "pingpong": {"noise": seeded_noise(noise, generator)},
        "dpmpp_2m": {"objective": model.objective},
    }.get(name, {})
    made = known[name](velocity, starting(noise, times[0], model.objective), times, progress, **arguments)
    if not torch.isfinite(made).all():
        raise StereoSyncError("Sampler: the latents are not finite; lower the guidance scale, or use bfloat16 or float32.")
    return made.cpu()


def _usual_sampler(model: StableAudio) -> str:
    if model.objective == "v":
        return "dpmpp_3m_sde"
    return "pingpong" if model.config.distilled else "euler"


def generate(
    model: StableAudio,
    text: str | Tensor | None,
    duration: float,
    *,
    encoder: TextEncoder | None = None,
    against: str | Tensor | None = None,
    options: StableAudioSampling | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Stereo sound float32 ``[2, round(duration * sample_rate)]``.

    :param text: a prompt, or conditioning ``[1, N, D]``; so is ``against``.
    :param encoder: needed for prompts.
    :raises StereoSyncError: see :func:`encoded` and :func:`sample_latents`.
    """
    length = model.config.text_tokens
    tokens = encoded(text, encoder, length)
    other = None if against is None else encoded(against, encoder, length)
    latents = sample_latents(model, tokens, duration, against=other, options=options, progress=progress)
    return decode(model.autoencoder, latents, round(duration * model.sample_rate))
