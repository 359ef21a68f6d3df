"""What refuses an input, and what stops where its user wants."""

from collections.abc import Callable
from typing import Any

import pytest

from stereosync_core.errors import StereoSyncError


def refused(words: str, call: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    """The call ends in one clear error, in which the pattern ``words`` is found."""
    with pytest.raises(StereoSyncError, match=words):
        call(*arguments, **options)


def stopped(
    call: Callable[..., Any], *arguments: Any, after: float = -1, stop: type[BaseException] = KeyboardInterrupt, **options: Any
) -> list[tuple[float, float]]:
    """An exception from ``progress`` at more than ``after`` ends the call; returns what ``progress`` was called with."""
    seen = []

    def progress(done: float, total: float, *_: Any) -> None:
        seen.append((done, total))
        if done > after:
            raise stop

    with pytest.raises(stop):
        call(*arguments, progress=progress, **options)
    return seen
