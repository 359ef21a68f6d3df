"""CLAP as timbre encoder, where its weights are at hand: for models trained with it, and for any kind of sound.

Wu et al., "Large-scale Contrastive Language-Audio Pretraining" (2023); transformers' ClapModel from a local folder.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import StereoSyncError
from ...rendering.surfaces import SURFACES
from ..clap_embedding import ClapEmbedding
from .timbre import check_audible

#: CLAP's text for a surface.
PROMPT = "footsteps on {}"


class ClapTimbre(nn.Module):
    """A mono sound, or the name of a surface, to CLAP's vector of length 1 times the root of its size.

    :param folder: with config.json, preprocessor_config.json, tokenizer files and safetensors weights.
    :ivar size: of the vector, 512 in the released models.
    """

    def __init__(self, folder: Path):
        super().__init__()
        self.folder, self.clap = Path(folder), ClapEmbedding(folder)
        self.size = int(self.clap.model.config.projection_dim)

    def of_sound(self, samples: np.ndarray, rate: int) -> Tensor:
        """Vector ``[size]`` of a sound ``[C, N]``: the mean over its windows.

        :raises StereoSyncError: when it is silent, empty or not finite.
        """
        check_audible(np.asarray(samples, dtype=np.float64).mean(0))
        features, _ = self.clap(np.asarray(samples), rate)
        return self._scaled(torch.from_numpy(features.mean(0)))

    def of_surface(self, name: str) -> Tensor:
        """Vector ``[size]`` of a surface's name, from CLAP's text side.

        :raises StereoSyncError: for a name that is not known, or when the folder holds no tokenizer.
        """
        if name not in SURFACES:
            raise StereoSyncError(f"Timbre: the surface '{name}' is not known; choose one of {', '.join(SURFACES)}.")
        # looked for by name: transformers makes an empty tokenizer where there is none
        if not any((self.folder / file).is_file() for file in ("tokenizer.json", "vocab.json")):
            raise StereoSyncError(
                f"Timbre: '{self.folder}' holds no tokenizer; copy the whole model, or give a reference sound instead."
            )
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(str(self.folder), local_files_only=True)
        with torch.inference_mode():
            found = self.clap.model.get_text_features(**tokenizer([PROMPT.format(name)], return_tensors="pt"))
        return self._scaled(getattr(found, "pooler_output", found)[0])

    def _scaled(self, vector: Tensor) -> Tensor:
        return nn.functional.normalize(vector.float().cpu(), dim=-1) * self.size**0.5
