"""From latents to sound and back, piece by piece."""

import logging
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from .precision import in_precision

_LOG = logging.getLogger(__name__)
#: Latent frames decoded at once, and those on either side that are decoded with them for their neighbours' sake.
_PIECE, _MARGIN = 256, 16


class Encoder(Protocol):
    """What encodes sound piece by piece."""

    downsampling: int

    def encode(self, sound: Tensor) -> Tensor: ...

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]: ...


class Decoder(Protocol):
    """What decodes latents piece by piece: the bundled autoencoder, Stable Audio Open's, and a host's VAE."""

    downsampling: int

    def decode(self, latents: Tensor, start: int = 0) -> Tensor: ...

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]: ...


@torch.inference_mode()
def decode(autoencoder: Decoder, latents: Tensor, length: int) -> np.ndarray:
    """Sound float32 ``[2, length]`` of latents ``[1, C, T]``, decoded piece by piece so that memory does not grow. What the
    autoencoder cannot hold in half precision is decoded again in single precision, with a note."""
    parameter = next(autoencoder.parameters())
    frames, hop = latents.shape[-1], autoencoder.downsampling
    sound = np.zeros((2, frames * hop), dtype=np.float32)
    for start in range(0, frames, _PIECE):
        first, last = max(0, start - _MARGIN), min(frames, start + _PIECE + _MARGIN)
        part = latents[..., first:last].to(parameter.device, parameter.dtype)
        piece = autoencoder.decode(part, first)[0].float().cpu().numpy()
        stop = min(frames, start + _PIECE)
        sound[:, start * hop : stop * hop] = piece[:, (start - first) * hop : (stop - first) * hop]
    if not np.isfinite(sound).all() and parameter.dtype != torch.float32 and isinstance(autoencoder, nn.Module):
        _LOG.warning("The sound is not finite in half precision; it is decoded again in single precision.")
        in_precision(autoencoder, torch.float32)
        return decode(autoencoder, latents, length)
    return np.ascontiguousarray(sound[:, :length])


@torch.inference_mode()
def encode(autoencoder: Encoder, sound: Tensor) -> Tensor:
    """Latents float32 ``[1, C, ceil(N / downsampling)]`` on the CPU of a sound ``[1, 2, N]``, encoded piece by piece."""
    parameter, hop = next(autoencoder.parameters()), autoencoder.downsampling
    sound = nn.functional.pad(sound, (0, -sound.shape[-1] % hop))
    frames, parts = sound.shape[-1] // hop, []
    for start in range(0, frames, _PIECE):
        first, stop = max(0, start - _MARGIN), min(frames, start + _PIECE)
        piece = sound[..., first * hop : min(frames, stop + _MARGIN) * hop].to(parameter.device, parameter.dtype)
        parts.append(autoencoder.encode(piece)[..., start - first : stop - first].float().cpu())
    return torch.cat(parts, dim=-1)
