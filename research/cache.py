"""The user's cache folder: environments, walking rooms. Standard library alone, for the development tools ask it too."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache folder for this project; ``STEREOSYNC_CACHE`` overrides it."""
    if os.environ.get("STEREOSYNC_CACHE"):
        return Path(os.environ["STEREOSYNC_CACHE"])
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "stereosync"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "stereosync"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stereosync"


def default_rooms() -> Path:
    """Where ``make-rooms`` writes to: a folder for the recipe, with one for each split."""
    return cache_folder() / "rooms-2"
