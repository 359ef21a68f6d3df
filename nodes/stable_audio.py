"""Stable Audio Open with the pack's own sampler: its loader, and sound for a text, as long as a clip."""

from pathlib import Path

from comfy_api.latest import io

from ..stereosync_core.errors import StereoSyncError
from ..stereosync_core.model.conditioning.spatial import SpatialConditioning
from ..stereosync_core.model.folder import read_model_config
from ..stereosync_core.model.generative_model import STABLE_AUDIO
from ..stereosync_core.model.loader import load_model
from ..stereosync_core.model.pipeline import StereoSyncPipeline
from ..stereosync_core.model.samplers import SAMPLER_NAMES
from ..stereosync_core.model.stable_audio.release import CONFIG
from ..stereosync_core.model.stable_audio_3.release import INDEX, is_stable_audio_3
from ..stereosync_core.scene import Tracks
from . import convert, host
from .inputs import (
    checked,
    choice_input,
    model_folder,
    panning_law_input,
    precision_input,
    scale_input,
    schema,
    seconds_input,
    seed_input,
    source_inputs,
    source_options,
    spatial_guidance_input,
    there,
    whole_input,
)
from .sampling import CATEGORY, KIND
from .shown import sound_shown
from .sockets import Envelope, Space, Timbre

StableAudioModel = io.Custom("STEREOSYNC_STABLE_AUDIO")
#: What is named to those who have nothing there.
CHECKPOINT = "stable-audio-open-1.0.safetensors"
AUTO, NONE = "auto", "none"
ADAPTER = "adapter.safetensors"
#: What a 0 in steps, cfg and space_scale means; a graph that was saved without the choice takes the first.
MODEL_DEFAULT, OFF = "model default", "off"
STEPS = "More steps are slower and better. The model's default is 100 for 1.0, 8 for Small."
SAMPLERS = "auto: the model's own. 1.0 takes dpmpp_3m_sde and dpmpp_2m; Small all but dpmpp_3m_sde."
ZEROS = (
    "model default: at 0, steps, cfg and space_scale are what the model was made for. off: at 0, a scale is off, as in every "
    "other node."
)
#: Bytes of work that memory is reserved for: the autoencoder decodes up to 288 latent frames at once, and each sample of single
#: precision takes about a thousand times its own size.
WORK = 288 * 2048 * 1000 * 4


def models() -> dict[str, Path]:
    """Releases' folders and single files, by name."""
    third = host.model_folders([KIND, "checkpoints"], INDEX)
    third = {name: path for name, path in third.items() if is_stable_audio_3(path)}
    return {**host.model_folders([KIND, "checkpoints"], CONFIG), **third, **host.checkpoints()}


def adapter_input() -> io.Input:
    what = "A folder in models/stereosync that you trained over this model; it adds space, envelope and timbre."
    return choice_input("adapter", [NONE, *host.model_folders([KIND], ADAPTER)], f"{what} none: sound for the text alone.")


def adapter_folder(name: str) -> Path:
    return model_folder([KIND], ADAPTER, name)


def envelope_scale_input() -> io.Input:
    return scale_input("envelope_scale", 1.0, "Scale of the envelope's control branch, with an adapter. 0: off.")


def envelope_input() -> io.Input:
    return Envelope.Input("envelope", optional=True, tooltip="When it sounds, for the adapter; without it, left to the model.")


def timbre_input() -> io.Input:
    return Timbre.Input("timbre", optional=True, tooltip="What it sounds like, for the adapter, next to the text.")


def require_adapter(envelope, timbre) -> None:
    """:raises StereoSyncError: for an input that needs an adapter; called where there is none."""
    for name, value in (("envelope", envelope), ("timbre", timbre)):
        if value is not None:
            raise StereoSyncError(
                f"The input '{name}' needs a StereoSync adapter, and none is loaded; choose one in 'adapter', or disconnect it."
            )


class StableAudioLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        names = list(models())
        options = names if CHECKPOINT in names else [*names, CHECKPOINT]
        return schema(
            node_id="StereoSyncStableAudioLoader",
            display_name="Stable Audio Loader",
            category=CATEGORY,
            description="Loads Stable Audio Open 1.0 or Small, or Stable Audio 3 in diffusers' form, which you download "
            "yourself, for the Stable Audio Sampler. Their weights are under Stability AI's Community licence.",
            inputs=[
                choice_input(
                    "model",
                    options,
                    "A file in models/checkpoints, or a release's folder (model_config.json and model.safetensors) in "
                    "models/stereosync or models/checkpoints.",
                    CHECKPOINT,
                ),
                adapter_input(),
                precision_input(),
            ],
            outputs=[StableAudioModel.Output(display_name="model", tooltip="The model, for Stable Audio Sampler.")],
        )

    @classmethod
    def execute(cls, model, adapter, precision) -> io.NodeOutput:
        path = models().get(model, host.model_target("checkpoints", model))
        folder = None if adapter == NONE else adapter_folder(adapter)
        return io.NodeOutput(host.patched(load_model(path, host.precision(precision), adapter=folder)))

    @classmethod
    def validate_inputs(cls, model=None, adapter=None):
        if adapter not in (None, NONE) and (wrong := checked(lambda: read_model_config(adapter_folder(adapter)))) is not True:
            return wrong
        path = models().get(model or "", host.model_target("checkpoints", model or ""))
        return model is None or there(path, lambda: load_model(path))


class StableAudioSampler(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncStableAudioSampler",
            display_name="Stable Audio Sampler",
            category=CATEGORY,
            description="Generates stereo sound for a text with Stable Audio Open, exactly as long as the clip. With an "
            "adapter also where things are, when the envelope has it, and with the timbre.",
            inputs=[
                StableAudioModel.Input("model", tooltip="From Stable Audio Loader."),
                io.Conditioning.Input(
                    "positive",
                    tooltip="What it sounds like: CLIP Text Encode, with t5-base in CLIPLoader of type stable_audio.",
                ),
                io.Conditioning.Input("negative", optional=True, tooltip="What it does not sound like; may be left out."),
                Space.Input(
                    "space",
                    optional=True,
                    tooltip="From Spatial Conditioning: the clip's length, and for the adapter where things are.",
                ),
                envelope_input(),
                timbre_input(),
                seconds_input(10.0, "How long the sound is where no space is connected."),
                seed_input(),
                whole_input("steps", 0, 0, 1000, STEPS),
                scale_input(
                    "cfg",
                    0.0,
                    "Classifier-free guidance scale of text and timbre. 1: without guidance. The model's default is 7 for 1.0, "
                    "1 for Small.",
                    most=20.0,
                ),
                scale_input(
                    "space_scale",
                    0.0,
                    "Guidance scale of boxes and depth, with an adapter. The default is that of cfg, which is a third faster "
                    "than another.",
                    most=20.0,
                ),
                envelope_scale_input(),
                choice_input("sampler", [AUTO, *SAMPLER_NAMES], SAMPLERS),
                spatial_guidance_input(
                    STABLE_AUDIO.spatial_guidance.strength,
                    "Training-free spatial guidance: moves the predicted sound this far towards where the boxes are, without "
                    "an adapter: every fifth step, through the decoder, which takes time.",
                ),
                panning_law_input(STABLE_AUDIO.spatial_guidance.panning_law, optional=True),
                choice_input("zero_means", [MODEL_DEFAULT, OFF], ZEROS, display_name="0 means", optional=True),
                *source_inputs(STABLE_AUDIO.strength),
            ],
            outputs=[
                io.Audio.Output(
                    display_name="audio", tooltip="Stereo at 44.1 kHz, exactly as long as the clip; a batch of takes."
                ),
                io.Latent.Output(display_name="latent", tooltip="The model's latents; for VAE Decode Audio."),
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
        law=STABLE_AUDIO.spatial_guidance.panning_law,
        zero_means=MODEL_DEFAULT,
        negative=None,
        space=None,
        envelope=None,
        timbre=None,
        audio=None,
        strength=STABLE_AUDIO.strength,
        match_levels=False,
        keep="",
        takes=1,
    ) -> io.NodeOutput:
        def number(value):
            return None if not value and zero_means == MODEL_DEFAULT else value

        sound = StereoSyncPipeline(host.placed(model, WORK))(
            SpatialConditioning(Tracks((), seconds), None) if space is None else space,
            convert.prompts_of(positive, "positive"),
            None if negative is None else convert.tokens_of(negative, "negative"),
            envelope=envelope,
            timbre=timbre,
            num_inference_steps=number(steps),
            guidance_scale=number(cfg),
            spatial_scale=number(space_scale),
            control_scale=envelope_scale,
            spatial_guidance=spatial_guidance,
            panning_law=law,
            sampler=None if sampler == AUTO else sampler,
            seed=seed,
            **source_options(audio, strength, match_levels, keep, takes, model.model.sample_rate),
            progress=host.progress(),
        )
        tracks = None if space is None else space.tracks
        return io.NodeOutput(*convert.generated_out(sound), ui=sound_shown(sound.samples, sound.rate, cls, tracks))


NODES = [StableAudioLoader, StableAudioSampler]
