"""Make stereosync_core/assets/kemar.safetensors from the MIT KEMAR measurement (SOFA, which is HDF5).

    apt-get install libmysofa1 && pip install h5py
    python -m research.assets.convert_hrtf /usr/share/libmysofa/MIT_KEMAR_normal_pinna.sofa

Run once; h5py is needed here only. The responses become minimum-phase, equalised for the diffuse field (so that loudspeaker,
microphones and ear canal of the measurement drop out), flat below the range of the loudspeaker and 128 taps long; each ear's
delay is kept apart as the interaural time difference.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from scipy.signal import butter, sosfiltfilt

from stereosync_core.assets import FOLDER
from stereosync_core.rendering.hrtf import ASSET, minimum_phase

TAPS = 128
SIZE = 2048  # of the transforms
LOWEST = 200.0  # Hz: below, the measuring loudspeaker fades
OVERSAMPLING = 16


def read_sofa(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Azimuth (right positive) and elevation in degrees ``[D]``, responses ``[D, 2, N]`` and rate, ring by ring."""
    import h5py

    with h5py.File(path) as sofa:
        position = np.asarray(sofa["SourcePosition"], dtype=np.float64)
        responses = np.asarray(sofa["Data.IR"], dtype=np.float64)
        rate = float(np.asarray(sofa["Data.SamplingRate"])[0])
    azimuth, elevation = np.mod(-position[:, 0], 360.0), position[:, 1]  # SOFA counts azimuth to the left
    order = np.lexsort((azimuth.round(3), elevation))
    return azimuth[order], elevation[order], responses[order], rate


def diffuse_field(magnitude: np.ndarray, elevation: np.ndarray) -> np.ndarray:
    """Root mean power ``[bins]`` over the sphere, each direction weighted by the area it stands for, in third octaves."""
    rings, counts = np.unique(elevation, return_counts=True)
    edges = np.concatenate([[rings[0] - 5], (rings[1:] + rings[:-1]) / 2, [90]])
    areas = np.diff(np.sin(np.deg2rad(edges))) / counts
    weights = areas[np.searchsorted(rings, elevation)]
    power = np.einsum("d,deb->b", weights / weights.sum() / 2, magnitude**2)
    bins = np.arange(len(power))
    low, high = (bins * 2 ** (-1 / 6)).astype(int), np.minimum((bins * 2 ** (1 / 6)).astype(int) + 1, len(power))
    total = np.concatenate([[0.0], np.cumsum(power)])
    return np.sqrt((total[high] - total[low]) / (high - low))


def delays(measured: np.ndarray, minimum: np.ndarray, rate: float) -> np.ndarray:
    """Seconds ``[D, 2]`` that each measured response lags its minimum-phase counterpart: maximum of their correlation below
    3 kHz, where interaural time differences are perceived, on a finer grid."""
    lowpass = butter(2, 3000, fs=rate, output="sos")
    length = measured.shape[-1] * 2
    padded = [np.pad(part, ((0, 0), (0, 0), (64, 64))) for part in (measured, minimum)]
    spectra = [np.fft.rfft(sosfiltfilt(lowpass, part), length) for part in padded]
    correlation = np.fft.irfft(spectra[0] * spectra[1].conj(), length * OVERSAMPLING)
    return correlation[..., : length * OVERSAMPLING // 4].argmax(-1) / (rate * OVERSAMPLING)


def convert(source: Path, target: Path) -> None:
    azimuth, elevation, responses, rate = read_sofa(source)
    magnitude = np.abs(np.fft.rfft(responses, SIZE))
    frequency = np.fft.rfftfreq(SIZE, 1 / rate)
    measured = minimum_phase(magnitude, responses.shape[-1])
    level = magnitude / diffuse_field(magnitude, elevation)
    first = int(np.searchsorted(frequency, LOWEST))
    level[..., :first] = level[..., first : 2 * first].mean(-1, keepdims=True)
    # above 15 kHz the equalisation would mostly raise noise: the level found below is held
    last = int(np.searchsorted(frequency, 15000))
    level[..., last:] = np.sqrt((level[..., last - 100 : last] ** 2).mean(-1, keepdims=True))
    late = delays(responses, measured, rate)
    itd = late[:, 0] - late[:, 1]
    save_file(
        {
            "responses": minimum_phase(level, TAPS).astype(np.float32),
            "itd": itd.astype(np.float32),
            "azimuth": azimuth.astype(np.float32),
            "elevation": elevation.astype(np.float32),
            "rate": np.array([rate], dtype=np.float32),
        },
        str(target),
        metadata={"source": "MIT KEMAR, normal pinna, B. Gardner and K. Martin, 1994", "licence": "see kemar.LICENSE.md"},
    )
    ahead = np.flatnonzero(elevation == 0)
    for n in ahead[:: len(ahead) // 12]:
        print(f"azimuth {azimuth[n]:5.0f}: ITD {itd[n] * 1e6:+5.0f} us")
    print(f"{target}: {target.stat().st_size} bytes, sha256 {hashlib.sha256(target.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--target", type=Path, default=FOLDER / ASSET)
    arguments = parser.parse_args()
    convert(arguments.source, arguments.target)
