"""Bundled small weights and data. Origin, licence and checksum of each stand in LICENSES.md beside this file."""

from pathlib import Path

from ..errors import StereoSyncError, explained

FOLDER = Path(__file__).resolve().parent
#: The clip that the shipped workflows open: one person walks from right to left.
WALKING_CLIP = "stereosync_walking.mp4"


def asset_path(name: str) -> Path:
    """Path of a bundled file; raises StereoSyncError where the installation lacks it."""
    path = FOLDER / name
    if not path.is_file():
        raise StereoSyncError(
            f"The bundled file {name} is missing from {FOLDER}; the installation is incomplete. Install the pack again."
        )
    return path


def load_weights(name: str) -> dict:
    """Tensors of a bundled safetensors file, by key."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = asset_path(name)
    with explained(f"The bundled weights {name} cannot be read ({{error}}). Install the pack again.", SafetensorError, OSError):
        return load_file(path)
