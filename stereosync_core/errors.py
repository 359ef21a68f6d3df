"""The one family of errors that a user sees."""

from collections.abc import Iterator
from contextlib import contextmanager


class StereoSyncError(Exception):
    """Something the user gave cannot be used. The message names the input, what is wrong with it, and what to do."""


@contextmanager
def explained(message: str, *kinds: type[BaseException]) -> Iterator[None]:
    """Exceptions of these kinds become a :class:`StereoSyncError` with that message, ``{error}`` in it what was wrong, and
    ``{line}`` the first line of that."""
    try:
        yield
    except kinds as error:
        text = str(error)
        raise StereoSyncError(message.replace("{error}", text).replace("{line}", text.split("\n")[0])) from error
