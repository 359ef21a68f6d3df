"""Stable Audio Open with the pack's own sampler: its loader, and sound for a text, as long as a clip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from comfy_api.latest import io

from ..stereosync_core.errors import StereoSyncError
from ..stereosync_core.model.conditioning.features import REFERENCE_LEVEL, latent_count
from ..stereosync_core.model.conditioning.target import stereo_target
from ..stereosync_core.model.generate import make_conditions
from ..stereosync_core.model.packed import pack
from ..stereosync_core.model.spatial_guidance import Lead, SpatialGuidance
from ..stereosync_core.model.stable_audio.release import CONFIG
from ..stereosync_core.model.stable_audio.samplers import SAMPLERS
from ..stereosync_core.scene import Tracks
from . import convert, host
from .inputs import precision_input
from .sampling import CATEGORY, KIND, guidance_input, seed_input
from .sockets import Envelope, Space, Timbre

if TYPE_CHECKING:
    from stereosync_core.model.stable_audio.model import StableAudio

StableAudioModel = io.Custom("STEREOSYNC_STABLE_AUDIO")
#: What is named to those who have nothing there.
CHECKPOINT = "stable-audio-open-1.0.safetensors"
AUTO, NONE = "auto", "none"
ADAPTER = "adapter.safetensors"
#: Names of all samplers, the releases' own first.
NAMES = list(dict.fromkeys(name for known in SAMPLERS.values() for name in known))
#: Bytes of work that room is asked for: the autoencoder decodes up to 288 latent frames at once, and each sample of single
#: precision takes about a thousand times its own size.
WORK = 288 * 2048 * 1000 * 4


def models() -> dict[str, Path]:
    """Releases' folders and single files, by name."""
    return {**host.model_folders([KIND, "checkpoints"], CONFIG), **host.checkpoints()}


def adapter_input() -> io.Input:
    return io.Combo.Input(
        "adapter",
        options=[NONE, *host.model_folders([KIND], ADAPTER)],
        default=NONE,
        tooltip="A folder in models/stereosync that you trained over this model; it hears space, envelope and timbre. none: "
        "sound for the text alone.",
    )


def adapter_folder(name: str) -> Path:
    return host.model_folders([KIND], ADAPTER).get(name, host.model_target(KIND, name))


def envelope_scale_input() -> io.Input:
    return io.Float.Input(
        "envelope_scale",
        default=1.0,
        min=0.0,
        max=10.0,
        step=0.1,
        tooltip="How strongly the adapter follows the envelope; 0: not.",
    )


def envelope_input() -> io.Input:
    return Envelope.Input("envelope", optional=True, tooltip="When it sounds, for the adapter; without it, as the model likes.")


def timbre_input() -> io.Input:
    return Timbre.Input("timbre", optional=True, tooltip="What it sounds like, for the adapter, beside the text.")


def refuse_unheard(envelope, timbre, where: str) -> None:
    """:raises StereoSyncError: for what only an adapter hears, without one."""
    given = [name for name, value in (("envelope", envelope), ("timbre", timbre)) if value is not None]
    if given:
        raise StereoSyncError(
            f"The input '{given[0]}' is heard by an adapter alone, and the model has none; choose one in {where}, or take the "
            "connection away."
        )


def led(strength: float, model: StableAudio) -> SpatialGuidance:
    """Guidance as often as it can be paid for: each step by a head that reads levels, every fifth through the decoder."""
    return SpatialGuidance(strength) if model.levels is not None else SpatialGuidance(strength, rounds=2, every=5)


class StableAudioLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        names = list(models())
        options = names if CHECKPOINT in names else [*names, CHECKPOINT]
        return io.Schema(
            node_id="StereoSyncStableAudioLoader",
            display_name="Stable Audio Loader",
            category=CATEGORY,
            description="Loads Stable Audio Open 1.0 or Small, which you download yourself, for the Stable Audio Sampler. Its "
            "weights are under Stability AI's Community licence.",
            inputs=[
                io.Combo.Input(
                    "model",
                    options=options,
                    default=CHECKPOINT,
                    tooltip="A file in models/checkpoints, or a release's folder (model_config.json and model.safetensors) in "
                    "models/stereosync or models/checkpoints.",
                ),
                adapter_input(),
                precision_input(),
            ],
            outputs=[StableAudioModel.Output(display_name="model")],
        )

    @classmethod
    def execute(cls, model, adapter, precision) -> io.NodeOutput:
        from stereosync_core.model.stable_audio.adapter import load_adapter
        from stereosync_core.model.stable_audio.model import load_stable_audio

        dtype = host.precision(precision)
        loaded = load_stable_audio(models().get(model, host.model_target("checkpoints", model)), dtype)
        if adapter != NONE:
            loaded.adapter = load_adapter(adapter_folder(adapter), loaded, dtype)
            loaded.hear_levels(adapter_folder(adapter))
        if dtype == torch.float32:
            pack(loaded)
        return io.NodeOutput(host.patched(loaded))

    @classmethod
    def validate_inputs(cls, model, adapter):
        return True  # what is absent is explained by the loader


