"""From a scene to stereo sound: the one way through a generative model, whichever its base is."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import StereoSyncError
from ..media.sound import Sound
from ..rendering.event_envelope import envelope_from_events
from ..rendering.surfaces import SURFACES
from ..scene import Envelope
from ..scene_events import Events, check_events_fit
from .attacks import with_sharp_attacks
from .conditioning.clip import ClipConditions, clip_conditions
from .conditioning.features import ENVELOPE_WINDOW, REFERENCE_LEVEL, latent_count, subframe_times
from .conditioning.spatial import SpatialConditioning
from .conditioning.spatial_target import spatial_guidance_target
from .decoding import decode
from .denoiser import Conditioning
from .generative_model import GenerativeModel
from .guidance import guidance_branches, guided
from .latent_levels import level_reader
from .level_autoencoder import LevelAutoencoder
from .loader import bundled_folder, load_envelope, load_model, load_timbre
from .precision import WIDER
from .samplers import SAMPLERS, SCHEDULES, Progress, Velocity, check_sampler, initial_latents, seeded_noise
from .spatial_guidance import SpatialGuidance, with_spatial_guidance
from .speedups import SamplerSpeedups
from .stable_audio.text import TextEncoder
from .windows import blend_windows, window_starts

_LOG = logging.getLogger(__name__)
#: A prompt, or its tokens ``[1, N, D]`` of a T5 encoder, as native conditioning has them.
Prompt = str | Tensor


@dataclass(frozen=True)
class GeneratedSound(Sound):
    """A sound, and the latents ``[1, C, T]`` that it was decoded from, of the autoencoder's own scale."""

    latents: Tensor


@dataclass(frozen=True)
class PipelineSettings:
    """A call's numbers after the model's defaults took the place of None."""

    sampler: str
    num_inference_steps: int
    guidance_scale: float
    spatial_scale: float
    control_scale: float
    spatial_guidance: SpatialGuidance
    speedups: SamplerSpeedups


def check_numbers(num_inference_steps: int | None, **scales: float | None) -> None:
    """Raise StereoSyncError for numbers that no model takes; None is a model's own."""
    if num_inference_steps is not None and not 1 <= num_inference_steps <= 1000:
        raise StereoSyncError(f"Sampler: {num_inference_steps} steps; give 1 to 1000.")
    for name, value in scales.items():
        if value is not None and not -20 <= value <= 20:
            raise StereoSyncError(f"Sampler: {name} is {value}; give a number near 1, at most 20.")


