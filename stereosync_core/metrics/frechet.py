"""Frechet distance of two sets of embeddings (FAD for sound, the joint form for sound and picture together).

    |m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^1/2)

in float64. From few windows it comes out too large, by about a constant over their number; :func:`frechet_infinite` therefore
takes it at several numbers and extrapolates to infinitely many (Chong and Forsyth, CVPR 2020; for sound Gui et al., ICASSP
2024)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import StereoSyncError

#: Fewest clips (or windows, each for itself) of a set from which a distance is extrapolated.
LEAST_GROUPS = 16


def _checked(windows: np.ndarray, name: str) -> np.ndarray:
    windows = np.asarray(windows, dtype=np.float64)
    if windows.ndim != 2 or windows.shape[1] == 0:
        raise StereoSyncError(
            f"Frechet distance: the {name} embeddings have shape {windows.shape}, expected [windows, features]."
        )
    if len(windows) < 2:
        raise StereoSyncError(
            f"Frechet distance: {len(windows)} {name} windows; at least two are needed. Give more or longer clips."
        )
    if not np.isfinite(windows).all():
        raise StereoSyncError(f"Frechet distance: the {name} embeddings contain NaN or infinite values.")
    return windows


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Of two sets of windows ``[N, D]`` and ``[M, D]``.

    :raises StereoSyncError: for fewer than two windows, different widths or NaN.
    """
    first, second = _checked(first, "first"), _checked(second, "second")
    if first.shape[1] != second.shape[1]:
        raise StereoSyncError(
            f"Frechet distance: {first.shape[1]} features against {second.shape[1]}; use one embedding for both."
        )
    apart = first.mean(0) - second.mean(0)
    deviations = [(one - one.mean(0)) / np.sqrt(len(one) - 1) for one in (first, second)]
    # The trace of (S1 S2)^1/2 is the sum of the singular values of S1^1/2 S2^1/2, which are those of A1' A2 for any factors A
    # of the covariances: no root of a matrix that is not symmetric, and no more rows than there are windows.
    factors = [_factor(one) for one in deviations]
    together = np.linalg.svd(factors[0] @ factors[1].T, compute_uv=False).sum()
    return float(apart @ apart + sum(np.square(one).sum() for one in deviations) - 2 * together)


def _factor(deviations: np.ndarray) -> np.ndarray:
    """``[min(N, D), D]`` with the same product with itself."""
    return deviations if len(deviations) <= deviations.shape[1] else np.asarray(np.linalg.qr(deviations, mode="r"))


@dataclass(frozen=True)
class FrechetInfinite:
    """A distance extrapolated to infinitely many windows.

    :param value: may come out slightly below zero for equal sets, as an unbiased estimate of zero must.
    :param biased: the plain distance of all windows.
    :param windows: of both sets.
    :param points: pairs of windows taken and mean distance, what was extrapolated.
    """

    value: float
    biased: float
    windows: tuple[int, int]
    points: tuple[tuple[int, float], ...]


def frechet_infinite(
    first: np.ndarray,
    second: np.ndarray,
    groups: tuple[np.ndarray, np.ndarray] | None = None,
    *,
    sizes: int = 8,
    draws: int = 4,
    seed: int = 0,
) -> FrechetInfinite:
    """The distance of ``[N, D]`` from ``[M, D]`` without the bias of small numbers.

    Both sets are thinned to the same parts, from all down to a half, and a straight line over 1 / windows is followed to 0.

    :param groups: the clip ``[N]`` and ``[M]`` that each window is from; windows of a clip then come and go together.
    :raises StereoSyncError: as :func:`frechet_distance`, and for fewer than 16 windows or groups a set.
    """
    first, second = _checked(first, "first"), _checked(second, "second")
    labels = (
        [np.arange(len(first)), np.arange(len(second))]
        if groups is None
        else [np.unique(g, return_inverse=True)[1] for g in groups]
    )
    counts = [int(one.max()) + 1 for one in labels]
    if min(counts) < LEAST_GROUPS:
        raise StereoSyncError(
            f"Frechet distance: {counts[0]} and {counts[1]} clips or windows are too few to extrapolate from; give at "
            f"least {LEAST_GROUPS} of each."
        )
    generator = np.random.default_rng(seed)
    biased = frechet_distance(first, second)
    points = [(1.0 / len(first) + 1.0 / len(second), biased)]
    averages = [(len(first), biased)]
    for part in np.linspace(0.5, 1.0, sizes, endpoint=False):
        taken = []
        for _ in range(draws):
            subset = []
            for windows, own, count in zip((first, second), labels, counts, strict=True):
                kept = np.zeros(count, bool)
                kept[generator.permutation(count)[: max(round(part * count), 2)]] = True
                subset.append(windows[kept[own]])
            taken.append((1.0 / len(subset[0]) + 1.0 / len(subset[1]), frechet_distance(*subset), len(subset[0])))
        points += [row[:2] for row in taken]
        averages.append((taken[0][2], float(np.mean([row[1] for row in taken]))))
    x, y = np.array(points).T
    _, value = np.polyfit(x, y, 1)
    return FrechetInfinite(float(value), biased, (len(first), len(second)), tuple(sorted(averages)))


def joint(audio: np.ndarray, audio_times: np.ndarray, video: np.ndarray, video_times: np.ndarray) -> np.ndarray:
    """Features ``[N, DA + DV]`` for the joint audio-video form: each audio window beside the video features at its time.

    Video features are taken linearly between their times ``[M]``; both parts are scaled to equal total variance by the caller's
    reference, see :func:`balance`.
    """
    audio, video = np.asarray(audio, dtype=np.float64), np.asarray(video, dtype=np.float64)
    if len(audio) != len(audio_times) or len(video) != len(video_times) or not len(video):
        raise StereoSyncError(
            "Frechet distance: give one time for each audio and each video feature, and at least one of both."
        )
    aligned = np.stack([np.interp(audio_times, video_times, column) for column in video.T], axis=1)
    return np.concatenate([audio, aligned], axis=1)


def balance(reference: np.ndarray, width: int) -> np.ndarray:
    """Factors ``[D]`` that give the first ``width`` features and the others the same total variance over a reference ``[N,
    D]``; without them the part with the larger numbers decides alone."""
    variance = np.asarray(reference, dtype=np.float64).var(0)
    parts = [max(float(variance[:width].sum()), 1e-12), max(float(variance[width:].sum()), 1e-12)]
    return np.concatenate([np.full(width, parts[0] ** -0.5), np.full(len(variance) - width, parts[1] ** -0.5)])
