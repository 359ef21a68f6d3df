"""Stable Audio Open with the pack's own sampler: its loader, and sound for a text, as long as a clip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from comfy_api.latest import io

from ..stereosync_core.diffusion.stable_audio.release import CONFIG
from ..stereosync_core.diffusion.stable_audio.samplers import SAMPLERS
from . import host
from .rollingdepth import precision_input
from .sampling import CATEGORY, KIND
from .sockets import Space

if TYPE_CHECKING:
    from ..stereosync_core.diffusion.stable_audio.model import StableAudio

StableAudioModel = io.Custom("STEREOSYNC_STABLE_AUDIO")
#: What is named to those who have nothing there.
CHECKPOINT = "stable_audio_open_1.0.safetensors"
AUTO = "auto"
#: Names of all samplers, the releases' own first.
NAMES = list(dict.fromkeys(name for known in SAMPLERS.values() for name in known))
#: Bytes for each sample that the autoencoder decodes at once and each byte of a number; the host reckons with as many.
_WORK = 1000


def models() -> dict[str, Path]:
    """Releases' folders and single files, by name."""
    return {**host.model_folders([KIND, "checkpoints"], CONFIG), **host.checkpoints()}


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
                precision_input(),
            ],
            outputs=[StableAudioModel.Output(display_name="model")],
        )

    @classmethod
    def execute(cls, model, precision) -> io.NodeOutput:
        from ..stereosync_core.diffusion.stable_audio.model import load_stable_audio

        path = models().get(model, host.model_target("checkpoints", model))
        return io.NodeOutput(host.patched(load_stable_audio(path, host.precision(precision))))

    @classmethod
    def validate_inputs(cls, model):
        return True  # a file that is absent is explained by the loader


class StableAudioSampler(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="StereoSyncStableAudioSampler",
            display_name="Stable Audio Sampler",
            category=CATEGORY,
            description="Makes stereo sound for a text with Stable Audio Open, exactly as long as the clip.",
            inputs=[
                StableAudioModel.Input("model", tooltip="From Stable Audio Loader."),
                io.Conditioning.Input(
                    "positive",
                    tooltip="What it is to sound like: CLIP Text Encode, with t5_base in CLIPLoader of type stable_audio.",
                ),
                io.Conditioning.Input(
                    "negative",
                    optional=True,
                    tooltip="What it is not to sound like; may be left out.",
                ),
                Space.Input("space", optional=True, tooltip="From Spatial Conditioning: gives the clip's length."),
                io.Float.Input(
                    "seconds",
                    default=10.0,
                    min=0.1,
                    max=3600.0,
                    step=0.1,
                    tooltip="How long the sound is where no space is connected.",
                ),
                io.Int.Input(
                    "seed", default=0, min=0, max=2**31 - 1, control_after_generate=True, tooltip="Another seed, another sound."
                ),
                io.Int.Input(
                    "steps",
                    default=0,
                    min=0,
                    max=1000,
                    tooltip="0: as the model was made for, 100 for 1.0, 8 for Small.",
                ),
                io.Float.Input(
                    "cfg",
                    default=0.0,
                    min=0.0,
                    max=20.0,
                    step=0.1,
                    tooltip="How strongly the text is followed; 1 is without guidance. 0: as the model was made for, 7 for "
                    "1.0, 1 for Small.",
                ),
                io.Combo.Input(
                    "sampler",
                    options=[AUTO, *NAMES],
                    default=AUTO,
                    tooltip="auto: the model's own. 1.0 knows dpmpp_3m_sde and dpmpp_2m; Small all but dpmpp_3m_sde.",
                ),
            ],
            outputs=[
                io.Audio.Output(display_name="audio", tooltip="Stereo at 44.1 kHz, exactly as long as the clip."),
                io.Latent.Output(display_name="latent", tooltip="The model's latents; VAE Decode Audio understands them."),
            ],
        )

    @classmethod
    def execute(cls, model, positive, seconds, seed, steps, cfg, sampler, negative=None, space=None) -> io.NodeOutput:
        from ..stereosync_core.diffusion.generate import decode
        from ..stereosync_core.diffusion.stable_audio.generate import StableAudioSampling, sample_latents

        options = StableAudioSampling(steps or None, None if sampler == AUTO else sampler, cfg or None, seed)
        loaded: StableAudio = host.placed(model, _WORK * 300 * 2048 * 4)
        duration = seconds if space is None else space.duration
        latents = sample_latents(
            loaded,
            host.tokens_of(positive, "positive"),
            duration,
            against=None if negative is None else host.tokens_of(negative, "negative"),
            options=options,
            progress=host.progress(),
        )
        sound = decode(loaded.autoencoder, latents, round(duration * loaded.sample_rate))
        return io.NodeOutput(host.audio_out(sound, loaded.sample_rate), {"samples": latents, "type": "audio"})


NODES = [StableAudioLoader, StableAudioSampler]
