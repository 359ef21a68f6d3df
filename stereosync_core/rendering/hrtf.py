"""Head-related impulse responses of the KEMAR manikin in any direction and at any rate.

The bundled set (``assets/kemar.safetensors``) holds minimum-phase responses and the interaural time difference apart: both
change smoothly from direction to direction, so that mixing neighbours gives neither comb filtering nor jumps (Nam, Abel, Smith,
"On the minimum-phase nature of head-related transfer functions", AES 125, 2008).
"""

from functools import lru_cache

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from scipy.interpolate import interp1d

from ..assets import asset_path
from ..errors import StereoSyncError, explained

ASSET = "kemar.safetensors"


def minimum_phase(magnitude: np.ndarray, taps: int) -> np.ndarray:
    """Minimum-phase impulse responses ``[..., taps]`` of magnitudes ``[..., bins]`` (from 0 to the Nyquist frequency), the last
    quarter faded out. The phase is the Hilbert transform of the log magnitude, taken through the real cepstrum."""
    size = 2 * (magnitude.shape[-1] - 1)
    if taps > size:
        raise ValueError(f"{taps} taps need more than {magnitude.shape[-1]} frequency bins")
    cepstrum = np.fft.irfft(np.log(np.maximum(magnitude, 1e-6)), size)
    fold = np.zeros(size)
    fold[0] = fold[size // 2] = 1.0
    fold[1 : size // 2] = 2.0
    response = np.fft.irfft(np.exp(np.fft.rfft(cepstrum * fold)), size)[..., :taps]
    fade = max(taps // 4, 1)
    response[..., taps - fade :] *= np.cos(np.linspace(0, np.pi / 2, fade)) ** 2
    return response


class _Grid:
    """The measured directions as rings of equal elevation, each with evenly spaced azimuths, at one sampling rate."""

    def __init__(self, rate: int):
        message = f"The bundled file {ASSET} cannot be read ({{error}}). Install the pack again."
        with explained(message, OSError, SafetensorError):
            data = load_file(asset_path(ASSET))
        self.responses = _at_rate(data["responses"].astype(np.float64), float(data["rate"][0]), rate)
        self.itd = data["itd"].astype(np.float64)
        azimuth, elevation = data["azimuth"], data["elevation"]
        self.elevations = np.unique(elevation)
        # directions are stored ring by ring, each from azimuth 0 once around
        self.starts = np.searchsorted(elevation, self.elevations)
        self.counts = np.diff(np.append(self.starts, len(azimuth)))

    def around(self, ring: np.ndarray, azimuth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The two directions of a ring that enclose ``azimuth``, and the second one's weight."""
        position = np.mod(azimuth, 360.0) / 360.0 * self.counts[ring]
        low = np.floor(position).astype(int) % self.counts[ring]
        return self.starts[ring] + low, self.starts[ring] + (low + 1) % self.counts[ring], position - np.floor(position)

    def weights(self, azimuth: np.ndarray, elevation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Four neighbours ``[N, 4]`` of each direction and their weights ``[N, 4]``, bilinear on the rings."""
        elevation = np.clip(elevation, self.elevations[0], self.elevations[-1])
        upper = np.clip(np.searchsorted(self.elevations, elevation), 1, len(self.elevations) - 1)
        lower = upper - 1
        rise = (elevation - self.elevations[lower]) / (self.elevations[upper] - self.elevations[lower])
        neighbours, weights = [], []
        for ring, share in ((lower, 1 - rise), (upper, rise)):
            first, second, along = self.around(ring, azimuth)
            neighbours += [first, second]
            weights += [share * (1 - along), share * along]
        return np.stack(neighbours, -1), np.stack(weights, -1)


def _at_rate(responses: np.ndarray, own_rate: float, rate: float) -> np.ndarray:
    """The responses ``[D, 2, taps]`` at another rate, by way of their magnitude: a resampling filter would smear them ahead of
    their first sample."""
    if rate == own_rate:
        return responses
    taps = int(np.ceil(responses.shape[-1] * rate / own_rate))
    size = max(1024, 1 << (4 * taps - 1).bit_length())
    known = np.fft.rfftfreq(1024, 1 / own_rate)
    wanted = np.fft.rfftfreq(size, 1 / rate)
    levels = 20 * np.log10(np.maximum(np.abs(np.fft.rfft(responses, 1024)), 1e-6))
    levels = interp1d(known, levels)(np.minimum(wanted, known[-1]))
    return minimum_phase(10 ** (levels / 20), taps)


@lru_cache(maxsize=4)
def _grid(rate: int) -> _Grid:
    return _Grid(rate)


def _directions(azimuth, elevation, rate: int) -> tuple[_Grid, np.ndarray, np.ndarray]:
    if not 8000 <= rate <= 192000:
        raise StereoSyncError(f"Head-related responses: the rate is {rate} Hz; give 8000 to 192000.")
    azimuth, elevation = np.broadcast_arrays(np.atleast_1d(azimuth).astype(float), np.atleast_1d(elevation).astype(float))
    if not (np.isfinite(azimuth).all() and np.isfinite(elevation).all()):
        raise StereoSyncError("Head-related responses: azimuth or elevation contains NaN or infinite values; give degrees.")
    grid = _grid(int(rate))
    return grid, *grid.weights(azimuth, elevation)


def time_differences(azimuth, elevation, rate: int) -> np.ndarray:
    """The ``itd [N]`` of :func:`hrirs` alone, for many directions."""
    grid, neighbours, weights = _directions(azimuth, elevation, rate)
    return (weights * grid.itd[neighbours]).sum(-1)


def hrirs(azimuth, elevation, rate: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Head-related impulse responses towards any directions.

    :param azimuth: degrees ``[N]`` (or one number), 0 = ahead, 90 = right, -90 = left, any turn.
    :param elevation: degrees ``[N]``, 0 = level, 90 = above; below -40 counts as -40, where the measurement ends.
    :param rate: sampling rate in Hz.
    :return: float64 ``left [N, taps]``, ``right [N, taps]``, minimum phase, equalised for the diffuse field (mean power
        over all directions near 1 at every frequency), and ``itd [N]``: seconds by which the sound reaches the left ear later.
    :raises StereoSyncError: for directions that are not finite, a rate out of 8 to 192 kHz, or a damaged asset.
    """
    grid, neighbours, weights = _directions(azimuth, elevation, rate)
    mixed = np.zeros((len(weights), *grid.responses.shape[1:]))
    for k in range(4):
        mixed += weights[:, k, None, None] * grid.responses[neighbours[:, k]]
    return mixed[:, 0], mixed[:, 1], (weights * grid.itd[neighbours]).sum(-1)
