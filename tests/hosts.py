"""The prepared environment for the tests that start a real ComfyUI."""

import os
import sys
from pathlib import Path

import pytest

from tools.environment import Environment

#: Fewer steps than the workflows have, where the network is the narrow Stable Audio, whose sound is not worth waiting for.
QUICK = {
    "KSampler": {"steps": 4},
    "StereoSyncStableAudioSampler": {"steps": 4},
    "StereoSyncSpatialGuider": {"rounds": 1, "every": 2},
}


def prepared_environment() -> Environment:
    """The environment that ``dev.py`` prepared and that runs this test; without one the test is skipped."""
    folder = Path(sys.prefix).resolve().parent
    if not (folder / "ready").is_file():
        pytest.skip("this Python is not the prepared environment's: run `python3 dev.py test`, or pytest from .venv")
    comfyui = os.environ.get("STEREOSYNC_COMFYUI")
    return Environment(folder, Path(sys.executable), Path(comfyui) if comfyui else folder / "ComfyUI")
