"""Timbre: what a sound is made of, as one vector, from a reference sound or from the name of a surface.

The bundled encoder takes the mono mix, so that no place leaks in; it was trained to classify surfaces, shoes and weights.
"""

import math

import numpy as np
import torch
from scipy.signal import resample_poly
from torch import Tensor, nn

from ...errors import StereoSyncError
from ...rendering.surfaces import SHOES, SURFACES

RATE = 44100
_WINDOW, _HOP, _MELS = 1024, 512, 64
#: Hz that the mel filters cover.
_LOWEST, _HIGHEST = 40.0, 18000.0


def check_audible(mono: np.ndarray) -> None:
    """:raises StereoSyncError: when a sound ``[N]`` is silent, empty or not finite."""
    if not np.isfinite(mono).all() or not np.abs(mono).max(initial=0) > 0:
        raise StereoSyncError("Timbre: the reference is silent, empty or holds NaN; give one with samples above 0.")


def check_surface(name: str) -> int:
    """The place of a surface in :data:`SURFACES`. Raises StereoSyncError for a name that is not known."""
    if name not in SURFACES:
        raise StereoSyncError(f"Timbre: the surface '{name}' is not known; choose one of {', '.join(SURFACES)}.")
    return list(SURFACES).index(name)


class TimbreEncoder(nn.Module):
    """A mono sound to a vector; ``surfaces`` holds each surface's mean one, by its place in :data:`SURFACES`."""

    filters: Tensor
    surfaces: Tensor

    def __init__(self, size: int = 64, width: int = 64):
        from torchaudio.functional import melscale_fbanks  # comes with torch in ComfyUI; slow to import

        super().__init__()
        self.size, self.config = size, {"type": "small", "size": size, "width": width}
        with torch.device("cpu"):
            filters = melscale_fbanks(_WINDOW // 2 + 1, _LOWEST, _HIGHEST, _MELS, RATE).T.contiguous()
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("surfaces", torch.zeros(len(SURFACES), size))
        layers: list[nn.Module] = []
        for entering, leaving, stride in ((_MELS, width, 1), (width, width, 2), (width, 2 * width, 2)):
            layers += [nn.Conv1d(entering, leaving, 5, stride, padding=2), nn.GELU()]
        self.body = nn.Sequential(*layers)
        self.project = nn.Linear(4 * width, size)
        self.heads = nn.Linear(size, len(SURFACES) + len(SHOES) + 1)

    def forward(self, sound: Tensor) -> Tensor:
        """Vectors ``[B, size]`` of length ``sqrt(size)`` of sounds ``[B, N]`` at 44.1 kHz; their loudness does not matter."""
        sound = sound / sound.abs().amax(-1, keepdim=True).clamp(min=1e-6)
        window = torch.hann_window(_WINDOW, device=sound.device, dtype=sound.dtype)
        power = torch.stft(sound, _WINDOW, _HOP, window=window, return_complex=True).abs().square()
        mel = (self.filters @ power + 1e-4).log() / 4
        features = self.body(mel)
        pooled = torch.cat([features.mean(-1), features.amax(-1)], dim=-1)
        return nn.functional.normalize(self.project(pooled), dim=-1) * self.size**0.5

    def of_sound(self, samples: np.ndarray, rate: int) -> Tensor:
        """Vector ``[size]`` of a sound ``[C, N]``. Raises StereoSyncError when it is silent, empty or not finite."""
        mono = np.asarray(samples, dtype=np.float64).mean(0)
        check_audible(mono)
        if rate != RATE:
            divisor = math.gcd(int(rate), RATE)
            mono = resample_poly(mono, RATE // divisor, int(rate) // divisor)
        mono = np.pad(mono, (0, max(0, _WINDOW - len(mono))))
        with torch.no_grad():
            return self(torch.from_numpy(mono).float()[None].to(self.surfaces.device))[0]

    def of_name(self, name: str) -> Tensor:
        """Vector ``[size]`` of a surface. Raises StereoSyncError for a name that is not known."""
        return self.surfaces[check_surface(name)]
