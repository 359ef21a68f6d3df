"""Makes the host's own Stable Audio narrow, for the tests alone, so that its native nodes load a file of a few megabytes.

ComfyUI knows one size of this model and does not look at the file's shapes. The sizes of ``sizes.json`` take the place of that
one; all else, from CheckpointLoaderSimple to VAE Decode Audio, is the host's.
"""

import gc
import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar
from unittest.mock import patch

import comfy.ldm.audio.dit
import comfy.ldm.audio.embedders
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.supported_models
import comfy.text_encoders.sa_t5
import folder_paths
import torch

SIZES = json.loads((Path(__file__).parent / "sizes.json").read_text(encoding="utf-8"))
_Transformer = comfy.ldm.audio.dit.AudioDiffusionTransformer
_NumberConditioner = comfy.ldm.audio.embedders.NumberConditioner
_Autoencoder = comfy.sd.AudioOobleckVAE
_T5 = comfy.text_encoders.sa_t5.T5BaseModel


class NarrowT5(_T5):
    def __init__(self, *args, model_options, **options):
        super().__init__(*args, model_options={**model_options, "t5base_model_config": SIZES["text"]}, **options)


def narrow_autoencoder():
    whole = _Autoencoder(**SIZES["autoencoder"])
    whole.decoder = _Autoencoder(**SIZES["autoencoder"] | {"channels": SIZES["decoder_channels"]}).decoder
    return whole


def narrow_number(_: int, **bounds):
    return _NumberConditioner(SIZES["transformer"]["cond_token_dim"], **bounds)


comfy.ldm.audio.dit.AudioDiffusionTransformer = partial(comfy.ldm.audio.dit.AudioDiffusionTransformer, **SIZES["transformer"])
comfy.ldm.audio.embedders.NumberConditioner = narrow_number
comfy.text_encoders.sa_t5.T5BaseModel = NarrowT5
comfy.sd.AudioOobleckVAE = narrow_autoencoder


class Node:
    CATEGORY = "StereoSync tests"
    FUNCTION = "make"
    INPUTS: ClassVar = {"required": {}}

    @classmethod
    def INPUT_TYPES(cls):
        return cls.INPUTS


class OtherModel(Node):
    RETURN_TYPES = ("MODEL",)

    def make(self):
        network = torch.nn.Module()
        network.diffusion_model = torch.nn.Linear(2, 2)
        return (comfy.model_patcher.ModelPatcher(network, torch.device("cpu"), torch.device("cpu")),)


class OtherVae(Node):
    RETURN_TYPES = ("VAE",)

    def make(self):
        return (SimpleNamespace(first_stage_model=torch.nn.Linear(2, 2)),)


class StableAudio3(Node):
    """A narrow Stable Audio 3 with seeded random weights, in the classes that newer hosts have: its MODEL, of a file that the
    host's own loader reads, what Spatial Guider needs of its VAE, and two texts."""

    RETURN_TYPES = ("MODEL", "VAE", "CONDITIONING", "CONDITIONING")
    RETURN_NAMES = ("MODEL", "VAE", "positive", "negative")

    def make(self):
        from comfy.ldm.audio.vae_sa3 import SA3AudioVAE

        path = folder_paths.get_full_path("checkpoints", "stable_audio_3_small_sfx.safetensors")
        own = patch.object(comfy.ldm.audio.embedders, "NumberConditioner", _NumberConditioner)
        with own, patch.object(comfy.ldm.audio.dit, "AudioDiffusionTransformer", _Transformer):
            model = comfy.sd.load_checkpoint_guess_config(path, output_vae=False, output_clip=False)[0]
        torch.manual_seed(0)
        autoencoder = SA3AudioVAE(channels=32, transformer_depths=1, sinusoidal_blocks=0)
        for parameter in autoencoder.parameters():
            torch.nn.init.normal_(parameter.data, std=0.05)
        for frequencies in autoencoder.buffers():  # of rotary embeddings: a file would bring them
            frequencies.copy_(10000.0 ** -(torch.arange(len(frequencies)) / len(frequencies)))
        cpu = torch.device("cpu")
        vae = SimpleNamespace(first_stage_model=autoencoder.eval(), downscale_ratio=4096, latent_channels=256, device=cpu)
        vae.patcher = SimpleNamespace(offload_device=cpu)
        vae.audio_sample_rate = 44100
        vae.encode = lambda sound: autoencoder.encode(sound.movedim(-1, 1)[..., : sound.shape[1] // 4096 * 4096])
        vae.decode = lambda latents: autoencoder.decode(latents).movedim(1, -1)
        positive, negative = ([[torch.randn(1, count, 768), {}]] for count in (5, 3))
        return model, vae, positive, negative


class KeptHalf(Node):
    """A latent of a seeded sound ``[B, C, T]`` whose first half is to stay, by the mask that native samplers know."""

    RETURN_TYPES = ("LATENT",)
    INPUTS: ClassVar = {"required": {"latent": ("LATENT",)}}

    def make(self, latent):
        torch.manual_seed(1)
        samples = torch.randn_like(latent["samples"])
        mask = torch.ones_like(samples)
        mask[..., : samples.shape[-1] // 2] = 0
        return ({**latent, "samples": samples, "noise_mask": mask},)


class Memory(Node):
    """Names of the networks that the host holds loaded, and how many adapters there are in all; looked at after ``after``."""

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    INPUTS: ClassVar = {"required": {}, "optional": {"after": ("LATENT",)}}

    @classmethod
    def IS_CHANGED(cls, **_):
        return float("nan")

    def make(self, after=None):
        gc.collect()
        loaded = sorted(type(one.model).__name__ for one in comfy.model_management.loaded_models())
        adapters = sum(type(one).__name__ == "SpatialAdapter" for one in gc.get_objects())
        return {"ui": {"loaded": loaded, "adapters": [adapters]}}


class ShortOfMemory(Node):
    """Where the layers of a network go that the pack hands to the host, when the device has room for a part of it alone."""

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    INPUTS: ClassVar = {"required": {"model": ("STEREOSYNC_STABLE_AUDIO",)}}

    def make(self, model):
        network = torch.nn.Sequential(*(torch.nn.Linear(64, 64) for _ in range(3)))
        patcher = type(model)(network, load_device=torch.device("meta"), offload_device=torch.device("cpu"))
        patcher.partially_load(torch.device("meta"), extra_memory=1000)
        loaded = sorted({str(parameter.device) for parameter in network.parameters()})
        return {"ui": {"loaded": loaded, "freed": [patcher.partially_unload(torch.device("cpu"), 1000)]}}


NODES = [OtherModel, OtherVae, KeptHalf, Memory, ShortOfMemory]
if hasattr(comfy.supported_models, "StableAudio3"):
    NODES.append(StableAudio3)
NODE_CLASS_MAPPINGS = {f"Test{node.__name__}": node for node in NODES}
