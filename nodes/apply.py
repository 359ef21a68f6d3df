"""Stable Audio Open with the host's own nodes: the pack's adapter, and spatial guidance without one, on a native MODEL."""

from dataclasses import replace

import torch
from comfy_api.latest import io

from ..stereosync_core.errors import StereoSyncError
from ..stereosync_core.model.adapter import load_adapter
from ..stereosync_core.model.conditioning.clip import clip_conditions
from ..stereosync_core.model.conditioning.features import latent_count
from ..stereosync_core.model.folder import read_model_config
from ..stereosync_core.model.host_backbone import HostBackbone
from ..stereosync_core.model.source_sound import target_for
from ..stereosync_core.model.spatial_guidance import SpatialGuidance
from . import convert, host, native
from .inputs import checked, number_input, panning_law_input, scale_input, schema, whole_input
from .sampling import CATEGORY
from .sockets import Envelope, Space
from .stable_audio import (
    NONE,
    adapter_folder,
    adapter_input,
    envelope_input,
    envelope_scale_input,
    require_adapter,
    timbre_input,
)

DEFAULTS = SpatialGuidance()
STRENGTH = "Share of the way to the wanted place that each round goes. 0: off."
EVERY = "Correct in every so many steps: a correction takes longer than the network itself."


class ApplyStereoSync(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncApply",
            display_name="Apply StereoSync",
            category=CATEGORY,
            description="Has the host's own Stable Audio make sound for a clip: as long as the clip, and with an adapter where "
            "things are and when the envelope has it. Native samplers, guiders, LoRAs and VAE Decode Audio go on working.",
            inputs=[
                io.Model.Input("model", tooltip="Stable Audio Open 1.0, or 3, from the native Load Checkpoint, with LoRAs."),
                io.Conditioning.Input("positive", tooltip="What it sounds like, from CLIP Text Encode."),
                io.Conditioning.Input("negative", tooltip="What it does not sound like; an empty text for nothing."),
                Space.Input("space", tooltip="From Spatial Conditioning: the clip's length; for the adapter where things are."),
                envelope_input(),
                timbre_input(),
                adapter_input(),
                envelope_scale_input(),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="For any native sampler or guider."),
                io.Conditioning.Output(display_name="positive", tooltip="With the clip's length and where things are."),
                io.Conditioning.Output(display_name="negative", tooltip="With the clip's length."),
                io.Latent.Output(display_name="latent", tooltip="Empty, as long as the clip: the sampler's latent_image."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, model, positive, negative, space, adapter, envelope_scale, envelope=None, timbre=None) -> io.NodeOutput:
        base = native.release_of(model)
        frames = latent_count(space.duration, base.latent_rate)
        latent = {"samples": torch.zeros(1, base.latent_channels, frames), "type": "audio"}
        if adapter == NONE:
            require_adapter(envelope, timbre)
        else:
            whole, rate = base if isinstance(base, HostBackbone) else native.base_of(model), base.latent_rate
            loaded = load_adapter(adapter_folder(adapter), whole, native.compute_dtype(model.model))
            tracks, depth = space.selected()
            sizes = {"latent_rate": rate, "timbre_size": loaded.timbre.in_features}

            def conditions(count: int):
                """Of as many latent frames as the sampler's latent has, should it be another than ours."""
                return clip_conditions(replace(tracks, duration=count / rate), depth, envelope, timbre, **sizes)

            conditions(frames)  # errors come from here and not from the sampler
            window = loaded.config.get("window")
            if window and frames > window:
                host.notice(
                    f"Apply StereoSync: the adapter was trained on {window / base.latent_rate:.1f} s at a time, and native "
                    "samplers take the clip as a whole; the Stable Audio Sampler takes it in windows.",
                    cls.hidden.unique_id,
                )
            model = native.with_adapter(model, host.patched(loaded), conditions, envelope_scale)
        conditional = native.marked(positive, "positive", base, space.duration, conditional=True)
        unconditional = native.marked(negative, "negative", base, space.duration, conditional=False)
        return io.NodeOutput(model, conditional, unconditional, latent)

    @classmethod
    def validate_inputs(cls, adapter=None):
        return adapter in (None, NONE) or checked(lambda: read_model_config(adapter_folder(adapter)))


class SpatialGuider(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncSpatialGuider",
            display_name="Spatial Guider",
            category=CATEGORY,
            description="Training-free spatial guidance for the host's own Stable Audio: at each step of any native sampler "
            "the levels of both channels are read off the latents and moved to where the scene is.",
            inputs=[
                io.Model.Input("model", tooltip="Stable Audio Open 1.0 or 3, by itself or from Apply StereoSync."),
                io.Vae.Input("vae", tooltip="Of the same Load Checkpoint: the levels are read through it."),
                Space.Input("space", tooltip="From Spatial Conditioning: where things are."),
                Envelope.Input(
                    "envelope", optional=True, tooltip="What the loudness follows where level is above 0; else the distance."
                ),
                number_input("strength", DEFAULTS.strength, 0.0, 2.0, 0.05, STRENGTH),
                panning_law_input(DEFAULTS.panning_law),
                scale_input(
                    "level",
                    DEFAULTS.loudness_weight,
                    "Weight of the course of the loudness against that of the place. 0: off, left to the model.",
                    shown="loudness weight",
                ),
                whole_input("rounds", DEFAULTS.rounds, 1, 50, "Corrections a step; each decodes the sound once."),
                whole_input("every", DEFAULTS.every, 1, 100, EVERY),
                io.Audio.Input(
                    "audio",
                    optional=True,
                    tooltip="A placed sound whose levels are gone by instead of the scene: to refine it.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="For any native sampler or guider.")],
        )

    @classmethod
    def execute(cls, model, vae, space, strength, law, level, rounds, every, envelope=None, audio=None) -> io.NodeOutput:
        guidance = SpatialGuidance(strength, law, level, rounds, every)
        if len(space.selected()[0]) == 0 and audio is None:
            raise StereoSyncError(
                "The input 'space' holds no tracks, so there is no place to guide the sound to; track something in the clip, "
                "and let Spatial Conditioning use boxes."
            )

        sound = None if audio is None else convert.sound_of(audio)
        target = target_for(space, sound, native.SAMPLE_RATE, panning_law=law, envelope=envelope, level=level > 0)
        return io.NodeOutput(native.with_spatial_guidance(model, vae, target, guidance) if strength else model)


NODES = [ApplyStereoSync, SpatialGuider]
