"""Envelopes that somebody writes or draws."""

import re

import numpy as np

from ...errors import StereoSyncError
from ...scene import Envelope

CURVE_HELP = (
    "Moments in seconds, separated by commas or lines. '0.5 hit' is a step at 0.5 s, '0.5 hit 0.7' a softer one. "
    "'1.0 0.2, 3.0 0.8' is a line from loudness 0.2 at one second to 0.8 at three. Both can be mixed."
)
_RATE = 200.0
#: Seconds in which a hit falls to a third, and its length.
_DECAY, _HIT = 0.05, 0.25
_ENTRY = re.compile(r"^([0-9]*\.?[0-9]+)\s*s?\s+(hit\b)?\s*([0-9]*\.?[0-9]+)?$")


def envelope_of_curve(text: str, drawing: np.ndarray | None, seconds: float, level: float) -> Envelope:
    """An envelope from a text (see :data:`CURVE_HELP`), or from a mask ``[H, W]`` in 0..1 painted over ``seconds``.

    :param level: what 1 stands for.
    :raises StereoSyncError: names the entry that is not understood; when nothing was given.
    """
    if drawing is not None:
        return _drawn(drawing, seconds, level)
    entries = [entry.strip() for entry in re.split(r"[,;\n]", text) if entry.strip()]
    if not entries:
        raise StereoSyncError(f"Envelope curve: it is empty. {CURVE_HELP}")
    hits, line = [], []
    for entry in entries:
        match = _ENTRY.match(entry)
        if match is None or (match[2] is None and match[3] is None):
            raise StereoSyncError(f"Envelope curve: '{entry}' is not understood. {CURVE_HELP}")
        moment, loudness = float(match[1]), 1.0 if match[3] is None else float(match[3])
        if moment > 36000 or loudness > 10:
            raise StereoSyncError(f"Envelope curve: '{entry}' is out of range; give seconds, and loudness from 0 to 1.")
        (hits if match[2] else line).append((moment, loudness))
    end = max(moment for moment, _ in hits + line) + _HIT
    times = np.arange(0.0, end + 1 / _RATE, 1 / _RATE)
    values = np.interp(times, *np.array(sorted(line)).T, left=0.0, right=0.0) if line else np.zeros(len(times))
    for moment, loudness in hits:
        since = times - moment
        falling = np.where((since >= 0) & (since < _HIT), loudness * np.exp(-np.maximum(since, 0) / _DECAY), 0.0)
        values = np.maximum(values, falling)
    # silence after the last entry, for ends are held
    return Envelope(np.append(values, 0.0) * level, np.append(times, times[-1] + 1 / _RATE))


def _drawn(drawing: np.ndarray, seconds: float, level: float) -> Envelope:
    mask = np.asarray(drawing, dtype=np.float64)
    if mask.ndim != 2 or 0 in mask.shape or not np.isfinite(mask).all():
        raise StereoSyncError(f"Envelope drawing: a mask [height, width] is expected, got shape {mask.shape}.")
    painted = mask > 0.5
    top = np.where(painted.any(0), 1.0 - painted.argmax(0) / mask.shape[0], 0.0)
    times = (np.arange(mask.shape[1]) + 0.5) / mask.shape[1] * seconds
    return Envelope(np.concatenate([top, [0.0]]) * level, np.concatenate([times, [seconds + 1e-3]]))
