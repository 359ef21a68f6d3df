"""Frechet distance of two sets of embeddings (FAD for sound, the joint form for sound and picture together).

    |m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^1/2)

in float64. From few windows it comes out too large, by about a constant over their number; :func:`frechet_infinite` therefore
takes it at several numbers and extrapolates to infinitely many (Chong and Forsyth, CVPR 2020; for sound Gui et al., ICASSP
2024)."""

from dataclasses import dataclass

import numpy as np

from ..errors import StereoSyncError

#: Fewest clips (or windows, each for itself) of a set from which a distance is extrapolated.
LEAST_GROUPS = 16
#: Parts of the windows that a distance is extrapolated from, and draws of each.
SIZES, DRAWS = 8, 4


def _checked(windows: np.ndarray, name: str) -> np.ndarray:
    windows = np.asarray(windows, dtype=np.float64)
    if windows.ndim != 2 or windows.shape[1] == 0:
        raise StereoSyncError(f"Frechet distance: {name} embeddings of shape {windows.shape}; expected [windows, features].")
    if len(windows) < 2:
        raise StereoSyncError(f"Frechet distance: {len(windows)} {name} windows; at least two are needed.")
    if not np.isfinite(windows).all():
        raise StereoSyncError(f"Frechet distance: the {name} embeddings contain NaN or infinite values.")
    return windows


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Of two sets of windows ``[N, D]`` and ``[M, D]``. Raises StereoSyncError for fewer than two windows, different widths or
    NaN."""
    first, second = _checked(first, "first"), _checked(second, "second")
    if first.shape[1] != second.shape[1]:
        raise StereoSyncError(f"Frechet distance: {first.shape[1]} and {second.shape[1]} features; use one embedding for both.")
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
    """A distance extrapolated to infinitely many windows (slightly below zero for equal sets, maybe, as an unbiased estimate of
    zero must be), and the plain one of all ``windows`` of both sets."""

    value: float
    biased: float
    windows: tuple[int, int]


def frechet_infinite(
    first: np.ndarray, second: np.ndarray, groups: tuple[np.ndarray, np.ndarray] | None = None
) -> FrechetInfinite:
    """The distance of ``[N, D]`` from ``[M, D]`` without the bias of small numbers.

    Both sets are thinned to the same parts, from all down to a half, and a straight line over 1 / windows is followed to 0.

    :param groups: the clip ``[N]`` and ``[M]`` that each window is from; windows of a clip then come and go together.
    :raises StereoSyncError: as :func:`frechet_distance`, and for fewer than 16 windows or groups a set.
    """
    first, second = _checked(first, "first"), _checked(second, "second")
    labels = [np.unique(one, return_inverse=True)[1] for one in groups or (range(len(first)), range(len(second)))]
    counts = [int(one.max()) + 1 for one in labels]
    if min(counts) < LEAST_GROUPS:
        raise StereoSyncError(
            f"Frechet distance: {counts[0]} and {counts[1]} clips or windows are too few to extrapolate from; give at "
            f"least {LEAST_GROUPS} of each."
        )
    generator = np.random.default_rng(0)
    biased = frechet_distance(first, second)
    points = [(1.0 / len(first) + 1.0 / len(second), biased)]
    for part in np.repeat(np.linspace(0.5, 1.0, SIZES, endpoint=False), DRAWS):
        subset = []
        for windows, own, count in zip((first, second), labels, counts, strict=True):
            kept = np.zeros(count, bool)
            kept[generator.permutation(count)[: max(round(part * count), 2)]] = True
            subset.append(windows[kept[own]])
        points.append((sum(1.0 / len(one) for one in subset), frechet_distance(*subset)))
    x, y = np.array(points).T
    _, value = np.polyfit(x, y, 1)
    return FrechetInfinite(float(value), biased, (len(first), len(second)))
