"""Times of what comes without any: one entry for each frame, or at a stated rate."""

import numpy as np

from .errors import StereoSyncError
from .media.video import Source, frame_times, probe


def times_in_clip(source: Source, count: int, rate: float, name: str) -> np.ndarray:
    """:func:`entry_times` of a clip, where a single entry holds for every frame."""
    times = frame_times(source)
    return times if count == 1 else entry_times(count, times, probe(source).duration, rate, name)


def entry_times(count: int, frame_times: np.ndarray, duration: float, rate: float, name: str) -> np.ndarray:
    """Seconds of ``count`` entries that another pack made from a clip with frames at ``frame_times``; ``name`` is what they
    are.

    :param rate: entries a second; 0 = one for each frame.
    :raises StereoSyncError: where the number does not fit the clip.
    """
    if count == 0:
        raise StereoSyncError(f"{name}: there are none; connect a node that makes them from the clip.")
    if rate < 0:
        raise StereoSyncError(f"{name}: the rate is {rate} a second; give 0 for one a frame, or a rate above 0.")
    if count == 1:
        return np.zeros(1)
    if rate > 0:
        times = np.arange(count) / rate
        if times[-1] > duration + 1.0 / rate or times[-1] < duration - max(1.0, 3.0 / rate):
            raise StereoSyncError(
                f"{name}: {count} at {rate:g} a second last {count / rate:.2f} s, but the clip lasts {duration:.2f} s; set the "
                "rate that they were made at."
            )
        return times
    if count != len(frame_times):
        raise StereoSyncError(
            f"{name}: there are {count}, but the clip has {len(frame_times)} frames; make one for each frame of the same clip, "
            "or set the rate that they were made at."
        )
    return np.asarray(frame_times, dtype=np.float64)
