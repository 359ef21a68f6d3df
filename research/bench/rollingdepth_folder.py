"""Checkpoint folders in RollingDepth's released layout with random weights: what speed and memory are measured with."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch


class Widths(NamedTuple):
    """Channels of the four levels of UNet and autoencoder, of the text condition and of an attention head; ``vae_layers``
    residual blocks a level of the autoencoder."""

    unet: tuple[int, int, int, int]
    vae: tuple[int, int, int, int]
    text: int
    head: int
    vae_layers: int = 1


#: As in the parity fixtures: 2.5 M parameters.
TINY = Widths((32, 32, 64, 64), (32, 32, 32, 32), 32, 16)
#: About 60 M parameters.
MIDDLE = Widths((96, 192, 320, 320), (32, 32, 64, 64), 256, 32)
#: The released model's own: 866 M parameters in the UNet, 84 M in the autoencoder.
FULL = Widths((320, 640, 1280, 1280), (128, 256, 512, 512), 1024, 64, 2)


def write_folder(folder: Path, widths: Widths, dtype: torch.dtype = torch.float32, seed: int = 0) -> Path:
    """Write such a folder, part by part, and return it.

    In place of text encoder and tokenizer it has the saved embedding of the empty prompt.

    :param dtype: of the files; half precision gets the release's ``.fp16`` names.
    """
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from safetensors.torch import save_file

    parts = {"unet": (UNet2DConditionModel, unet_config(widths)), "vae": (AutoencoderKL, vae_config(widths))}
    generator = torch.Generator().manual_seed(seed)
    for name, (kind, config) in parts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "config.json").write_text(json.dumps(config, indent=2))
        with torch.device("meta"):
            empty = kind.from_config(config).state_dict()
        weights = {key: random_weight(key, value.shape, generator).to(dtype) for key, value in empty.items()}
        suffix = ".safetensors" if dtype == torch.float32 else ".fp16.safetensors"
        save_file(weights, folder / name / f"diffusion_pytorch_model{suffix}")
    (folder / "scheduler").mkdir(exist_ok=True)
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER, indent=2))
    save_file({"text": torch.randn((1, 2, widths.text), generator=generator)}, folder / "empty_prompt.safetensors")
    return folder


def random_weight(name: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    """A weight that keeps the size of what passes through it; norms do nothing."""
    if len(shape) == 1:
        return torch.ones(shape) if "norm" in name and name.endswith("weight") else torch.zeros(shape)
    return torch.randn(shape, generator=generator) / shape[1:].numel() ** 0.5


SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "rescale_betas_zero_snr": True,
    "set_alpha_to_one": False,
    "clip_sample": False,
    "steps_offset": 1,
}


def unet_config(widths: Widths) -> dict[str, Any]:
    return {
        "_class_name": "UNet2DConditionModel",
        "in_channels": 8,
        "out_channels": 4,
        "sample_size": 96,
        "block_out_channels": list(widths.unet),
        "attention_head_dim": [channels // widths.head for channels in widths.unet],  # a count, in spite of its name
        "cross_attention_dim": widths.text,
        "layers_per_block": 2,
        "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
        "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
        "use_linear_projection": True,
    }


def vae_config(widths: Widths) -> dict[str, Any]:
    return {
        "_class_name": "AutoencoderKL",
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": 4,
        "block_out_channels": list(widths.vae),
        "layers_per_block": widths.vae_layers,
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "norm_num_groups": 32,
        "scaling_factor": 0.18215,
    }
