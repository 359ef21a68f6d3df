"""How well a sound survives an autoencoder: short-time spectra, levels, level differences, waveform."""

from __future__ import annotations

import numpy as np
from scipy.signal import stft

from stereosync_core.rendering.analysis import level_difference

RESOLUTIONS = (2048, 512, 128)


def level_errors(made: np.ndarray, wanted: np.ndarray, rate: int) -> tuple[float, float]:
    """Mean errors in dB of the level and of the level difference, ``[2, N]`` each, over the wanted sound's windows of 0.1 s
    within 35 dB of its loudest; differences clipped at 25 dB. NaN where nothing sounds."""
    _, difference, level, sounding = level_difference(wanted, rate)
    _, made_difference, made_level, _ = level_difference(made, rate)
    if not sounding.any():
        return float("nan"), float("nan")
    return (
        float(np.abs(made_level - level)[sounding].mean()),
        float(np.abs(made_difference - difference)[sounding].mean()),
    )


def stft_distance(made: np.ndarray, wanted: np.ndarray) -> float:
    """Mean over resolutions and channels of ``[2, N]`` of spectral convergence plus log-magnitude difference (Yamamoto et al.,
    "Parallel WaveGAN", 2020), magnitudes floored at -80 dB of the wanted sound's largest."""
    parts = []
    for window in RESOLUTIONS:
        spectra = [np.abs(stft(sound, nperseg=window, noverlap=window * 3 // 4)[2]) for sound in (made, wanted)]
        floor = max(float(spectra[1].max()) * 1e-4, 1e-9)
        a, b = (np.maximum(spectrum, floor) for spectrum in spectra)
        parts.append(np.linalg.norm(a - b) / np.linalg.norm(b) + np.abs(np.log(a / b)).mean())
    return float(np.mean(parts))


def si_sdr(made: np.ndarray, wanted: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio in dB of ``[2, N]``, both channels as one signal (Le Roux et al., "SDR -
    half-baked or well done?", 2019). NaN for silence."""
    made, wanted = made.ravel().astype(np.float64), wanted.ravel().astype(np.float64)
    energy = wanted @ wanted
    if energy == 0:
        return float("nan")
    target = (made @ wanted) / energy * wanted
    return float(10 * np.log10(max(target @ target, 1e-20) / max(np.square(made - target).sum(), 1e-20)))
