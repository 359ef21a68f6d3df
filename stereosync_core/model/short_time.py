"""The short-time spectrum of the pack's own autoencoders, and back."""

import torch
from torch import Tensor, nn


def spectrum_of(sound: Tensor, window: Tensor, hop: int) -> Tensor:
    """Spectrum ``[B, bins, N / hop]`` of ``[B, N]``, each frame centred on the middle of its hop."""
    edge = (len(window) - hop) // 2
    frames = nn.functional.pad(sound, (edge, edge)).unfold(-1, len(window), hop)
    return torch.fft.rfft(frames * window, dim=-1).mT


def sound_of(spectrum: Tensor, window: Tensor, hop: int) -> Tensor:
    """The inverse of :func:`spectrum_of`: overlapping windows added and divided by their summed squares."""
    size = len(window)
    frames = torch.fft.irfft(spectrum.mT, n=size, dim=-1) * window
    count, edge = frames.shape[1], (size - hop) // 2
    length = (count - 1) * hop + size
    weights = (window**2).expand(1, count, -1)
    added, weight = (
        nn.functional.fold(part.mT, output_size=(1, length), kernel_size=(1, size), stride=(1, hop)).flatten(1)[:, edge:-edge]
        for part in (frames, weights)
    )
    return added / weight.clamp(min=1e-6)
