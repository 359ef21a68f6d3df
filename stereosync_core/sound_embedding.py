"""The bundled embedding of sounds, for Frechet distances and as a timbre: a network trained to classify sound effects, 512
features for every 100 spectrogram frames.

A. B. Ma, A. Lerch, "Representation Learning for the Automatic Indexing of Sound Effects Libraries" (ISMIR 2022), model
X-Sequential-CE; four blocks of two convolutions after Kong et al. (arXiv 1808.00773). Weights and licence: assets/LICENSES.md.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import nn

from .assets import load_weights
from .media.sound import Sound, mono_samples, resample

#: ``(sound [C, N], rate) -> (features [K, D], times [K] of the windows' middles in seconds)``
AudioEmbedding = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]

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
    from transformers.audio_utils import mel_filter_bank  # newer hosts bring no torchaudio

    filters = torch.from_numpy(mel_filter_bank(SIZE // 2 + 1, MELS, 0.0, RATE / 2, RATE, mel_scale="htk")).T.float()
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
        x = self.blocks[0](windows[:, None])
        for block in self.blocks[1:]:
            x = block(nn.functional.max_pool2d(x, 2))
        return x.mean(3).amax(2)


@lru_cache(maxsize=1)
def network() -> AisfxNet:
    """With the bundled weights, in single precision. Raises StereoSyncError when the bundled file is missing or damaged."""
    net = AisfxNet()
    net.load_state_dict({key: value.float() for key, value in load_weights(ASSET).items()})
    return net.eval()


def embed_aisfx(sound: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """The bundled embedding: 512 features every 1.16 s, of windows 2.3 s long. Sound shorter than a window is continued with
    silence; what is left over at the end of a longer one is not looked at.

    :raises StereoSyncError: for NaN, an empty sound, or when the weights are missing.
    """
    with torch.inference_mode():
        mono = mono_samples(sound)
        if rate != RATE:
            mono = resample(Sound(mono[None].astype(np.float32), rate), RATE).samples[0].astype(np.float64)
        frames = spectrogram(mono)
        if len(frames) < FRAMES:
            frames = nn.functional.pad(frames, (0, 0, 0, FRAMES - len(frames)))
        windows = frames.unfold(0, FRAMES, STEP).transpose(1, 2)
        features = torch.cat([network()(part) for part in windows.split(8)]).double().numpy()
    times = (np.arange(len(features)) * STEP + (FRAMES - 1) / 2) * HOP / RATE
    return features, times
