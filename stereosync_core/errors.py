"""The one family of errors that a user sees."""


class StereoSyncError(Exception):
    """Something the user gave cannot be used.

    The message names the input, what is wrong with it, and what to do.
    """
