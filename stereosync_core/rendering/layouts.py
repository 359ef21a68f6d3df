"""Where the channels of a mix stand, and how loud a sound from anywhere is in each: loudspeakers and ambisonics.

Loudspeakers are those of ITU-R BS.2051. A source between them is panned by vectors (V. Pulkki, "Virtual sound source
positioning using vector base amplitude panning", JAES 45, 1997) of energies in place of amplitudes (J.-M. Pernaux, P.
Boussard, J.-M. Jot, "Virtual sound source positioning and mixing in 5.1", DAFx 1998): the energy vector, by which short and
high sounds are localised, then points at the source exactly, where that of amplitudes is off by up to 11 degrees between the
sides of 5.1.

Ambisonics are AmbiX: channels in ACN order, SN3D (C. Nachbar, F. Zotter, E. Deleflie, A. Sontacchi, "AmbiX - a suggested
ambisonics format", Ambisonics Symposium 2011).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import ConvexHull

from ..errors import StereoSyncError


def directions(azimuth, elevation) -> np.ndarray:
    """Unit vectors ``[..., 3]`` (right, ahead, up) of degrees, right and up above 0."""
    azimuth, elevation = np.deg2rad(azimuth), np.deg2rad(elevation)
    flat = np.cos(elevation)
    return np.stack([flat * np.sin(azimuth), flat * np.cos(azimuth), np.sin(elevation)], -1)


@dataclass(frozen=True)
class SpeakerLayout:
    """Loudspeakers of a layout in the order of its file's channels.

    :param file_layout: libav's name of it.
    :param speakers: name in BS.2051, azimuth (right above 0) and elevation in degrees; None for what gets no placed sound.
    """

    file_layout: str
    speakers: tuple[tuple[str, float, float] | tuple[str, None, None], ...]

    @property
    def channels(self) -> int:
        return len(self.speakers)

    @cached_property
    def _placed(self) -> tuple[np.ndarray, np.ndarray]:
        """Channel numbers ``[S]`` and unit vectors ``[S, 3]`` of the loudspeakers that are placed."""
        places = [(n, azimuth, elevation) for n, (_, azimuth, elevation) in enumerate(self.speakers) if azimuth is not None]
        numbers, azimuth, elevation = zip(*places, strict=True)
        return np.array(numbers), directions(np.array(azimuth, float), np.array(elevation, float))

    @cached_property
    def _bases(self) -> tuple[np.ndarray, np.ndarray]:
        """Inverse bases ``[T, 3, 3]``, and what each of their vectors gives to the channels ``[T, 3, C]``."""
        numbers, units = self._placed
        shares = np.eye(self.channels)[numbers]
        # above and below, where no loudspeaker is, all of the nearest layer share
        for pole in (np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, -1.0])):
            height = units[: len(numbers)] @ pole
            nearest = height > height.max() - 1e-6
            units = np.vstack([units, pole])
            shares = np.vstack([shares, shares[: len(numbers)][nearest].mean(0)])
        faces = ConvexHull(units).simplices
        return np.linalg.inv(units[faces]), shares[faces]

    def gains(self, azimuth: np.ndarray, elevation: np.ndarray) -> np.ndarray:
        """Gains ``[C, N]`` of sources at degrees ``[N]``; their energies sum to 1. Without loudspeakers above or below, as in
        5.1, elevation changes nothing."""
        wanted = directions(azimuth, elevation if (self._placed[1][:, 2] > 0.1).any() else np.zeros_like(azimuth))
        bases, shares = self._bases
        weights = np.einsum("nk,tkj->ntj", wanted, bases)
        face = weights.min(-1).argmax(-1)
        energy = np.maximum(np.take_along_axis(weights, face[:, None, None], 1)[:, 0], 0.0)
        energy = np.einsum("nj,njc->nc", energy, shares[face])
        return np.sqrt(energy / energy.sum(-1, keepdims=True)).T


@dataclass(frozen=True)
class Ambisonics:
    """A sound field in spherical harmonics up to an order, in AmbiX's order and normalisation."""

    order: int

    @property
    def file_layout(self) -> str:
        return f"ambisonic {self.order}"

    @property
    def channels(self) -> int:
        return (self.order + 1) ** 2

    def gains(self, azimuth: np.ndarray, elevation: np.ndarray) -> np.ndarray:
        """Gains ``[C, N]`` of sources at degrees ``[N]``."""
        right, x, z = np.moveaxis(directions(azimuth, elevation), -1, 0)
        y = -right  # AmbiX counts to the left
        return np.stack(
            [
                np.ones_like(x),
                *(y, z, x),
                *(
                    np.sqrt(3) * x * y,
                    np.sqrt(3) * y * z,
                    (3 * z**2 - 1) / 2,
                    np.sqrt(3) * x * z,
                    np.sqrt(3) / 2 * (x**2 - y**2),
                ),
                np.sqrt(5 / 8) * y * (3 * x**2 - y**2),
                np.sqrt(15) * x * y * z,
                np.sqrt(3 / 8) * y * (5 * z**2 - 1),
                z * (5 * z**2 - 3) / 2,
                np.sqrt(3 / 8) * x * (5 * z**2 - 1),
                np.sqrt(15) / 2 * z * (x**2 - y**2),
                np.sqrt(5 / 8) * x * (x**2 - 3 * y**2),
            ][: self.channels]
        )


_FRONT = (("M+030", -30.0, 0.0), ("M-030", 30.0, 0.0), ("M+000", 0.0, 0.0), ("LFE1", None, None))
LAYOUTS: dict[str, SpeakerLayout | Ambisonics] = {
    "5.1": SpeakerLayout("5.1", (*_FRONT, ("M+110", -110.0, 0.0), ("M-110", 110.0, 0.0))),
    "7.1.4": SpeakerLayout(
        "7.1.4",
        (
            *_FRONT,
            *(("M+135", -135.0, 0.0), ("M-135", 135.0, 0.0), ("M+090", -90.0, 0.0), ("M-090", 90.0, 0.0)),
            *(("U+045", -45.0, 30.0), ("U-045", 45.0, 30.0), ("U+135", -135.0, 30.0), ("U-135", 135.0, 30.0)),
        ),
    ),
    "ambisonics 1": Ambisonics(1),
    "ambisonics 3": Ambisonics(3),
}


def layout_of(name: str) -> SpeakerLayout | Ambisonics:
    """:raises StereoSyncError: when there is no layout of that name."""
    if name not in LAYOUTS:
        raise StereoSyncError(f"Layout: there is no '{name}'; choose one of {', '.join(LAYOUTS)}.")
    return LAYOUTS[name]
