"""Localisation: the azimuth of a stereo sound over time, with its uncertainty, from level and phase differences, compared with
what a panning law (:mod:`..rendering.panning_laws`) gives. Nothing is trained. Two localisers, both functions ``(stereo [2, N],
rate) -> Localisation``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from ..errors import StereoSyncError
from ..rendering.analysis import LEVEL_DIFFERENCE_LIMIT, level_difference
from ..rendering.panning_laws import PanningLaw, panning_law, panning_laws
from . import checks

#: Seconds of a window; windows overlap by half.
WINDOW = 0.1
#: dB below the loudest window down to which a window sounds.
FLOOR = 35.0
_LOWEST, _HIGHEST = 120.0, 16000.0  # Hz of the bands
#: Hz above which a phase difference could be that of several delays; levels count there alone.
_PHASE_LIMIT = 1600.0
#: What a level difference of one band scatters by, in dB, and what a perfect match of phase counts for.
_LEVEL_SPREAD, _PHASE_WEIGHT = 2.5, 40.0
#: Bands that count as independent evidence when all are equally loud; neighbouring bands of one sound err together.
_INDEPENDENT = 8.0


@dataclass(frozen=True)
class Localisation:
    """Where sound comes from in windows of a tenth of a second, all ``[W]``.

    :param times: seconds of the windows' centres: 0.05, 0.1, 0.15 ...
    :param azimuth: -1 (left edge of the frame) .. 1 (right edge), and its standard deviation; meaningless where nothing sounds.
    :param level_db: of both channels together, full scale = 0, silence = -120.
    :param sounding: bool; the level is at most 35 dB below the loudest window's.
    """

    times: np.ndarray
    azimuth: np.ndarray
    uncertainty: np.ndarray
    level_db: np.ndarray
    sounding: np.ndarray


Localiser = Callable[[np.ndarray, int], Localisation]


@dataclass(frozen=True)
class LevelLocaliser:
    """The plain localiser: one level difference a window, read off the broadband curve of ``law``; ``rooms`` is the one that
    tables compare by."""

    law: str = "rooms"

    def __call__(self, stereo: np.ndarray, rate: int) -> Localisation:
        """:raises StereoSyncError: when the sound is not stereo, not finite, or shorter than a window."""
        stereo = checks.stereo(stereo)
        times, difference, level, sounding = level_difference(stereo, rate, WINDOW, FLOOR)
        law = panning_law(self.law)
        curve = np.maximum.accumulate(law.broadband())
        azimuth = np.interp(difference, curve + 1e-9 * np.arange(len(curve)), law.azimuth)
        slope = np.interp(azimuth, law.azimuth, np.gradient(curve, law.azimuth))
        return Localisation(times, azimuth, np.minimum(_LEVEL_SPREAD / np.maximum(slope, 1.0), 1.0), level, sounding)


@dataclass(frozen=True)
class BandLocaliser:
    """Level and phase differences, band by band, weighted by energy: every azimuth of a grid is scored by how well the law's
    level differences and its delay fit (maximum likelihood, as in Woodruff and Wang, "Binaural localization of multiple sources
    in reverberant and noisy environments", 2012, with laws in the place of trained models). Azimuth and uncertainty are mean
    and standard deviation of what remains likely.

    :param law: name of a law, or ``auto``: the one that explains the clip as a whole best.
    :param bands: how many, evenly spread on the ERB scale (Glasberg and Moore 1990).
    """

    law: str = "auto"
    bands: int = 16

    def __call__(self, stereo: np.ndarray, rate: int) -> Localisation:
        """:raises StereoSyncError: when the sound is not stereo, not finite, or shorter than a window."""
        return self.with_law(stereo, rate)[0]

    def with_law(self, stereo: np.ndarray, rate: int) -> tuple[Localisation, str]:
        """The localisation, and the name of the panning law that it was read by."""
        stereo = checks.stereo(stereo)
        times, _, level, sounding = level_difference(stereo, rate, WINDOW, FLOOR)
        use = np.flatnonzero(sounding)
        measured = _measure(stereo, rate, use, self.bands)
        names = list(panning_laws()) if self.law == "auto" else [self.law]
        grid = np.linspace(-1.0, 1.0, 101)
        scores = {name: self._score(measured, panning_law(name), grid) for name in names}
        # the evidence of all windows of the clip for a law, louder ones counting more
        loud = np.sqrt(measured.power.sum((1, 2)))
        fit = {name: float(loud @ logsumexp(score, axis=1)) for name, score in scores.items()}
        name = max(names, key=lambda one: fit[one])
        likely = np.exp(scores[name] - logsumexp(scores[name], axis=1, keepdims=True))
        # where nothing sounds, every azimuth is as likely as any other
        azimuth, spread = np.zeros(len(times)), np.full(len(times), 3**-0.5)
        azimuth[use] = likely @ grid
        spread[use] = np.sqrt(np.maximum(likely @ grid**2 - azimuth[use] ** 2, 0.0) + (grid[1] - grid[0]) ** 2 / 12)
        return Localisation(times, azimuth, spread, level, sounding), name

    def _score(self, measured: _Bands, law: PanningLaw, grid: np.ndarray) -> np.ndarray:
        """Log likelihood ``[W, A]`` of every azimuth in every window."""
        expected, delay = law.at(grid, measured.centres)
        limit = LEVEL_DIFFERENCE_LIMIT
        left, right = np.maximum(measured.power, 1e-15).transpose(2, 0, 1)
        level = np.clip(10 * np.log10(right / left), -limit, limit)
        energy = measured.power.sum(2)
        weight = _INDEPENDENT * energy / np.maximum(energy.sum(1, keepdims=True), 1e-30)
        miss = (level[:, :, None] - np.clip(expected, -limit, limit)[None]) / _LEVEL_SPREAD
        # a band that something else masks may miss by any amount and must not outvote the others
        score = -np.einsum("wb,wba->wa", weight, np.minimum(miss**2 / 2, 8.0))
        if measured.cross.shape[1]:
            turn = np.exp(2j * np.pi * measured.frequencies[:, None] * delay[None])
            # Low bands are often a small part of a noisy sound's energy, yet their phases are as sure: weighed apart.
            low = np.unique(measured.low_band)
            share = energy[:, low] / np.maximum(energy[:, low].sum(1, keepdims=True), 1e-30)
            for n, band in enumerate(low):
                inside = measured.low_band == band
                together = np.real(measured.cross[:, inside] @ turn[inside])
                scale = np.sqrt(left[:, band] * right[:, band])[:, None]
                score += _PHASE_WEIGHT * share[:, n, None] * np.clip(together / scale, -1.0, 1.0)
        return score


@dataclass(frozen=True)
class _Bands:
    """Band powers ``[W, B, 2]`` with their centres in Hz ``[B]``, and below the phase limit the cross-spectrum ``[W, K]`` (left
    times the conjugate of right) with its frequencies ``[K]`` and bands ``[K]``."""

    power: np.ndarray
    centres: np.ndarray
    cross: np.ndarray
    frequencies: np.ndarray
    low_band: np.ndarray


def _measure(stereo: np.ndarray, rate: int, windows: np.ndarray, bands: int) -> _Bands:
    """Spectra of some of the windows that :func:`level_difference` looks at, gathered into bands."""
    hop = round(WINDOW * rate / 2)
    frames = np.lib.stride_tricks.sliding_window_view(stereo, 2 * hop, axis=1)[:, windows * hop]
    hann = np.sin(np.pi * (np.arange(2 * hop) + 0.5) / (2 * hop)) ** 2
    spectra = np.fft.rfft(frames * hann, axis=-1) / hop
    frequencies = np.fft.rfftfreq(2 * hop, 1 / rate)
    # evenly spread in ERB numbers
    first, last = 21.4 * np.log10(1 + 0.00437 * np.array([_LOWEST, min(_HIGHEST, 0.45 * rate)]))
    edges = (10 ** (np.linspace(first, last, bands + 1) / 21.4) - 1) / 0.00437
    starts = np.searchsorted(frequencies, edges)
    if (np.diff(starts) < 1).any():
        raise StereoSyncError(f"Localiser: {bands} bands are too many for windows of {WINDOW} s; give fewer.")
    inside = slice(starts[0], starts[-1])
    power = np.add.reduceat(np.abs(spectra[:, :, inside]) ** 2, starts[:-1] - starts[0], axis=2)
    low = slice(starts[0], max(np.searchsorted(frequencies, _PHASE_LIMIT), starts[0]))
    return _Bands(
        power=power.transpose(1, 2, 0),
        centres=np.sqrt(edges[1:] * edges[:-1]),
        cross=spectra[0, :, low] * spectra[1, :, low].conj(),
        frequencies=frequencies[low],
        low_band=np.searchsorted(starts, np.arange(low.start, low.stop), side="right") - 1,
    )
