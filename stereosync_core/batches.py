"""Work in batches: of a stream, and such as halve when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import torch

from .errors import StereoSyncError

Item = TypeVar("Item")
_WORDS = ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate")


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of ``size`` items each, the last one shorter; only one is held (``itertools.batched`` of Python 3.12)."""
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of a network means that the device or the machine has no memory left."""
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _WORDS)


class Batches:
    """Runs work in batches and halves them, for good, when memory runs out.

    :param size: entries at once.
    :param what: what an entry is, for the message.
    :param notice: called with a line of text when the size is halved.
    """

    def __init__(self, size: int, what: str, notice: Callable[[str], None] | None = None):
        if size < 1:
            raise StereoSyncError(f"Batch size: {size} {what} at once is not possible; give 1 or more.")
        self.size, self.what, self.notice = size, what, notice

    def run(self, work: Callable[[slice], Any], count: int) -> Iterator[tuple[slice, Any]]:
        """``(part, work(part))`` over all parts of ``range(count)``, in order.

        :raises StereoSyncError: memory does not suffice for a single entry.
        """
        begin = 0
        while begin < count:
            part = slice(begin, min(begin + self.size, count))
            exhausted = ""
            result = None
            try:
                result = work(part)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                exhausted = str(error).splitlines()[0] if str(error) else "out of memory"
            # Outside of the except block, so that the failed batch's tensors are not held by the error's traceback.
            if exhausted:
                self._halve(exhausted)
                continue
            yield part, result
            begin = part.stop

    def _halve(self, reason: str) -> None:
        if self.size == 1:
            raise StereoSyncError(
                f"Memory does not suffice for one of the {self.what} ({reason}); lower the resolution, choose half "
                "precision in the loader, or free memory."
            )
        self.size = max(1, self.size // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if self.notice is not None:
            self.notice(f"Memory ran out; continuing with {self.size} {self.what} at once.")
