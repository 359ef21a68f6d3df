"""The StereoSync model: its loader, and the sampler that makes sound out of noise."""

from comfy_api.latest import io

from ..stereosync_core.model.generative_model import STEREOSYNC
from ..stereosync_core.model.loader import load_model
from ..stereosync_core.model.pipeline import StereoSyncPipeline
from . import convert, host
from .inputs import (
    choice_input,
    model_folder,
    panning_law_input,
    scale_input,
    schema,
    seed_input,
    source_inputs,
    source_options,
    spatial_guidance_input,
    there,
    whole_input,
)
from .shown import sound_shown
from .sockets import Envelope, Model, Space, Timbre

CATEGORY = "StereoSync/model"
KIND, BUNDLED = "stereosync", "bundled"
SAMPLERS = "euler: first order. heun: second order, two evaluations a step. dpmpp_2m: second order at one."
host.provide_model_folder(KIND)


class ModelLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncModelLoader",
            display_name="StereoSync Model Loader",
            category=CATEGORY,
            description="The model that makes sound for a clip. The bundled one needs no download: it is small, and was "
            "trained on footsteps in rooms.",
            inputs=[
                choice_input(
                    "model",
                    [BUNDLED, *host.model_folders([KIND], "diffusion.safetensors")],
                    "bundled, or a folder in models/stereosync that you trained.",
                )
            ],
            outputs=[Model.Output(display_name="model", tooltip="The model, for Timbre and StereoSync Sampler.")],
        )

    @classmethod
    def execute(cls, model) -> io.NodeOutput:
        folder = None if model == BUNDLED else model_folder([KIND], "config.json", model)
        return io.NodeOutput(host.patched(load_model(folder)))

    @classmethod
    def validate_inputs(cls, model=None):
        folder = model_folder([KIND], "config.json", model or "")
        return model in (None, BUNDLED) or there(folder, lambda: load_model(folder))


class DitSampler(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        steps, cfg, space = STEREOSYNC.num_inference_steps, STEREOSYNC.guidance_scale, STEREOSYNC.spatial_scale
        return schema(
            node_id="StereoSyncDitSampler",
            display_name="StereoSync Sampler",
            category=CATEGORY,
            description="Generates stereo sound for a clip from noise: where things are, when the envelope has it, and with "
            "the timbre. Exactly as long as the clip, whatever its length.",
            inputs=[
                Model.Input("model", tooltip="From StereoSync Model Loader."),
                Space.Input("space", tooltip="From Spatial Conditioning: where things are."),
                Envelope.Input("envelope", optional=True, tooltip="When it sounds, how loud; without it, left to the model."),
                Timbre.Input("timbre", optional=True, tooltip="What it sounds like; without it, left to the model."),
                seed_input(),
                whole_input("steps", steps, 1, 200, "More are slower and, up to some 30, better."),
                scale_input("cfg", cfg, "Classifier-free guidance scale of the timbre. 1: without guidance. 0: off."),
                scale_input(
                    "space_scale",
                    space,
                    "Guidance scale of boxes and depth. Equal to cfg, each step takes a third less time. 0: off.",
                ),
                scale_input("envelope_scale", 1.0, "Scale of the envelope's control branch. 0: off."),
                choice_input("sampler", ["euler", "heun", "dpmpp_2m"], SAMPLERS, STEREOSYNC.sampler),
                spatial_guidance_input(
                    STEREOSYNC.spatial_guidance.strength,
                    "Training-free spatial guidance: moves each step's predicted sound this far towards where the boxes are. "
                    "Without it the bundled model's sound leans to its side and no more.",
                ),
                panning_law_input(STEREOSYNC.spatial_guidance.panning_law, optional=True),
                *source_inputs(STEREOSYNC.strength),
            ],
            outputs=[
                io.Audio.Output(
                    display_name="audio", tooltip="Stereo at 44.1 kHz, exactly as long as the clip; a batch of takes."
                ),
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
        spatial_guidance=None,
        law=STEREOSYNC.spatial_guidance.panning_law,
        envelope=None,
        timbre=None,
        audio=None,
        strength=STEREOSYNC.strength,
        match_levels=False,
        keep="",
        takes=1,
    ) -> io.NodeOutput:
        if envelope is not None and not envelope.values.any():
            host.notice("The envelope is silent from beginning to end, and so is the sound.", cls.hidden.unique_id)
        sound = StereoSyncPipeline(host.placed(model))(
            space,
            envelope=envelope,
            timbre=timbre,
            num_inference_steps=steps,
            guidance_scale=cfg,
            spatial_scale=space_scale,
            control_scale=envelope_scale,
            spatial_guidance=spatial_guidance,
            panning_law=law,
            sampler=sampler,
            seed=seed,
            **source_options(audio, strength, match_levels, keep, takes, model.model.sample_rate),
            progress=host.progress(),
        )
        return io.NodeOutput(*convert.generated_out(sound), ui=sound_shown(sound.samples, sound.rate, cls, space.tracks))


NODES = [ModelLoader, DitSampler]
