"""What a sampler may leave out to be faster, at the price of another sound: how much another, docs/results.md tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..errors import StereoSyncError

Residuals = list[Tensor | None]


@dataclass(frozen=True)
class Economy:
    """Nothing is left out unless it is said here.

    :param guided_from: noise share ``t`` from which on there is guidance, 1 = from the beginning. Outside, one part of the
        conditions is asked instead of two or three (Kynkäänniemi et al., "Applying Guidance in a Limited Interval", 2024).
    :param guided_to: the same for the end.
    :param control_every: steps for which what the control branch says is used.
    :raises StereoSyncError: for numbers out of range.
    """

    guided_from: float = 1.0
    guided_to: float = 0.0
    control_every: int = 1

    def __post_init__(self):
        if not 0 <= self.guided_to < self.guided_from <= 1:
            raise StereoSyncError(
                f"Sampler: guidance from {self.guided_from} to {self.guided_to} must lie within 1 and 0, falling."
            )
        if not 1 <= self.control_every <= 100:
            raise StereoSyncError(f"Sampler: the control branch's steps are {self.control_every}; give 1 to 100.")

    def guides(self, t: float) -> bool:
        """Whether there is guidance at ``t``."""
        return self.guided_to <= t <= self.guided_from


#: What goes with half precision where speed counts for more than the last bit of quality.
FAST = Economy(guided_from=0.9, guided_to=0.2, control_every=2)


class Reused:
    """Residuals that are made anew every so many steps.

    :param every: steps for which they serve.
    """

    def __init__(self, every: int):
        self.every, self.count, self.kept = every, 0, Residuals()

    def __call__(self, make: Callable[[], Residuals]) -> Residuals:
        if self.count % self.every == 0:
            self.kept = make()
        self.count += 1
        return self.kept
