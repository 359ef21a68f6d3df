"""From latents to sound, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

#: Latent frames decoded at once, and those on either side that are decoded with them for their neighbours' sake.
_DECODED, _MARGIN = 256, 16


class Decoder(Protocol):
    """What decodes latents piece by piece: the bundled autoencoder, and Stable Audio Open's."""

    downsampling: int

    def decode(self, latents: Tensor, start: int = 0) -> Tensor: ...

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]: ...


@torch.inference_mode()
def decode(autoencoder: Decoder, latents: Tensor, length: int) -> np.ndarray:
    """Sound float32 ``[2, length]`` of latents ``[1, C, T]``, decoded piece by piece so that memory does not grow."""
    parameter = next(autoencoder.parameters())
    frames, hop = latents.shape[-1], autoencoder.downsampling
    sound = np.zeros((2, frames * hop), dtype=np.float32)
    for start in range(0, frames, _DECODED):
        first, last = max(0, start - _MARGIN), min(frames, start + _DECODED + _MARGIN)
        part = latents[..., first:last].to(parameter.device, parameter.dtype)
        piece = autoencoder.decode(part, first)[0].float().cpu().numpy()
        stop = min(frames, start + _DECODED)
        sound[:, start * hop : stop * hop] = piece[:, (start - first) * hop : (stop - first) * hop]
    return np.ascontiguousarray(sound[:, :length])
