"""Work in batches: of a stream, and such as halve when memory runs out."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, nullcontext, suppress
from itertools import islice
from queue import Full, Queue
from threading import Event, Thread
from typing import Any, TypeVar

import torch

from .errors import StereoSyncError

Item = TypeVar("Item")
_WORDS = ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate")


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of ``size`` items each, the last one shorter; only one is held (``itertools.batched`` of Python 3.12)."""
    stream = iter(items)
    return iter(lambda: list(islice(stream, size)), [])


def prefetched(items: Iterable[Item], size: int = 6) -> Iterator[Item]:
    """The items, made in a thread of their own, up to ``size`` ahead: decoding goes on while a network works.

    What the source raises is raised here; a reader that stops early stops it too.
    """
    ready: Queue[tuple[bool, Any]] = Queue(size)
    stopped = Event()

    def put(good: bool, value: Any) -> bool:
        while not stopped.is_set():
            with suppress(Full):
                ready.put((good, value), timeout=0.1)
                return True
        return False

    def work() -> None:
        try:
            with closing(iter(items)) if hasattr(items, "close") else nullcontext(items) as source:  # type: ignore[type-var]
                if all(put(True, item) for item in source):
                    put(False, None)
        except BaseException as error:  # handed over, whatever it is
            put(False, error)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            good, value = ready.get()
            if good:
                yield value
            elif value is None:
                return
            else:
                raise value
    finally:
        stopped.set()
        thread.join()


class Batches:
    """Runs work in batches of ``size`` entries (``what`` they are, for messages) and halves them, for good, when memory runs
    out; ``notice`` is called with a line of text then."""

    def __init__(self, size: int, what: str, notice: Callable[[str], None] | None = None):
        if size < 1:
            raise StereoSyncError(f"Batch size: {size} {what} at once is not possible; give 1 or more.")
        self.size, self.what, self.notice = size, what, notice

    def run(self, work: Callable[[slice], Any], count: int) -> Iterator[tuple[slice, Any]]:
        """``(part, work(part))`` over all parts of ``range(count)``, in order. Raises StereoSyncError where memory does not
        suffice for a single entry."""
        begin = 0
        while begin < count:
            part = slice(begin, min(begin + self.size, count))
            result, shortage = None, ""
            try:
                result = work(part)
            except (RuntimeError, MemoryError) as error:
                shortage = str(error) or "out of memory"
                known = isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError))
                if not known and not any(word in shortage.lower() for word in _WORDS):
                    raise
            # Outside of the except block, so that the failed batch's tensors are not held by the error's traceback.
            if shortage:
                self._halve(shortage.splitlines()[0])
                continue
            yield part, result
            begin = part.stop

    def over(self, work: Callable[[list[Item]], Any], stream: Iterable[Item]) -> Iterator[tuple[slice, Any]]:
        """:meth:`run` of a stream's items, of which one batch is held; ``work`` gets a list of them."""
        begin = 0
        for items in batched(stream, self.size):
            for part, result in self.run(lambda part, items=items: work(items[part]), len(items)):
                yield slice(begin + part.start, begin + part.stop), result
            begin += len(items)

    def _halve(self, reason: str) -> None:
        if self.size == 1:
            raise StereoSyncError(
                f"Memory does not suffice for one of the {self.what} ({reason}); lower the resolution, choose half "
                "precision in the loader, or free memory."
            )
        self.size //= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if self.notice is not None:
            self.notice(f"Memory ran out; continuing with {self.size} {self.what} at once.")