class StableAudioSampler(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="StereoSyncStableAudioSampler",
            display_name="Stable Audio Sampler",
            category=CATEGORY,
            description="Makes stereo sound for a text with Stable Audio Open, exactly as long as the clip. With an adapter "
            "also where things are, when the envelope says, and like the timbre.",
            inputs=[
                StableAudioModel.Input("model", tooltip="From Stable Audio Loader."),
                io.Conditioning.Input(
                    "positive",
                    tooltip="What it is to sound like: CLIP Text Encode, with t5-base in CLIPLoader of type stable_audio.",
                ),
                io.Conditioning.Input("negative", optional=True, tooltip="What it is not to sound like; may be left out."),
                Space.Input(
                    "space",
                    optional=True,
                    tooltip="From Spatial Conditioning: the clip's length, and for the adapter where things are.",
                ),
                envelope_input(),
                timbre_input(),
                io.Float.Input(
                    "seconds",
                    default=10.0,
                    min=0.1,
                    max=3600.0,
                    step=0.1,
                    tooltip="How long the sound is where no space is connected.",
                ),
                seed_input(),
                io.Int.Input(
                    "steps", default=0, min=0, max=1000, tooltip="0: as the model was made for, 100 for 1.0, 8 for Small."
                ),
                io.Float.Input(
                    "cfg",
                    default=0.0,
                    min=0.0,
                    max=20.0,
                    step=0.1,
                    tooltip="How strongly text and timbre are followed; 1 is without guidance. 0: as the model was made for, 7 "
                    "for 1.0, 1 for Small.",
                ),
                io.Float.Input(
                    "space_scale",
                    default=0.0,
                    min=0.0,
                    max=20.0,
                    step=0.1,
                    tooltip="How strongly the adapter follows boxes and depth. 0: as strongly as cfg, a third faster.",
                ),
                envelope_scale_input(),
                io.Combo.Input(
                    "sampler",
                    options=[AUTO, *NAMES],
                    default=AUTO,
                    tooltip="auto: the model's own. 1.0 knows dpmpp_3m_sde and dpmpp_2m; Small all but dpmpp_3m_sde.",
                ),
                guidance_input(
                    "Moves the sound this far towards where the boxes are while it is made, without an adapter: every fifth "
                    "step, through the decoder, which takes time. 0: not."
                ),
            ],
            outputs=[
                io.Audio.Output(display_name="audio", tooltip="Stereo at 44.1 kHz, exactly as long as the clip."),
                io.Latent.Output(display_name="latent", tooltip="The model's latents; VAE Decode Audio understands them."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model,
        positive,
        seconds,
        seed,
        steps,
        cfg,
        space_scale,
        envelope_scale,
        sampler,
        spatial_guidance=0.0,
        negative=None,
        space=None,
        envelope=None,
        timbre=None,
    ) -> io.NodeOutput:
        from stereosync_core.model.stable_audio.generate import StableAudioSampling, decoded, sample_latents

        options = StableAudioSampling(steps or None, None if sampler == AUTO else sampler, cfg or None, seed)
        loaded: StableAudio = host.placed(model, WORK)
        duration = seconds if space is None else space.duration
        tracks, depth = (Tracks((), duration), None) if space is None else space.told()
        conditions, loudest, lead = None, REFERENCE_LEVEL, None
        if loaded.adapter is None:
            refuse_unheard(envelope, timbre, "Stable Audio Loader")
        else:
            conditions, level = make_conditions(loaded, tracks, depth, envelope, timbre)
            loudest = loudest if envelope is None else level
        if spatial_guidance:
            frames = latent_count(duration, loaded.latent_rate)
            lead = Lead(stereo_target(tracks, depth, frames, loaded.latent_rate), led(spatial_guidance, loaded))
        latents = sample_latents(
            loaded,
            convert.tokens_of(positive, "positive"),
            duration,
            against=None if negative is None else convert.tokens_of(negative, "negative"),
            conditions=conditions,
            space=space_scale or None,
            envelope=envelope_scale,
            lead=lead,
            options=options,
            progress=host.progress(),
        )
        sound = decoded(loaded, latents, duration, loudest)
        return io.NodeOutput(convert.audio_out(sound, loaded.sample_rate), {"samples": latents, "type": "audio"})


NODES = [StableAudioLoader, StableAudioSampler]
