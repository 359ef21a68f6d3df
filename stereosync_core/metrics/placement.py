"""Object placement: how much better a sound is placed than it would be in the middle.

    1 - mean|measured azimuth - true azimuth| / mean|0 - true azimuth|

over the windows that sound and belong to one visible object. 1 is perfect, centre-panned sound scores 0 whatever the clip,
and sound on the wrong side scores below it: mirrored sound -1. A plain hit rate gives credit for the middle, this does not.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from .localiser import Localisation
from .truth import NOBODY, Counted, Truth

#: Of the bootstrap.
RESAMPLES = 1000


@dataclass(frozen=True)
class AzimuthErrors(Counted):
    """Sums over ``windows``: ``error`` of |measured - true azimuth|, ``centre`` of |true azimuth|, what centre-panned sound
    would err by."""

    windows: int = 0
    error: float = 0.0
    centre: float = 0.0

    @property
    def score(self) -> float | None:
        """None where no window counts, or everything counted is in the middle anyway."""
        return None if self.centre < 1e-6 * max(self.windows, 1) else 1.0 - self.error / self.centre

    @property
    def mean_error(self) -> float | None:
        """Mean |measured - true azimuth|."""
        return self.error / self.windows if self.windows else None


@dataclass(frozen=True)
class PlacementErrors:
    """Placement in one clip: errors of each object by its track's id."""

    objects: dict[int, AzimuthErrors]

    @property
    def clip(self) -> AzimuthErrors:
        return sum(self.objects.values(), AzimuthErrors())


def placement_errors(localisation: Localisation, truth: Truth) -> PlacementErrors:
    """Errors of every object of a clip; an object that no window belongs to has zero windows and no score."""
    owner = np.where(localisation.sounding, truth.owner(localisation.times), NOBODY)
    true = truth.azimuth(owner, localisation.times)
    objects = {}
    for place, track in enumerate(truth.tracks):
        own = owner == place
        objects[track.id] = AzimuthErrors(
            int(own.sum()), float(np.abs(localisation.azimuth[own] - true[own]).sum()), float(np.abs(true[own]).sum())
        )
    return PlacementErrors(objects)


@dataclass(frozen=True)
class Pooled:
    """A score over clips with its 95 % confidence interval; None where it is not defined."""

    score: float | None
    low: float | None
    high: float | None
    windows: int
    clips: int


def pooled(clips: Sequence[PlacementErrors]) -> Pooled:
    """Placement over all windows of all clips. The interval is from a percentile bootstrap over clips (Efron 1979): windows of
    one clip are not independent."""
    used = np.array([astuple(one.clip) for one in clips if one.clip.windows], dtype=np.float64).reshape(-1, 3)
    windows, error, centre = used.sum(0)
    score = AzimuthErrors(int(windows), float(error), float(centre)).score
    if score is None or len(used) < 2:
        return Pooled(score, None, None, int(windows), len(used))
    sums = used[np.random.default_rng(0).integers(0, len(used), (RESAMPLES, len(used)))].sum(1)
    low, high = np.quantile(1.0 - sums[:, 1] / np.maximum(sums[:, 2], 1e-9), [0.025, 0.975])
    return Pooled(score, float(low), float(high), int(windows), len(used))
