"""What every metric asks of a sound before it measures anything."""

import numpy as np

from ..errors import StereoSyncError
from ..media.sound import finite_samples as finite
from ..media.sound import mono_samples as mono  # noqa: F401

#: Seconds by which two sounds of one clip may differ; what is missing within them counts as silence.
LENGTH_TOLERANCE = 0.25


def stereo(sound: np.ndarray, name: str = "sound") -> np.ndarray:
    """float64 ``[2, N]``. Raises StereoSyncError for other shapes, an empty sound, NaN or infinite samples."""
    sound = np.asarray(sound, dtype=np.float64)
    if sound.ndim != 2 or sound.shape[0] != 2 or sound.shape[1] == 0:
        mono = sound.ndim == 1 or 1 in sound.shape
        hint = " Double a mono sound to stereo first; it then counts as centre-panned." if mono else ""
        raise StereoSyncError(f"Metrics: the {name} has shape {sound.shape}, but stereo [2, samples] is expected.{hint}")
    return finite(sound, name)
