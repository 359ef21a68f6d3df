"""Losses between sounds."""

from __future__ import annotations

import torch
from torch import Tensor

RESOLUTIONS = ((2048, 512), (512, 128))
#: Samples of the windows over which levels are compared, and the level below which there is silence.
LEVEL_WINDOW = 1024
LEVEL_FLOOR = 1e-4


def spectra_loss(made: Tensor, wanted: Tensor, resolutions: tuple[tuple[int, int], ...] = RESOLUTIONS) -> Tensor:
    """Mean difference of short-time magnitudes over left, right, mid and side.

    Compressed magnitudes (power 0.3) see what is quiet, a leak into the silent channel included; plain ones, over the sound's
    own mean, see what is loud. (Yamamoto et al., "Parallel WaveGAN", 2020, for the resolutions.)

    :param made: ``[B, 2, N]``, as ``wanted``.
    """
    parts = []
    made, wanted = (torch.cat([sound, _mid_side(sound)], dim=1).flatten(0, 1) for sound in (made, wanted))
    for window, hop in resolutions:
        a, b = magnitudes(made, window, hop), magnitudes(wanted, window, hop)
        parts.append(((a + 1e-5) ** 0.3 - (b + 1e-5) ** 0.3).abs().mean())
        parts.append(0.3 * (a - b).abs().mean() / b.mean().clamp(min=1e-5))
    return torch.stack(parts).sum()


def magnitudes(sound: Tensor, window: int, hop: int) -> Tensor:
    """Short-time magnitudes of ``[B, N]``."""
    shape = torch.hann_window(window, device=sound.device, dtype=sound.dtype)
    return torch.stft(sound, window, hop, window=shape, return_complex=True, center=False).abs() / window**0.5


def level_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean difference of the logarithmic level over short windows of each channel of ``[B, 2, N]``: half of it over all
    windows, half over them weighted by the fourth root of their power. The few loud ones, which a step's level hangs on, would
    drown among the silent ones, and there magnitudes that are right on average still come out too soft."""
    powers = levels_of(wanted)
    levels = [power.add(LEVEL_FLOOR**2).log() / 2 for power in (levels_of(made), powers)]
    difference = (levels[0] - levels[1]).abs()
    weights = powers**0.25
    return difference.mean() / 2 + (difference * weights).sum() / weights.sum().clamp(min=1e-6) / 2


def levels_of(sound: Tensor) -> Tensor:
    """Mean square over windows, ``[B, 2, N / LEVEL_WINDOW]``."""
    length = sound.shape[-1] // LEVEL_WINDOW * LEVEL_WINDOW
    return sound[..., :length].unflatten(-1, (-1, LEVEL_WINDOW)).square().mean(-1)


def _mid_side(sound: Tensor) -> Tensor:
    left, right = sound.unbind(1)
    return torch.stack([left + right, left - right], dim=1) / 2
