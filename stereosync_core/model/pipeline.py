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
from ..rendering.surfaces import ground_of
from ..scene import Envelope
from ..scene_events import Events, check_events_fit
from .attacks import moments_of, with_even_tails, with_sharp_attacks
from .conditioning.clip import ClipConditions, clip_conditions
from .conditioning.features import ENVELOPE_WINDOW, REFERENCE_LEVEL, interleaved, latent_count, map_tensors, subframe_times
from .conditioning.spatial import SpatialConditioning
from .conditioning.spatial_target import spatial_guidance_target
from .decoding import decode
from .denoiser import Conditioning
from .generative_model import GenerativeModel
from .guidance import guidance_branches, guided
from .inpainting import kept_frames, pasted, with_kept
from .latent_levels import level_reader
from .level_autoencoder import LevelAutoencoder
from .loader import bundled_folder, load_envelope, load_model, load_timbre
from .precision import WIDER
from .samplers import SAMPLERS, SCHEDULES, Progress, Velocity, initial_latents, seeded_noise
from .settings import settings_for
from .source_sound import SourceSound, source_of, with_levels_of
from .spatial_guidance import SpatialGuidance, with_spatial_guidance
from .speedups import SamplerSpeedups
from .stable_audio.text import TextEncoder
from .stable_audio_3.release import is_stable_audio_3
from .stable_audio_3.text import GemmaTextEncoder
from .stretches import Stretch, blend_over_time, fades, timed_texts
from .windows import blend_windows, window_starts

_LOG = logging.getLogger(__name__)
#: A prompt, or its tokens ``[1, N, D]`` of a T5 encoder, as native conditioning has them.
Prompt = str | Tensor


#: From, to, in seconds, and what is meant there.
TimedPrompt = tuple[float, float, Prompt | None]


@dataclass(frozen=True)
class GeneratedSound(Sound):
    """A sound, the latents ``[1, C, T]`` that it was decoded from, of the autoencoder's own scale, and its seed. The first of
    several ``takes`` has them all, itself among them."""

    latents: Tensor
    seed: int = 0
    takes: tuple[GeneratedSound, ...] = ()


def timed_prompts(prompt: Prompt | Sequence[TimedPrompt] | None) -> Sequence[TimedPrompt]:
    """A prompt, or several over time, as a list of them; one that is always meant stands at the clip's beginning."""
    if isinstance(prompt, str):
        prompt = timed_texts(prompt) or prompt
    return prompt if isinstance(prompt, Sequence) and not isinstance(prompt, str) else [(0.0, 0.0, prompt)]


