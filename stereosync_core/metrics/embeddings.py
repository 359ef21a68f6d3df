"""Embeddings for Frechet distances: sound and pictures as features with times. The audio embedding is bundled; CLAP and video
encoders come from local folders by transformers. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import StereoSyncError
from ..media.sound import Sound, resample
from . import aisfx, checks

#: ``(sound [C, N], rate) -> (features [K, D], times [K] of the windows' middles in seconds)``
AudioEmbedding = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]
#: ``(frames uint8 [F, H, W, 3]) -> features [F, D]``
VideoEmbedding = Callable[[np.ndarray], np.ndarray]


def _mono(sound: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Float64 ``[N]`` at the wanted rate."""
    mono = checks.mono(sound)
    return (
        mono if rate == wanted else resample(Sound(mono[None].astype(np.float32), rate), wanted).samples[0].astype(np.float64)
    )


def embed_aisfx(sound: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """The bundled embedding: 512 features every 1.16 s, of windows 2.3 s long. Sound shorter than a window is continued with
    silence; what is left over at the end of a longer one is not looked at.

    :raises StereoSyncError: for NaN, an empty sound, or when the weights are missing.
    """
    with torch.inference_mode():
        frames = aisfx.spectrogram(_mono(sound, rate, aisfx.RATE))
        if len(frames) < aisfx.FRAMES:
            frames = torch.nn.functional.pad(frames, (0, 0, 0, aisfx.FRAMES - len(frames)))
        windows = frames.unfold(0, aisfx.FRAMES, aisfx.STEP).transpose(1, 2)
        features = torch.cat([aisfx.network()(part) for part in windows.split(8)]).double().numpy()
    times = (np.arange(len(features)) * aisfx.STEP + (aisfx.FRAMES - 1) / 2) * aisfx.HOP / aisfx.RATE
    return features, times


def _loaded(folder: Path, build: Callable[[], Any], what: str) -> Any:
    if not (Path(folder) / "config.json").is_file():
        raise StereoSyncError(f"Embedding: '{folder}' holds no config.json; give the folder of {what} in transformers' form.")
    try:
        return build()
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise StereoSyncError(f"Embedding: {what} in '{folder}' cannot be loaded ({str(error).splitlines()[0]}).") from error


class ClapEmbedding:
    """CLAP's audio embedding from a local folder (transformers' ClapModel and its feature extractor).

    :param folder: with config.json, preprocessor_config.json and safetensors weights.
    :param seconds: from window to window; windows are as long as the extractor takes them, or as the sound if that is shorter.
    """

    def __init__(self, folder: Path, device: str = "cpu", seconds: float = 1.0):
        from transformers import ClapFeatureExtractor, ClapModel

        where = str(folder)
        self.model = _loaded(
            folder, lambda: ClapModel.from_pretrained(where, local_files_only=True, use_safetensors=True), "CLAP"
        )
        self.extract = _loaded(folder, lambda: ClapFeatureExtractor.from_pretrained(where, local_files_only=True), "CLAP")
        self.model = self.model.to(device).eval()
        self.device, self.seconds = device, seconds

    def __call__(self, sound: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
        wanted = int(self.extract.sampling_rate)
        mono = _mono(sound, rate, wanted)
        size = min(int(self.extract.nb_max_samples), len(mono))
        starts = np.arange(0, len(mono) - size + 1, max(round(self.seconds * wanted), 1))
        features = []
        for start in starts:
            inputs = self.extract(mono[start : start + size], sampling_rate=wanted, return_tensors="pt")
            with torch.inference_mode():
                found = self.model.get_audio_features(**{key: value.to(self.device) for key, value in inputs.items()})
            # newer releases give an output object with the embedding as its pooled part
            features.append(getattr(found, "pooler_output", found)[0].double().cpu().numpy())
        return np.stack(features), (starts + size / 2) / wanted


class PictureEmbedding:
    """One pooled vector a frame of any of transformers' vision encoders from a local folder (CLIP, DINOv2, ViT ...)."""

    def __init__(self, folder: Path, device: str = "cpu", batch: int = 16):
        from transformers import AutoImageProcessor, AutoModel

        where = str(folder)
        what = "a vision encoder"
        self.model = _loaded(
            folder, lambda: AutoModel.from_pretrained(where, local_files_only=True, use_safetensors=True), what
        )
        self.prepare = _loaded(folder, lambda: AutoImageProcessor.from_pretrained(where, local_files_only=True), what)
        self.model = getattr(self.model, "vision_model", self.model).to(device).eval()
        self.device, self.batch = device, batch

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        features = []
        for start in range(0, len(frames), self.batch):
            inputs = self.prepare(list(frames[start : start + self.batch]), return_tensors="pt")
            with torch.inference_mode():
                found = self.model(pixel_values=inputs["pixel_values"].to(self.device))
            pooled = getattr(found, "pooler_output", None)
            features.append((found.last_hidden_state.mean(1) if pooled is None else pooled).flatten(1).double().cpu().numpy())
        return np.concatenate(features)


def audio_embedding(name: str, folder: Path | None = None, device: str = "cpu") -> AudioEmbedding:
    """``aisfx`` or ``clap`` (with its folder).

    :raises StereoSyncError: for other names, or a folder that does not hold the model.
    """
    if name == "aisfx":
        return embed_aisfx
    if name == "clap" and folder is not None:
        return ClapEmbedding(folder, device)
    raise StereoSyncError(
        f"Embedding: '{name}' is not known or lacks its folder; choose aisfx, or clap with the folder of the model."
    )
