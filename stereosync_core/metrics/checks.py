"""What every metric asks of a sound before it measures anything."""

import numpy as np

from ..errors import StereoSyncError

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


def mono(sound: np.ndarray, name: str = "sound") -> np.ndarray:
    """float64 ``[N]``: the mean of the channels of ``[C, N]``, or ``[N]`` as it is. Raises StereoSyncError for other shapes, an
    empty sound, NaN or infinite samples."""
    sound = np.asarray(sound, dtype=np.float64)
    if sound.ndim not in (1, 2) or 0 in sound.shape:
        raise StereoSyncError(f"Metrics: the {name} has shape {sound.shape}, but [channels, samples] is expected.")
    finite(sound, name)
    return sound.mean(0) if sound.ndim == 2 else sound


def finite(sound: np.ndarray, name: str) -> np.ndarray:
    if not np.isfinite(sound).all():
        raise StereoSyncError(f"Metrics: the {name} contains NaN or infinite samples; make it again.")
    return sound
