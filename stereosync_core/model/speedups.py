"""What a sampler may leave out to be faster, at the price of another sound: docs/results.md has by how much."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..errors import StereoSyncError

Residuals = list[Tensor | None]


@dataclass(frozen=True)
class SamplerSpeedups:
    """The defaults leave nothing out.

    :param guidance_start: timestep from which on there is guidance (1 = from the beginning), until ``guidance_stop``; outside
        one level of conditions is evaluated instead of two or three (Kynkäänniemi et al., 2024).
    :param control_interval: steps for which the control branch's residuals are reused.
    :raises StereoSyncError: for numbers out of range.
    """

    guidance_start: float = 1.0
    guidance_stop: float = 0.0
    control_interval: int = 1

    def __post_init__(self):
        if not 0 <= self.guidance_stop < self.guidance_start <= 1:
            ends = f"guidance_start {self.guidance_start} must be greater than guidance_stop {self.guidance_stop}"
            raise StereoSyncError(f"Sampler: {ends}, both in 0..1.")
        if not 1 <= self.control_interval <= 100:
            raise StereoSyncError(f"Sampler: control_interval is {self.control_interval}; give 1 to 100 steps.")

    def guides(self, t: float) -> bool:
        """Whether there is guidance at ``t``."""
        return self.guidance_stop <= t <= self.guidance_start


#: What goes with half precision where speed counts for more than the last bit of quality.
FAST = SamplerSpeedups(guidance_start=0.9, guidance_stop=0.2, control_interval=2)


class ResidualCache:
    """Residuals that are made anew every ``interval`` steps."""

    def __init__(self, interval: int):
        self.interval, self.count, self.kept = interval, 0, Residuals()

    def __call__(self, make: Callable[[], Residuals]) -> Residuals:
        if self.count % self.interval == 0:
            self.kept = make()
        self.count += 1
        return self.kept
