"""Voices that are made one by one, since all voices of a long clip are larger than the memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import overload

import numpy as np


class LazyVoices(Sequence[np.ndarray]):
    """Voices float32 ``[1, N]``, each made on access; ``np.stack(voices)`` is the batch ``[B, 1, N]``.

    :param make: gives the samples ``[N]`` of the voice at a place, the same each time.
    """

    def __init__(self, count: int, make: Callable[[int], np.ndarray]):
        self._count, self._make = count, make

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, place: slice) -> list[np.ndarray]: ...
    def __getitem__(self, place):
        if isinstance(place, slice):
            return [self[n] for n in range(*place.indices(self._count))]
        if not -self._count <= place < self._count:
            raise IndexError(place)
        return np.asarray(self._make(place % self._count), np.float32)[None]
