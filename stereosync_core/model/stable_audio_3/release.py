"""Stable Audio 3 from its folder in diffusers' form: another base of the pipeline. Sizes come from the folder, and diffusers is
imported when a model is loaded, for older ones do not know it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...checkpoints import MISFITS, within_folder
from ...errors import StereoSyncError, explained
from ..denoiser import Denoiser
from ..generative_model import STABLE_AUDIO_3, STABLE_AUDIO_3_DISTILLED, GenerativeModel
from ..same import SameAutoencoder
from .backbone import StableAudio3Backbone
from .conditioners import DurationConditioners

#: What tells a folder by its class, and the parts that a model needs.
INDEX, PARTS = "model_index.json", ("transformer", "vae", "duration_embedder")


def is_stable_audio_3(path: Path) -> bool:
    """Whether a path is a folder of Stable Audio 3 in diffusers' form."""
    return family_of(path).startswith("StableAudio3")


def family_of(path: Path) -> str:
    """The pipeline's class that a folder in diffusers' form names; empty for any other."""
    try:
        index = json.loads((Path(path) / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(index.get("_class_name", "")) if isinstance(index, dict) else ""


def networks() -> dict[str, Any]:
    """diffusers' classes of :data:`PARTS`. Raises StereoSyncError for a diffusers that does not know them."""
    import diffusers

    known = "Stable Audio 3 needs diffusers 0.42 or newer, and {here} is here; install it with pip install -U diffusers."
    with explained(known.replace("{here}", diffusers.__version__), ImportError, AttributeError):
        from diffusers.models.autoencoders.autoencoder_same import AutoencoderSAME
        from diffusers.models.transformers.transformer_stable_audio3 import StableAudio3DiTModel
        from diffusers.pipelines.stable_audio_3.modeling_stable_audio_3 import StableAudio3DurationEmbedder
    return dict(zip(PARTS, (StableAudio3DiTModel, AutoencoderSAME, StableAudio3DurationEmbedder), strict=True))


def load_stable_audio_3(folder: Path, dtype: torch.dtype = torch.float32) -> GenerativeModel:
    """Stable Audio 3 on the CPU, frozen: small, medium, and their base variants.

    :raises StereoSyncError: for a diffusers that does not know it, and for parts that are missing or cannot be loaded.
    """
    folder, known = Path(folder), networks()
    missing = [part for part in PARTS if not (folder / part / "config.json").is_file()]
    if missing:
        raise StereoSyncError(f"Stable Audio 3: '{folder}' holds no {', no '.join(missing)}; download the model again.")
    message = f"Stable Audio 3: '{folder}' cannot be loaded ({{line}}); download the model again."
    options: dict[str, Any] = {"local_files_only": True, "use_safetensors": True, "torch_dtype": dtype}
    made = {}
    for part in PARTS:
        with explained(message, ImportError, OSError, *MISFITS), within_folder(folder / part, f"Stable Audio 3 '{folder}'"):
            made[part] = known[part].from_pretrained(str(folder / part), **options)
    try:
        scheduler = json.loads((folder / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        scheduler = {"stochastic_sampling": True}
    return build_stable_audio_3(folder.name, *made.values(), distilled=bool(scheduler.get("stochastic_sampling")))


def build_stable_audio_3(
    name: str, transformer: Any, vae: nn.Module, embedder: Any, *, distilled: bool = True
) -> GenerativeModel:
    """The pipeline's model of diffusers' networks.

    :param distilled: whether it is sampled in 8 steps of ping-pong without guidance.
    """
    autoencoder = SameAutoencoder(vae)
    sample_rate = int(autoencoder.network.config.sampling_rate)
    model = GenerativeModel(
        name,
        STABLE_AUDIO_3_DISTILLED if distilled else STABLE_AUDIO_3,
        Denoiser(StableAudio3Backbone(transformer)),
        autoencoder,
        window=int(embedder.config.max_val * sample_rate / autoencoder.downsampling),
        sample_rate=sample_rate,
        conditioners=DurationConditioners(embedder, transformer.prompt_padding_embedding),
    )
    return model.requires_grad_(False).eval()
