"""Panning laws: how a way of placing sound turns azimuth into differences between the channels, measured band by band: ``pan``
(a mixing desk's), ``binaural`` (headphones) and ``rooms`` (a game engine's), see docs/metrics.md."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ..errors import StereoSyncError, explained

PANNING_LAWS = Path(__file__).with_name("panning_laws.json")


@dataclass(frozen=True)
class PanningLaw:
    """Differences between the channels by azimuth."""

    azimuth: np.ndarray  # rising [A]
    centres: np.ndarray  # Hz [F] at which the level differences are known
    level_db: np.ndarray  # right minus left [F, A]
    delay: np.ndarray  # seconds [A] by which the left channel is late

    def broadband(self) -> np.ndarray:
        """Level difference ``[A]``, the mean over the bands."""
        return self.level_db.mean(0)

    def at(self, azimuth: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Level differences ``[len(centres), len(azimuth)]`` and delays ``[len(azimuth)]``."""
        levels = np.stack([np.interp(azimuth, self.azimuth, row) for row in self.level_db])
        by_band = np.stack([np.interp(np.log(centres), np.log(self.centres), column) for column in levels.T], 1)
        return by_band, np.interp(azimuth, self.azimuth, self.delay)


@cache
def panning_laws() -> dict[str, PanningLaw]:
    """The calibrated laws by name. Raises StereoSyncError when the file is missing or damaged."""
    message = f"The bundled file {PANNING_LAWS.name} cannot be read ({{error}}). Install the pack again."
    with explained(message, OSError, ValueError, KeyError):
        data = json.loads(PANNING_LAWS.read_text(encoding="utf-8"))["laws"]
        columns = ("azimuth", "centres", "level_db", "delay")
        return {name: PanningLaw(*(np.asarray(row[key], dtype=np.float64) for key in columns)) for name, row in data.items()}


def panning_law(name: str) -> PanningLaw:
    """:raises StereoSyncError: when there is no law of that name."""
    if name not in panning_laws():
        raise StereoSyncError(f"The panning law '{name}' is not known; choose {', '.join(panning_laws())}.")
    return panning_laws()[name]
