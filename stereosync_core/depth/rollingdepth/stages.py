"""One progress bar over work of several kinds."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float, float], None]


class Stages:
    """Hands out a ``progress(done, total)`` for each stage and reports the whole.

    :param weights: relative cost of the stages, in the order in which they come.
    :param report: called with the part done and 1; raising inside it stops the work.
    """

    def __init__(self, weights: list[float], report: Progress | None):
        self._weights, self._report, self._stage = weights, report, -1

    def next(self) -> Progress:
        """The next stage's ``progress``."""
        self._stage += 1
        before, weight, whole = sum(self._weights[: self._stage]), self._weights[self._stage], sum(self._weights)

        def progress(done: float, total: float) -> None:
            if self._report is not None:
                self._report((before + weight * min(1.0, done / max(total, 1e-9))) / whole, 1.0)

        return progress
