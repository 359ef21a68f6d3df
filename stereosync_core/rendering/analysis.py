"""Placement of a stereo sound: interaural level differences over time, and their correlation with an object."""

from collections.abc import Callable

import numpy as np

from ..errors import StereoSyncError
from ..scene import Track, Tracks
from ..scratch import extremes, release

#: dB beyond which a level difference only means "hard left" or "hard right".
LEVEL_DIFFERENCE_LIMIT = 25.0
#: Windows that are measured at a time.
_WINDOWS = 256


def level_difference(
    stereo: np.ndarray, rate: int, window: float = 0.1, floor_db: float = 35.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Interaural level difference of a stereo sound, window by window.

    :param stereo: ``[2, N]``.
    :param window: seconds of each window; windows are Hann-weighted and overlap by half. (A plain cut through the onset of a
        sound would only show in which channel it comes first.)
    :param floor_db: a window sounds when its level is at most this far below the loudest window's.
    :return: ``times [W]`` of the windows' centres in seconds, ``ild_db [W]`` right minus left within ±25 dB, ``level_db [W]``
        of the two channels' power (full scale = 0, silence = -120), ``sounding [W]`` bool.
    :raises StereoSyncError: when the sound is not stereo, shorter than one window or not finite.
    """
    stereo = np.asarray(stereo)
    size = round(window * rate / 2) * 2
    if stereo.ndim != 2 or stereo.shape[0] != 2 or size < 2 or stereo.shape[1] < size:
        raise StereoSyncError(
            f"Level difference: the sound has shape {stereo.shape}; give stereo [2, samples], at least {max(size, 2)}."
        )
    if not np.isfinite(extremes(stereo)).all():
        raise StereoSyncError("Level difference: the sound contains NaN or infinite samples.")
    hop = size // 2
    count = stereo.shape[1] // hop - 1
    hann = np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2
    power = np.empty((2, count))
    for first in range(0, count, _WINDOWS):  # in double precision a long sound would not fit into memory
        last = min(first + _WINDOWS, count)
        halves = stereo[:, first * hop : (last + 1) * hop].astype(np.float64).reshape(2, -1, hop) ** 2
        power[:, first:last] = (halves[:, :-1] @ hann[:hop] + halves[:, 1:] @ hann[hop:]) / hann.sum()
        release(stereo)
    level = 10 * np.log10(np.maximum(power.sum(0), 1e-12))
    difference = 10 * np.log10(np.maximum(power[1], 1e-15) / np.maximum(power[0], 1e-15))
    sounding = (level > level.max() - floor_db) & (level > -119.0)
    times = (np.arange(count) + 1) * hop / rate
    return times, np.clip(difference, -LEVEL_DIFFERENCE_LIMIT, LEVEL_DIFFERENCE_LIMIT), level, sounding


def placement_correlation(
    stereo: np.ndarray, rate: int, azimuth: Track | Callable[[np.ndarray], np.ndarray], max_gap: float = 0.5
) -> float:
    """Pearson correlation of the level difference with an object's azimuth over the windows that sound (and, for a track,
    during which it is in the picture). NaN when fewer than three windows remain, or one of the two never changes.

    :param azimuth: a track, or a function from seconds ``[W]`` to azimuth ``[W]`` in -1..1.
    """
    times, difference, _, use = level_difference(stereo, rate)
    if isinstance(azimuth, Track):
        _, visible = azimuth.at(times, max_gap)
        places, use = azimuth.azimuth(times, max_gap), use & visible
    else:
        places = np.asarray(azimuth(times), dtype=np.float64)
    if use.sum() < 3 or np.ptp(places[use]) < 1e-9 or np.ptp(difference[use]) < 1e-9:
        return float("nan")
    return float(np.corrcoef(difference[use], places[use])[0, 1])


def single_track_correlation(stereo: np.ndarray, rate: int, tracks: Tracks) -> float | None:
    """:func:`placement_correlation` with the clip's only track, rounded; None with any other number, or where it is not
    defined."""
    if len(tracks) != 1:
        return None
    value = placement_correlation(stereo, rate, tracks.tracks[0], max_gap=tracks.max_gap)
    return round(value, 4) if np.isfinite(value) else None
