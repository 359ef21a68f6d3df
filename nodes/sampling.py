"""The StereoSync model: its loader, and the sampler that makes sound out of noise."""

from __future__ import annotations

from comfy_api.latest import io

from ..stereosync_core.model.generate import Sampling, decoded, make_conditions, sample_latents, spatial_lead
from ..stereosync_core.model.loader import load_model
from ..stereosync_core.model.samplers import SAMPLERS
from . import convert, host
from .sockets import Envelope, Model, Space, Timbre

CATEGORY = "StereoSync/model"
KIND, BUNDLED = "stereosync", "bundled"
host.provide_model_folder(KIND)
DEFAULTS = Sampling()


def seed_input() -> io.Input:
    return io.Int.Input(
        "seed", default=0, min=0, max=2**31 - 1, control_after_generate=True, tooltip="Another seed, another sound."
    )


def guidance_input(tooltip: str) -> io.Input:
    return io.Float.Input(
        "spatial_guidance",
        default=DEFAULTS.spatial_guidance,
        min=0.0,
        max=1.0,
        step=0.05,
        optional=True,
        tooltip=tooltip,
    )


class ModelLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="StereoSyncModelLoader",
            display_name="StereoSync Model Loader",
            category=CATEGORY,
            description="The model that makes sound for a clip. The bundled one needs no download: it is small, and was "
            "trained on footsteps in rooms.",
            inputs=[
                io.Combo.Input(
                    "model",
                    options=[BUNDLED, *host.model_folders([KIND], "diffusion.safetensors")],
                    default=BUNDLED,
                    tooltip="bundled, or a folder in models/stereosync that you trained.",
                )
            ],
            outputs=[Model.Output(display_name="model")],
        )

    @classmethod
    def execute(cls, model) -> io.NodeOutput:
        folder = (
            None if model == BUNDLED else host.model_folders([KIND], "config.json").get(model, host.model_target(KIND, model))
        )
        return io.NodeOutput(host.patched(load_model(folder)))

    @classmethod
    def validate_inputs(cls, model):
        return True  # a folder that is absent is explained by the loader


class DitSampler(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        scale = {"min": 0.0, "max": 10.0, "step": 0.1}
        return io.Schema(
            node_id="StereoSyncDitSampler",
            display_name="DiT Sampler",
            category=CATEGORY,
            description="Makes stereo sound out of noise: where things are, when the envelope says, and like the timbre. "
            "Exactly as long as the clip, whatever its length.",
            inputs=[
                Model.Input("model", tooltip="From StereoSync Model Loader."),
                Space.Input("space", tooltip="From Spatial Conditioning: where things are."),
                Envelope.Input("envelope", optional=True, tooltip="When it sounds, how loud; without it, as the model likes."),
                Timbre.Input("timbre", optional=True, tooltip="What it sounds like; without it, as the model likes."),
                seed_input(),
                io.Int.Input(
                    "steps", default=DEFAULTS.steps, min=1, max=200, tooltip="More steps are slower and, up to some 30, better."
                ),
                io.Float.Input(
                    "cfg", default=DEFAULTS.cfg, **scale, tooltip="How strongly the timbre is followed; 1 is without guidance."
                ),
                io.Float.Input(
                    "space_scale",
                    default=DEFAULTS.space,
                    **scale,
                    tooltip="How strongly boxes and depth are followed. As large as cfg, each step takes a third less time.",
                ),
                io.Float.Input(
                    "envelope_scale",
                    default=DEFAULTS.envelope,
                    **scale,
                    tooltip="How strongly the envelope is followed; 0: not.",
                ),
                io.Combo.Input(
                    "sampler",
                    options=list(SAMPLERS),
                    default=DEFAULTS.sampler,
                    tooltip="euler: first order. heun: second order, two evaluations a step. dpmpp_2m: second order at one.",
                ),
                guidance_input(
                    "Moves each step's sound this far towards where the boxes are, whatever the model has learned of places. "
                    "0: not; the bundled model has learned them. 1: for models that have not."
                ),
            ],
            outputs=[
                io.Audio.Output(display_name="audio", tooltip="Stereo at 44.1 kHz, exactly as long as the clip."),
                io.Latent.Output(display_name="latent", tooltip="The model's latents, before they are decoded."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        model,
        space,
        seed,
        steps,
        cfg,
        space_scale,
        envelope_scale,
        sampler,
        spatial_guidance=DEFAULTS.spatial_guidance,
        envelope=None,
        timbre=None,
    ) -> io.NodeOutput:
        options = Sampling(
            steps=steps,
            sampler=sampler,
            cfg=cfg,
            space=space_scale,
            envelope=envelope_scale,
            seed=seed,
            spatial_guidance=spatial_guidance,
        )
        loaded = host.placed(model)
        tracks, depth = space.told()
        if envelope is not None and not envelope.values.any():
            host.notice("DiT Sampler: the envelope is silent from beginning to end, and so is the sound.", cls.hidden.unique_id)
        conditions, loudest = make_conditions(loaded, tracks, depth, envelope, timbre)
        lead = spatial_lead(loaded, tracks, depth, options)
        latents = sample_latents(loaded, conditions, options, host.progress(), lead)
        sound = decoded(loaded, latents, space.duration, loudest)
        return io.NodeOutput(convert.audio_out(sound, loaded.sample_rate), {"samples": latents, "type": "audio"})


NODES = [ModelLoader, DitSampler]
