"""A tiny generative model with random weights, for tests of everything but how it sounds."""

from dataclasses import asdict
from pathlib import Path

import torch

from stereosync_core.model.conditioning.sound_timbre import SoundTimbre
from stereosync_core.model.conditioning.video_envelope import VideoEnvelope
from stereosync_core.model.denoiser import StereoSync
from stereosync_core.model.folder import save_part
from stereosync_core.model.level_autoencoder import LevelAutoencoder, LevelAutoencoderConfig
from stereosync_core.rendering.surfaces import SURFACES

LATENT_RATE = 44100 / 2048
AUTOENCODER = LevelAutoencoderConfig(shape=2)
LATENTS = 2 * AUTOENCODER.latent
FORMS = {"aligned": {"form": "aligned", "inner": 16}, "paper": {"form": "paper", "box_rate": 5.0, "inner": 4}}


def diffusion_config(form: str = "aligned", **backbone) -> dict:
    small = {"io_channels": LATENTS, "embed_dim": 64, "depth": 3, "num_heads": 2, "ff_kwargs": {"mult": 2}}
    small |= {"cond_token_dim": 32, "project_cond_tokens": False, "diffusion_objective": "rectified_flow"}
    config = {"conditions": FORMS[form], "control": {"blocks": 1}, "timbre": 16, "window": 40, "latent_rate": LATENT_RATE}
    return {"backbone": {**small, **backbone}, **config}


def lively(network: torch.nn.Module) -> torch.nn.Module:
    """What begins at zero gets random weights, so that every part counts."""
    tensors = [*network.parameters(), *network.buffers()] if isinstance(network, SoundTimbre) else network.parameters()
    for tensor in tensors:
        if tensor.abs().max() == 0:
            torch.nn.init.normal_(tensor, std=0.1)
    return network.eval()


def diffusion(form: str = "aligned", **backbone) -> StereoSync:
    torch.manual_seed(0)
    network = lively(StereoSync(diffusion_config(form, **backbone)))
    assert isinstance(network, StereoSync)
    return network


def write_model(folder: Path, form: str = "aligned") -> Path:
    torch.manual_seed(0)
    autoencoder, timbre = LevelAutoencoder(AUTOENCODER), SoundTimbre(list(SURFACES), 16)
    network = StereoSync(diffusion_config(form))
    for part, module, config in (
        ("autoencoder", autoencoder, {"type": "levels", **asdict(autoencoder.config)}),
        ("diffusion", network, network.config),
        ("timbre", timbre, timbre.config),
        ("envelope", VideoEnvelope(8), VideoEnvelope(8).config),
    ):
        save_part(folder, part, config, lively(module).state_dict())
    return folder


def write_clap(folder: Path, size: int = 8) -> Path:
    """A tiny CLAP in transformers' form, without a tokenizer."""
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    audio = {"spec_size": 64, "patch_size": 4, "patch_stride": [4, 4], "num_mel_bins": 16, "window_size": 4}
    audio |= {"depths": [1, 1], "num_attention_heads": [2, 2], "patch_embeds_hidden_size": 8}
    audio |= {"hidden_size": 16, "num_hidden_layers": 2}
    config = ClapConfig(text_config={**small, "vocab_size": 32}, audio_config=audio, projection_dim=size)
    ClapModel(config).save_pretrained(folder)
    ClapFeatureExtractor(feature_size=16, max_length_s=2, truncation="rand_trunc").save_pretrained(folder)
    return folder
