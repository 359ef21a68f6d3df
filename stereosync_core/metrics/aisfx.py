"""The bundled audio embedding: a network trained to classify sound effects, 512 features for every 100 spectrogram frames.

A. B. Ma, A. Lerch, "Representation Learning for the Automatic Indexing of Sound Effects Libraries" (ISMIR 2022), model
X-Sequential-CE; four blocks of two convolutions after Kong et al. (arXiv 1808.00773). Written from that description;
weights and licence: assets/LICENSES.md.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import nn

from ..assets import load_weights

ASSET = "aisfx.safetensors"
RATE = 44100
#: Spectrogram frames of a window (2.3 s) and from window to window.
FRAMES, STEP = 100, 50
SIZE, HOP, MELS = 2048, 1024, 96
#: The largest value of the training set's spectrograms, by which inputs are divided.
LARGEST = 9.457798957824707
WIDTHS = (64, 128, 256, 512)


@lru_cache(maxsize=1)
def mel_filters() -> torch.Tensor:
    """Triangles ``[96, 1025]`` evenly spread on HTK's mel scale from 0 to half the rate, each with the sum 1."""
    from torchaudio.functional import melscale_fbanks

    filters = melscale_fbanks(SIZE // 2 + 1, 0.0, RATE / 2, MELS, RATE, mel_scale="htk").T
    return filters / filters.sum(1, keepdim=True)


def spectrogram(mono: np.ndarray) -> torch.Tensor:
    """Log mel spectrogram ``[frames, 96]`` of ``[N]`` at 44.1 kHz, the peak brought to full scale first; frames are centred."""
    peak = float(np.abs(mono).max()) if len(mono) else 0.0
    signal = torch.from_numpy(np.asarray(mono / peak if peak > 0 else mono, dtype=np.float32))
    spectrum = torch.stft(
        signal, SIZE, HOP, window=torch.hann_window(SIZE), center=True, pad_mode="constant", return_complex=True
    )
    mel = mel_filters() @ spectrum.abs().square()
    return (torch.log10(1e4 * mel + 1.0) / LARGEST).T


class AisfxBlock(nn.Module):
    """Two convolutions, their batch norms folded in, each with a rectifier."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        self.first = nn.Conv2d(inputs, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.second(torch.relu(self.first(x))))


class AisfxNet(nn.Module):
    """Windows ``[B, T, 96]`` to features ``[B, 512]``: mean over frequency, maximum over time."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(AisfxBlock(inputs, width) for inputs, width in zip((1, *WIDTHS), WIDTHS, strict=False))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        x = windows[:, None]
        for n, block in enumerate(self.blocks):
            x = block(x)
            if n < len(self.blocks) - 1:
                x = torch.nn.functional.max_pool2d(x, 2)
        return x.mean(3).amax(2)


@lru_cache(maxsize=1)
def network() -> AisfxNet:
    """With the bundled weights, in single precision.

    :raises StereoSyncError: when the bundled file is missing or damaged.
    """
    net = AisfxNet()
    net.load_state_dict({key: value.float() for key, value in load_weights(ASSET).items()})
    return net.eval()
