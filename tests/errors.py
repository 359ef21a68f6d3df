"""What refuses an input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stereosync_core.errors import StereoSyncError


def refused(words: str, call: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    """The call ends in one clear error, in which the pattern ``words`` is found."""
    with pytest.raises(StereoSyncError, match=words):
        call(*arguments, **options)
