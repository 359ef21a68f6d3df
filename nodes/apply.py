"""Stable Audio Open with the host's own nodes: the pack's adapter, and spatial guidance without one, on a native MODEL."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from comfy_api.latest import io

from ..stereosync_core.errors import StereoSyncError
from ..stereosync_core.model.conditioning.features import latent_count
from ..stereosync_core.model.conditioning.target import StereoTarget, stereo_target
from ..stereosync_core.model.generate import make_conditions
from ..stereosync_core.model.spatial_guidance import SpatialGuidance
from ..stereosync_core.model.stable_audio.borrowed import LATENT_RATE
from ..stereosync_core.rendering.panning_laws import panning_laws
from . import host, native
from .sampling import CATEGORY
from .sockets import Envelope, Space
from .stable_audio import (
    NONE,
    adapter_folder,
    adapter_input,
    envelope_input,
    envelope_scale_input,
    refuse_unheard,
    timbre_input,
)

LEADING = SpatialGuidance()


@dataclass(frozen=True)
class Ear:
    """An adapter on a native MODEL, for :func:`make_conditions`."""

    latent_rate: float
    timbre_size: int


class ApplyStereoSync(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="StereoSyncApply",
            display_name="Apply StereoSync",
            category=CATEGORY,
            description="Has the host's own Stable Audio make sound for a clip: as long as the clip, and with an adapter where "
            "things are and when the envelope says. Native samplers, guiders, LoRAs and VAE Decode Audio go on working.",
            inputs=[
                io.Model.Input(
                    "model", tooltip="Stable Audio Open 1.0 from the native Load Checkpoint, with or without LoRAs."
                ),
                io.Conditioning.Input("positive", tooltip="What it is to sound like, from CLIP Text Encode."),
                io.Conditioning.Input("negative", tooltip="What it is not to sound like; an empty text says nothing."),
                Space.Input(
                    "space", tooltip="From Spatial Conditioning: the clip's length, and for the adapter where things are."
                ),
                envelope_input(),
                timbre_input(),
                adapter_input(),
                envelope_scale_input(),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="For any native sampler or guider."),
                io.Conditioning.Output(display_name="positive", tooltip="Knows the clip's length and where things are."),
                io.Conditioning.Output(display_name="negative", tooltip="Knows the clip's length."),
                io.Latent.Output(display_name="latent", tooltip="Empty, as long as the clip: the sampler's latent_image."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, model, positive, negative, space, adapter, envelope_scale, envelope=None, timbre=None) -> io.NodeOutput:
        from stereosync_core.model.stable_audio.adapter import load_adapter

        base = native.base_of(model)
        frames = latent_count(space.duration, base.latent_rate)
        latent = {"samples": torch.zeros(1, base.backbone.config["io_channels"], frames), "type": "audio"}
        if adapter == NONE:
            refuse_unheard(envelope, timbre, "'adapter'")
        else:
            loaded = load_adapter(adapter_folder(adapter), base, native.computes_in(model))
            ear, (tracks, depth) = Ear(base.latent_rate, loaded.timbre.in_features), space.told()

            def conditions(count: int):
                """Of as many latent frames as the sampler's latent has, should it be another than ours."""
                return make_conditions(ear, replace(tracks, duration=count / ear.latent_rate), depth, envelope, timbre)[0]

            conditions(frames)  # what is wrong is told here and not by the sampler
            if loaded.window and frames > loaded.window:
                host.notice(
                    f"Apply StereoSync: the adapter was trained on {loaded.window / base.latent_rate:.1f} s at a time, and "
                    "native samplers take the clip as a whole; the Stable Audio Sampler goes by windows.",
                    cls.hidden.unique_id,
                )
            model = native.with_adapter(model, host.patched(loaded), conditions, envelope_scale)
        told = native.marked(positive, "positive", base, space.duration, told=True)
        against = native.marked(negative, "negative", base, space.duration, told=False)
        return io.NodeOutput(model, told, against, latent)

    @classmethod
    def validate_inputs(cls, adapter):
        return True  # a folder that is absent is explained when it is loaded


class SpatialGuider(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="StereoSyncSpatialGuider",
            display_name="Spatial Guider",
            category=CATEGORY,
            description="Leads any native sampler to put Stable Audio's sound where things are, without any training: at each "
            "step the levels of both channels are read off the latents and moved to where the scene wants them.",
            inputs=[
                io.Model.Input("model", tooltip="Stable Audio Open 1.0, by itself or from Apply StereoSync."),
                io.Vae.Input("vae", tooltip="Of the same Load Checkpoint: the levels are read through it."),
                Space.Input("space", tooltip="From Spatial Conditioning: where things are."),
                Envelope.Input(
                    "envelope", optional=True, tooltip="What the loudness follows where level is above 0; else the distance."
                ),
                io.Float.Input(
                    "strength",
                    default=LEADING.strength,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="Share of the way to the wanted place that each round goes.",
                ),
                io.Combo.Input(
                    "law",
                    options=list(panning_laws()),
                    default=LEADING.law,
                    tooltip="How a place becomes a difference of level: pan as at a mixing desk; binaural for headphones; "
                    "rooms as in a game engine.",
                ),
                io.Float.Input(
                    "level",
                    default=LEADING.level,
                    min=0.0,
                    max=10.0,
                    step=0.1,
                    tooltip="How much the course of the loudness counts beside the place; 0: it may be loud when it likes.",
                ),
                io.Int.Input(
                    "rounds", default=LEADING.rounds, min=1, max=50, tooltip="Corrections a step; each decodes the sound once."
                ),
                io.Int.Input(
                    "every",
                    default=LEADING.every,
                    min=1,
                    max=100,
                    tooltip="Lead in every so many steps: a correction takes longer than the network itself.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="For any native sampler or guider.")],
        )

    @classmethod
    def execute(cls, model, vae, space, strength, law, level, rounds, every, envelope=None) -> io.NodeOutput:
        how = SpatialGuidance(strength=strength, law=law, level=level, rounds=rounds, every=every)
        tracks, depth = space.told()
        if len(tracks) == 0:
            raise StereoSyncError(
                "The input 'space' holds no tracks, so nothing says where the sound is to be; follow something in the clip, "
                "and let Spatial Conditioning use boxes."
            )

        def target(frames: int) -> StereoTarget:
            whole = level > 0
            return stereo_target(tracks, depth, frames, LATENT_RATE, law=law, envelope=envelope, level=whole)

        return io.NodeOutput(native.led(model, vae, target, how) if strength else model)


NODES = [ApplyStereoSync, SpatialGuider]