class StereoSyncPipeline:
    """Sound for a clip with a StereoSync model, or with Stable Audio Open with or without an adapter.

    >>> pipeline = StereoSyncPipeline.from_pretrained("bundled")
    >>> sound = pipeline(SpatialConditioning(tracks, depth), events=events, timbre="gravel", seed=1)
    >>> write_sound("out.wav", sound)

    :param model: of :func:`.loader.load_model`.
    :param text_encoder: for prompts that are no tokens yet.
    """

    def __init__(self, model: GenerativeModel, text_encoder: TextEncoder | GemmaTextEncoder | None = None):
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
        :param text_encoder: folder of T5 base; of Stable Audio 3 the folder with its text encoder, where it is not the model's.
        """
        folder = bundled_folder() if source == "bundled" else Path(source)
        model = load_model(folder, dtype, adapter=adapter, levels=levels)
        if adapter is not None:
            model.timbre_encoder, model.envelope_reader = load_timbre(Path(adapter)), load_envelope(bundled_folder())
        if is_stable_audio_3(folder):
            own = (folder / "text_encoder").is_dir() or text_encoder is not None
            return cls(model.to(device), GemmaTextEncoder(Path(text_encoder or folder)) if own else None)
        return cls(model.to(device), None if text_encoder is None else TextEncoder(Path(text_encoder)))

    @torch.inference_mode()
    def __call__(
        self,
        scene: SpatialConditioning | Sequence[SpatialConditioning],
        prompt: Prompt | Sequence[TimedPrompt] | None = None,
        negative_prompt: Prompt | None = None,
        *,
        envelope: Envelope | Sequence[Envelope | None] | None = None,
        events: Events | None = None,
        timbre: Tensor | str | None = None,
        audio: Sound | None = None,
        strength: float | None = None,
        match_levels: bool = False,
        keep: Sequence[Stretch] | str | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        spatial_scale: float | None = None,
        control_scale: float | None = None,
        spatial_guidance: float | SpatialGuidance | None = None,
        panning_law: str | None = None,
        sampler: str | None = None,
        seed: int = 0,
        takes: int = 1,
        speedups: SamplerSpeedups | None = None,
        progress: Progress | None = None,
    ) -> GeneratedSound:
        """Stereo sound exactly as long as the clip. Of every number None is the model's default, and of every scale 0 is off.

        :param scene: where things are; its duration is the sound's. Of several clips, of equally many latent frames and tracks,
            a list, as is ``envelope`` then: they are sampled in one batch, and ``takes`` of what is returned has them all.
        :param prompt: what it sounds like, for a model with a text encoder; ``negative_prompt`` what it does not. Several, each
            with the seconds from and to which it is meant, fade into each other; as a text "0-4 gravel; 4-8 wooden stairs".
        :param envelope: when it sounds and how loud; an envelope of silence gives silence. Left to the model where None.
        :param events: what happens, and to whom. Where there is no ``envelope`` it is made from them: an attack at
            each, and the decay of the library's sounds of its class and of the surface that ``timbre`` names.
        :param timbre: vector ``[E]`` of the model's timbre encoder, or the name of a surface. Left to the model where None.
        :param audio: a placed sound, stereo and as long as the clip, to start from: noise is put over it, and what is denoised
            keeps its place and time and gets another timbre. Its levels are then the target of spatial guidance, and its
            loudness is the envelope where none is given.
        :param strength: timestep at which denoising of ``audio`` begins, from 0, nothing changes, to 1, nothing but noise; at
            0.5 there is as much noise as sound. ``num_inference_steps`` are taken from there. With ``keep`` it is 1 where None.
        :param match_levels: whether the level difference in each band and the course of the level of ``audio`` are put back on
            what was made of it.
        :param keep: seconds from and to which ``audio`` stays as it is, as pairs or as the text "0-2, 3.5-4"; the rest is made
            anew. The audio may then be shorter than the clip, which is continued.
        :param guidance_scale: of prompt and timbre; 1 follows them without guidance.
        :param spatial_scale: of boxes and depth. Equal to ``guidance_scale`` it saves an evaluation a step.
        :param control_scale: of the envelope's control branch.
        :param spatial_guidance: strength of the training-free guidance to where things are, 0 to 1, or all of its settings, and
            ``panning_law`` of it, one of :func:`..rendering.panning_laws.panning_laws`.
        :param seed: equal seeds give equal sound, as noise is drawn on the CPU.
        :param takes: sounds to make in one batch, of the seeds from ``seed`` on. The first is returned, and all are in its
            ``takes``.
        :param speedups: what may be left out to be faster; nothing where None.
        :raises StereoSyncError: for an input or number that does not go with the model, or latents that are not finite.
        """
        model, denoiser = self.model, self.model.denoiser
        scenes = [scene] if isinstance(scene, SpatialConditioning) else list(scene)
        envelopes = [envelope] * len(scenes) if envelope is None or isinstance(envelope, Envelope) else list(envelope)

        # 1. Check the inputs, and put the model's defaults in the place of None
        prompts = timed_prompts(prompt)
        for one in envelopes:
            self.check_inputs([given for _, _, given in prompts], negative_prompt, one, timbre, events)
        scales = (guidance_scale, spatial_scale, control_scale)
        numbers = (sampler, num_inference_steps, *scales, spatial_guidance, panning_law, speedups)
        settings = settings_for(model, *numbers, 1.0 if strength is None and keep else strength, takes)
        source = source_of(audio, model, scenes[0].duration, keep)

        # 2. Cut the clip into windows of the length that the model was trained on
        frames = latent_count(scenes[0].duration, model.latent_rate)
        if any(latent_count(own.duration, model.latent_rate) != frames for own in scenes) or len(envelopes) != len(scenes):
            raise StereoSyncError("Scenes: clips of one batch are equally long, each with an envelope or None; sort them.")
        if len(scenes) > 1 and (audio is not None or events is not None):
            raise StereoSyncError("Scenes: audio and events are of one clip; give one, or envelopes of their events.")
        overlap = min(round(model.defaults.overlap * model.latent_rate), model.window // 2)
        starts = window_starts(frames, model.window, overlap)
        times = (np.arange(frames) + 0.5) / model.latent_rate
        weights = fades([(start, stop) for start, stop, _ in prompts], times, scenes[0].duration)

        # 3. Prepare scene, envelope and timbre, a row for each window of each clip; without an envelope, a given sound has one,
        # and events say when it sounds
        if source is not None and envelopes == [None] and denoiser.spatial_control is not None:
            envelopes = [source.envelope]
        if events is not None:
            envelopes = [self.envelope_with_events(*each, events, timbre) for each in zip(envelopes, scenes, strict=True)]
        whole = zip(scenes, envelopes, strict=True)
        conditions = interleaved([self.prepare_conditions(*each, timbre, starts) for each in whole])

        while True:  # a second time, in a wider type, where half precision does not hold the numbers
            # 4. Prepare timesteps and latents, noise over those of a given sound; noise is drawn on the CPU, so that a seed
            # means the same on every device
            start = 1.0 if source is None or source.envelope is None else settings.strength
            timesteps = SCHEDULES[model.defaults.schedule](settings.num_inference_steps, start) if start else [0.0]
            seeds = [seed + take for take in range(takes)] * len(scenes)
            generators = [torch.Generator().manual_seed(own % 2**63) for own in seeds]
            like = torch.empty((len(seeds), model.autoencoder.latent_channels, frames), device=model.execution_device)
            noise = seeded_noise(like, *generators)
            given = None if source is None else source.latents(model)
            latents = initial_latents(noise(0, 0), timesteps[0], model.objective, given)

            # 5. A velocity is a function of latents and timestep: first with guidance, of a batch of the windows, by the prompt
            # and the seconds at which each window begins; then of the whole clip, blended out of them, and out of the prompts;
            # then corrected by spatial guidance, and held to what stays.
            velocities, kept = [], kept_frames(source.keep if source else (), frames, model.latent_rate)
            for _, _, text in prompts:
                conditioning = interleaved([self.encode_prompt(text, negative_prompt, own.duration, starts) for own in scenes])
                if conditioning is not None and given is not None and kept.any() and model.backbone.local_channels:
                    local = torch.cat([kept.to(given)[None, None], given * kept.to(given)], dim=1)
                    windows = torch.cat([local[..., first : first + model.window] for first in starts])
                    conditioning = replace(conditioning, local_cond=windows)
                branches = guidance_branches(conditions, conditioning, settings.guidance_scale, settings.spatial_scale, takes)
                windowed = guided(denoiser, branches, settings.control_scale, settings.speedups)
                velocities.append(blend_windows(windowed, starts, model.window, overlap))
            velocity = blend_over_time(velocities, weights)
            if settings.spatial_guidance.strength:
                velocity = self.guide_to_places(velocity, scenes, settings.spatial_guidance, envelopes, source, takes)
            if given is not None and kept.any():
                velocity = with_kept(velocity, given, kept, model.objective)

            # 6. Denoise: a sampler is a plain loop over the velocity
            options = {"objective": model.objective, "noise": noise}
            latents = SAMPLERS[model.objective][settings.sampler](velocity, latents, timesteps, progress, **options)
            if torch.isfinite(latents).all():
                break
            self.widen_precision()

        # 7. Decode latents of the autoencoder's scale
        latents = denoiser.restored(latents).float().cpu()
        use = {"follows": bool(settings.control_scale), "match_levels": match_levels}
        sounds = []
        for row, (own, number) in enumerate(zip(latents, seeds, strict=True)):
            duration, envelope = scenes[row // takes].duration, envelopes[row // takes]
            samples, decoded = self.decode_take(own[None], duration, source, envelope=envelope, **use)
            sounds.append(GeneratedSound(samples, model.sample_rate, decoded, number))
        return replace(sounds[0], takes=tuple(sounds))

    def decode_take(
        self,
        latents: Tensor,
        duration: float,
        source: SourceSound | None,
        *,
        envelope: Envelope | None,
        follows: bool,
        match_levels: bool,
    ) -> tuple[np.ndarray, Tensor]:
        """Samples ``[2, N]`` of latents ``[1, C, T]``, and these latents, at the level of the envelope's loudest moment, which
        they do not carry. Where they hold levels as they are, these follow the envelope exactly."""
        model, frames = self.model, latents.shape[-1]
        happening = None if envelope is None or envelope.events is None else [event.time for event in envelope.events]
        if isinstance(model.autoencoder, LevelAutoencoder):
            latents = model.autoencoder.narrowed(latents, model.defaults.width)
            if envelope is not None and follows:
                moments = subframe_times(frames, model.latent_rate)
                course = torch.from_numpy(envelope.at(moments)).float()
                attacks = None if happening is None else torch.from_numpy(moments_of(happening, moments))
                latents = model.autoencoder.levelled(latents, course, attacks)
        level = model.defaults.level if envelope is None else float(envelope.values.max())
        if source is not None and (envelope is None or source.keep):
            level = source.level
        samples = decode(model.autoencoder, latents, round(duration * model.sample_rate))
        samples *= np.float32(level / REFERENCE_LEVEL)
        if source is not None and match_levels:
            samples = with_levels_of(samples, source.samples)
        if happening is not None:  # last: by the windows of levels, sound rises ahead of its event
            samples = with_sharp_attacks(samples, model.sample_rate, happening)
            if follows and envelope is not None and envelope.only_events:
                samples = with_even_tails(samples, model.sample_rate, envelope)
        if source is not None and source.keep:
            samples = pasted(samples, source.samples, source.keep, model.sample_rate)
        return samples, latents

    def check_inputs(
        self,
        prompts: Sequence[Prompt | None] = (),
        negative_prompt: Prompt | None = None,
        envelope: Envelope | None = None,
        timbre: Tensor | str | None = None,
        events: Events | None = None,
    ) -> None:
        """:raises StereoSyncError: for an input that the model does not take, or lacks."""
        name, denoiser = self.model.name, self.model.denoiser
        prompts = [given for given in (*prompts, negative_prompt) if given is not None]
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

    def envelope_with_events(
        self, envelope: Envelope | None, scene: SpatialConditioning, events: Events, timbre: Tensor | str | None
    ) -> Envelope:
        """The envelope that the events ask for, or the given one, which then knows them and whose they are. Raises
        StereoSyncError for events of another clip."""
        check_events_fit(events, scene.duration)
        made = envelope_from_events(events, scene.tracks, scene.depth, surface=ground_of(timbre), window=ENVELOPE_WINDOW)
        if envelope is None:
            return made
        owners = {track: np.interp(envelope.times, made.times, shares) for track, shares in made.owners.items()}
        return replace(envelope, owners=envelope.owners or owners, events=events)

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

        empty = None if self.text_encoder is None else conditioners.empty
        tokens = encoded(empty if prompt is None else prompt)
        if tokens is None:  # what stands after a prompt's end
            tokens = torch.zeros((1, 0, conditioners.width))
        begin = [start / self.model.latent_rate for start in starts]
        seconds = {"seconds_start": begin, "seconds_total": [duration] * len(starts)}
        return conditioners(tokens, seconds, encoded(empty if negative_prompt is None else negative_prompt))

    def guide_to_places(
        self,
        velocity: Velocity,
        scenes: Sequence[SpatialConditioning],
        guidance: SpatialGuidance,
        envelopes: Sequence[Envelope | None],
        source: SourceSound | None = None,
        takes: int = 1,
    ) -> Velocity:
        """A velocity under training-free spatial guidance (:mod:`.spatial_guidance`), to the levels of a given sound where
        there is one that is as long as the clip, else to the scene."""
        model, frames = self.model, latent_count(scenes[0].duration, self.model.latent_rate)
        if source is None or source.envelope is None:
            law, size = guidance.panning_law, (frames, model.latent_rate)
            targets = [
                spatial_guidance_target(*scene.selected(), *size, panning_law=law, envelope=envelope)
                for scene, envelope in zip(scenes, envelopes, strict=True)
            ]
        else:
            targets = [source.guidance_target(frames, model.latent_rate)]
        with torch.inference_mode(False):  # gradients go through it
            target = map_tensors(lambda *rows: torch.stack(rows).repeat_interleave(takes, dim=0), *targets)
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
