"""CLAP by transformers, from a local folder: its embedding of sound, and that as a timbre. Nothing is downloaded.

Wu et al., "Large-scale Contrastive Language-Audio Pretraining" (2023).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...checkpoints import MISFITS, within_folder
from ...errors import StereoSyncError, explained
from ...media.sound import Sound, resample
from ...rendering.surfaces import SURFACES
from .sound_timbre import check_audible

#: CLAP's texts for a surface, and for anything else.
PROMPTS = ("footsteps on {}", "the sound of {}")


def load_pretrained(folder: Path, build: Callable[[], Any], what: str) -> Any:
    """What ``build`` makes of a folder in transformers' form. Raises StereoSyncError when the folder is none, or cannot be
    loaded."""
    if not (Path(folder) / "config.json").is_file():
        raise StereoSyncError(f"Embedding: '{folder}' holds no config.json; give the folder of {what} in transformers' form.")
    message = f"Embedding: {what} in '{folder}' cannot be loaded ({{line}})."
    with explained(message, ImportError, OSError, *MISFITS), within_folder(folder, f"Embedding '{folder}'"):
        return build()


class ClapEmbedding:
    """CLAP's embedding of a sound (transformers' ClapModel and its feature extractor).

    :param folder: with config.json, preprocessor_config.json and safetensors weights.
    :param seconds: from window to window; windows are as long as the extractor takes them, or as the sound if that is shorter.
    """

    def __init__(self, folder: Path, device: str = "cpu", seconds: float = 1.0):
        from transformers import ClapFeatureExtractor, ClapModel

        local: Any = {"pretrained_model_name_or_path": str(folder), "local_files_only": True}
        model = load_pretrained(folder, lambda: ClapModel.from_pretrained(**local, use_safetensors=True), "CLAP")
        self.extract = load_pretrained(folder, lambda: ClapFeatureExtractor.from_pretrained(**local), "CLAP")
        self.model, self.device, self.seconds = model.to(device).eval(), device, seconds

    def __call__(self, sound: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
        """Features ``[W, D]`` of a sound ``[C, N]``, and the seconds ``[W]`` at the middle of their windows."""
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
            features.append(_embedding(found).double().cpu().numpy())
        return np.stack(features), (starts + size / 2) / wanted


class ClapTimbre(nn.Module):
    """A mono sound, or a name, to CLAP's vector of length 1 times the root of its ``size``.

    :param folder: with config.json, preprocessor_config.json, tokenizer files and safetensors weights.
    """

    def __init__(self, folder: Path):
        super().__init__()
        self.folder, self.clap = Path(folder), ClapEmbedding(folder)
        self.size = int(self.clap.model.config.projection_dim)

    def of_sound(self, samples: np.ndarray, rate: int) -> Tensor:
        """Vector ``[size]`` of a sound ``[C, N]``: the mean over its windows. Raises StereoSyncError when it is silent, empty
        or not finite."""
        check_audible(np.asarray(samples, dtype=np.float64).mean(0))
        return self._scaled(torch.from_numpy(self.clap(np.asarray(samples), rate)[0].mean(0)))

    def of_name(self, name: str) -> Tensor:
        """Vector ``[size]`` of a surface or anything else that has a name, from CLAP's text side. Raises StereoSyncError when
        the folder holds no tokenizer."""
        # looked for by name: transformers makes an empty tokenizer where there is none
        if not any((self.folder / file).is_file() for file in ("tokenizer.json", "vocab.json")):
            raise StereoSyncError(
                f"Timbre: '{self.folder}' holds no tokenizer; copy the whole model, or give a reference sound instead."
            )
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(str(self.folder), local_files_only=True)
        with torch.inference_mode():
            found = self.clap.model.get_text_features(
                **tokenizer([PROMPTS[name not in SURFACES].format(name)], return_tensors="pt")
            )
        return self._scaled(_embedding(found))

    def _scaled(self, vector: Tensor) -> Tensor:
        return nn.functional.normalize(vector.float().cpu(), dim=-1) * self.size**0.5


def _embedding(found: Any) -> Tensor:
    """Of a batch of one; newer releases give an output object with the embedding as its pooled part."""
    return getattr(found, "pooler_output", found)[0]
