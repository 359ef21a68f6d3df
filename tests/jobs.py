"""Jobs for pools of processes, in a module that is imported at once."""

import os
import signal


def square(job):
    """The square of a number; dies at 3 always, and at 5 the first time."""
    value, folder = job
    if value == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if value == 5 and not (folder / "5").exists():
        (folder / "5").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"square": value * value}