class StereoSyncPipeline:
    """Sound for a clip with a StereoSync model, or with Stable Audio Open with or without an adapter.

    >>> pipeline = StereoSyncPipeline.from_pretrained("bundled")
    >>> sound = pipeline(SpatialConditioning(tracks, depth), events=events, timbre="gravel", seed=1)
    >>> write_sound("out.wav", sound)

    :param model: of :func:`.loader.load_model`.
    :param text_encoder: for prompts that are no tokens yet.
    """

    def __init__(self, model: GenerativeModel, text_encoder: TextEncoder | None = None):
        self.model, self.text_encoder = model, text_encoder

    @classmethod
    def from_pretrained(
        cls,
        source: Path | str = "bundled",
        *,
        adapter: Path | str | None = None,
        text_encoder: Path | str | None = None,
        levels: Path | str | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> StereoSyncPipeline:
        """A model from disk with all that goes with it; see :func:`.loader.load_model`. Nothing is downloaded.

        :param source: ``bundled``, a StereoSync model's folder, or the folder or file of Stable Audio Open.
        :param adapter: folder of what ``train adapter`` has trained over a release, with its timbre encoder; it is given the
            bundled envelope reader.
        :param text_encoder: folder of T5 base.
        """
        folder = bundled_folder() if source == "bundled" else Path(source)
        model = load_model(folder, dtype, adapter=adapter, levels=levels)
        if adapter is not None:
            model.timbre_encoder, model.envelope_reader = load_timbre(Path(adapter)), load_envelope(bundled_folder())
        return cls(model.to(device), None if text_encoder is None else TextEncoder(Path(text_encoder)))

    @torch.inference_mode()
    def __call__(
        self,
        scene: SpatialConditioning,
        prompt: Prompt | None = None,
        negative_prompt: Prompt | None = None,
        *,
        envelope: Envelope | None = None,
        events: Events | None = None,
        timbre: Tensor | str | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        spatial_scale: float | None = None,
        control_scale: float | None = None,
        spatial_guidance: float | SpatialGuidance | None = None,
        panning_law: str | None = None,
        sampler: str | None = None,
        seed: int = 0,
        speedups: SamplerSpeedups | None = None,
        progress: Progress | None = None,
    ) -> GeneratedSound:
        """Stereo sound exactly as long as the clip. Of every number None is the model's default, and of every scale 0 is off.

        :param scene: where things are; its duration is the sound's.
        :param prompt: what it sounds like, for a model with a text encoder; ``negative_prompt`` what it does not.
        :param envelope: when it sounds and how loud; an envelope of silence gives silence. Left to the model where None.
        :param events: what happens, and to whom. Where there is no ``envelope`` it is made from them: an attack at
            each, and the decay of the library's sounds of its class and of the surface that ``timbre`` names.
        :param timbre: vector ``[E]`` of the model's timbre encoder, or the name of a surface. Left to the model where None.
        :param guidance_scale: of prompt and timbre; 1 follows them without guidance.
        :param spatial_scale: of boxes and depth. Equal to ``guidance_scale`` it saves an evaluation a step.
        :param control_scale: of the envelope's control branch.
        :param spatial_guidance: strength of the training-free guidance to where things are, 0 to 1, or all of its settings, and
            ``panning_law`` of it, one of :func:`..rendering.panning_laws.panning_laws`.
        :param seed: equal seeds give equal sound, as noise is drawn on the CPU.
        :param speedups: what may be left out to be faster; nothing where None.
        :raises StereoSyncError: for an input or number that does not go with the model, or latents that are not finite.
        """
        model, denoiser = self.model, self.model.denoiser

        # 1. Check the inputs, and put the model's defaults in the place of None
        self.check_inputs(prompt, negative_prompt, envelope, timbre, events)
        scales = (guidance_scale, spatial_scale, control_scale)
        settings = self.settings(sampler, num_inference_steps, *scales, spatial_guidance, panning_law, speedups)

        # 2. Cut the clip into windows of the length that the model was trained on
        frames = latent_count(scene.duration, model.latent_rate)
        overlap = min(round(model.defaults.overlap * model.latent_rate), model.window // 2)
        starts = window_starts(frames, model.window, overlap)

        # 3. Prepare scene, envelope and timbre, a row for each window; without an envelope, events say when it sounds
        if events is not None:
            envelope = self.envelope_with_events(envelope, events, scene, timbre)
        conditions = self.prepare_conditions(scene, envelope, timbre, starts)

        while True:  # a second time, in a wider type, where half precision does not hold the numbers
            # 4. Encode the prompt, and the seconds at which each window begins
            conditioning = self.encode_prompt(prompt, negative_prompt, scene.duration, starts)

            # 5. Prepare timesteps and latents; noise is drawn on the CPU, so that a seed means the same on every device
            timesteps = SCHEDULES[model.defaults.schedule](settings.num_inference_steps)
            generator = torch.Generator().manual_seed(seed % 2**63)
            noise = torch.randn((1, model.autoencoder.latent_channels, frames), generator=generator).to(model.execution_device)
            latents = initial_latents(noise, timesteps[0], model.objective)

            # 6. Denoise. A velocity is a function of latents and timestep: first with guidance, of a batch of the windows, then
            # of the whole clip, blended out of them, then corrected by spatial guidance. A sampler is a plain loop over it.
            branches = guidance_branches(conditions, conditioning, settings.guidance_scale, settings.spatial_scale)
            velocity = guided(denoiser, branches, settings.control_scale, settings.speedups)
            velocity = blend_windows(velocity, starts, model.window, overlap)
            if settings.spatial_guidance.strength:
                velocity = self.guide_to_places(velocity, scene, settings.spatial_guidance, envelope)
            latents = SAMPLERS[model.objective][settings.sampler](
                velocity, latents, timesteps, progress, objective=model.objective, noise=seeded_noise(noise, generator)
            )
            if torch.isfinite(latents).all():
                break
            self.widen_precision()

        # 7. Decode latents of the autoencoder's scale, at the level of the envelope's loudest moment, which they do not carry.
        # Where they hold levels as they are, these follow the envelope exactly
        latents = denoiser.restored(latents).float().cpu()
        if isinstance(model.autoencoder, LevelAutoencoder):
            latents = model.autoencoder.narrowed(latents, model.defaults.width)
            if envelope is not None and settings.control_scale:
                course = envelope.at(subframe_times(frames, model.latent_rate))
                latents = model.autoencoder.levelled(latents, torch.from_numpy(course).float())
        samples = decode(model.autoencoder, latents, round(scene.duration * model.sample_rate))
        if envelope is not None and envelope.events is not None:
            samples = with_sharp_attacks(samples, model.sample_rate, [event.time for event in envelope.events])
        loudest = model.defaults.level if envelope is None else float(envelope.values.max())
        return GeneratedSound(samples * np.float32(loudest / REFERENCE_LEVEL), model.sample_rate, latents)

    def check_inputs(
        self,
        prompt: Prompt | None = None,
        negative_prompt: Prompt | None = None,
        envelope: Envelope | None = None,
        timbre: Tensor | str | None = None,
        events: Events | None = None,
    ) -> None:
        """:raises StereoSyncError: for an input that the model does not take, or lacks."""
        name, denoiser = self.model.name, self.model.denoiser
        prompts = [given for given in (prompt, negative_prompt) if given is not None]
        takes_text = self.model.conditioners is not None
        if prompts and not takes_text:
            raise StereoSyncError(f"Prompt: '{name}' takes no text; give a timbre, or load Stable Audio Open.")
        needs_text = takes_text and denoiser.adapter is None and not prompts
        if needs_text or (self.text_encoder is None and any(isinstance(given, str) for given in prompts)):
            raise StereoSyncError(
                "Stable Audio: there is no text encoder for the prompt; give the folder of T5 base, or conditioning from the "
                "host's CLIP nodes (CLIPLoader of type stable_audio)."
            )
        for given, value in (("envelope", envelope), ("events", events), ("timbre", timbre)):
            if denoiser.spatial_control is None and value is not None:
                raise StereoSyncError(
                    f"Stable Audio: '{given}' needs a StereoSync adapter, and '{name}' has none; give the folder of one that "
                    f"was trained over it, or leave {given} out."
                )
        if envelope is not None and not envelope.values.any():
            _LOG.warning("The envelope is silent from beginning to end, and so is the sound.")

    def settings(
        self,
        sampler: str | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        spatial_scale: float | None = None,
        control_scale: float | None = None,
        spatial_guidance: float | SpatialGuidance | None = None,
        panning_law: str | None = None,
        speedups: SamplerSpeedups | None = None,
    ) -> PipelineSettings:
        """A call's numbers, with the model's defaults for None; see :meth:`__call__`. Raises StereoSyncError for a sampler that
        does not go with the model, and numbers out of range."""
        defaults = self.model.defaults
        sampler = defaults.sampler if sampler is None else sampler
        check_sampler(sampler, self.model.objective)
        steps = defaults.num_inference_steps if num_inference_steps is None else num_inference_steps
        guidance_scale = defaults.guidance_scale if guidance_scale is None else guidance_scale
        if spatial_scale is None:
            spatial_scale = guidance_scale if defaults.spatial_scale is None else defaults.spatial_scale
        control_scale = 1.0 if control_scale is None else control_scale
        scales = {"guidance_scale": guidance_scale, "spatial_scale": spatial_scale, "control_scale": control_scale}
        check_numbers(steps, **scales)
        if not isinstance(spatial_guidance, SpatialGuidance):
            # a strength alone: what each correction costs depends on how the levels are read
            own = defaults.decoder_guidance if self.model.levels is None else defaults.spatial_guidance
            if spatial_guidance is None:  # without space there is nothing to guide to
                spatial_guidance = own.strength if spatial_scale and self.model.cues != "depth" else 0.0
            spatial_guidance = replace(own, strength=spatial_guidance)
        if panning_law is not None:
            spatial_guidance = replace(spatial_guidance, panning_law=panning_law)
        speedups = speedups or SamplerSpeedups()
        return PipelineSettings(sampler, steps, **scales, spatial_guidance=spatial_guidance, speedups=speedups)

    def envelope_with_events(
        self, envelope: Envelope | None, events: Events, scene: SpatialConditioning, timbre: Tensor | str | None
    ) -> Envelope:
        """The envelope that the events ask for, or the given one, which then knows them. Raises StereoSyncError for events of
        another clip."""
        check_events_fit(events, scene.duration)
        if envelope is not None:
            return replace(envelope, events=events)
        surface = timbre if isinstance(timbre, str) and timbre in SURFACES else "concrete"
        return envelope_from_events(events, scene.tracks, scene.depth, surface=surface, window=ENVELOPE_WINDOW)

    def prepare_conditions(
        self, scene: SpatialConditioning, envelope: Envelope | None, timbre: Tensor | str | None, starts: Sequence[int]
    ) -> ClipConditions | None:
        """Conditions of the windows that begin at the latent frames ``starts``; None for a release without an adapter."""
        model = self.model
        if model.denoiser.spatial_control is None:
            return None
        if isinstance(timbre, str):
            if model.timbre_encoder is None:
                raise StereoSyncError(f"Timbre: '{model.name}' was loaded without its timbre encoder; give a vector.")
            timbre = model.timbre_encoder.of_name(timbre)
        sizes = {"latent_rate": model.latent_rate, "timbre_size": model.timbre_size}
        whole = clip_conditions(*scene.selected(), envelope, timbre, **sizes)
        whole = replace(whole, scene=whole.scene.only(model.cues)).to(model.execution_device)
        return ClipConditions.join([whole.window(start, model.window) for start in starts])

    def encode_prompt(
        self, prompt: Prompt | None, negative_prompt: Prompt | None, duration: float, starts: Sequence[int]
    ) -> Conditioning | None:
        """The prompt's tokens and the seconds, a row for each window; None for a model without text."""
        conditioners = self.model.conditioners
        if conditioners is None:
            return None

        def encoded(given: Prompt | None) -> Tensor | None:
            if not isinstance(given, str):
                return given
            assert self.text_encoder is not None, "see check_inputs"
            return self.text_encoder(given, conditioners.text_tokens)

        tokens = encoded(prompt)
        if tokens is None:  # zeros, as after a prompt's end
            tokens = torch.zeros((1, 1, conditioners.width))
        begin = [start / self.model.latent_rate for start in starts]
        seconds = {"seconds_start": begin, "seconds_total": [duration] * len(starts)}
        return conditioners(tokens, seconds, encoded(negative_prompt))

    def guide_to_places(
        self, velocity: Velocity, scene: SpatialConditioning, guidance: SpatialGuidance, envelope: Envelope | None = None
    ) -> Velocity:
        """A velocity under training-free spatial guidance; see :mod:`.spatial_guidance`."""
        model = self.model
        frames = latent_count(scene.duration, model.latent_rate)
        options = {"panning_law": guidance.panning_law, "envelope": envelope}
        target = spatial_guidance_target(*scene.selected(), frames, model.latent_rate, **options)
        read = level_reader(model.autoencoder, model.levels)

        def levels(latents: Tensor) -> Tensor:
            return read(model.denoiser.restored(latents))

        return with_spatial_guidance(velocity, levels, target, guidance, model.objective)

    def widen_precision(self) -> None:
        """Where half precision does not hold the numbers, the model goes on in a wider type, and stays in it. Raises
        StereoSyncError where it is in single precision already."""
        narrow = self.model.dtype
        if narrow not in WIDER:
            raise StereoSyncError("Sampler: the latents are not finite; lower the guidance scales, or load the model again.")
        _LOG.warning("The latents are not finite in %s; the model goes on in %s, from the first step.", narrow, WIDER[narrow])
        self.model.set_precision(WIDER[narrow])
