"""CLAP's audio embedding by transformers, from a local folder. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import StereoSyncError
from ..media.sound import Sound, resample


def load_pretrained(folder: Path, build: Callable[[], Any], what: str) -> Any:
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
        self.model = load_pretrained(
            folder, lambda: ClapModel.from_pretrained(where, local_files_only=True, use_safetensors=True), "CLAP"
        )
        self.extract = load_pretrained(
            folder, lambda: ClapFeatureExtractor.from_pretrained(where, local_files_only=True), "CLAP"
        )
        self.model = self.model.to(device).eval()
        self.device, self.seconds = device, seconds

    def __call__(self, sound: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
        wanted = int(self.extract.sampling_rate)
        mono = np.asarray(sound, dtype=np.float32).mean(0, keepdims=True)
        mono = (resample(Sound(mono, rate), wanted).samples if rate != wanted else mono)[0].astype(np.float64)
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
