"""How crisp a sound is at true steps, and whether it is of the right timbre."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from scipy.ndimage import uniform_filter1d

from stereosync_core.metrics.clips import RATE
from stereosync_core.metrics.timing import onsets
from stereosync_core.model.conditioning.sound_timbre import SoundTimbre
from stereosync_core.model.loader import bundled_folder, load_timbre
from stereosync_core.rendering.surfaces import SURFACES

from ..rooms.rooms import RoomClip

#: Seconds around a step in which its attack lies, and within which no other step may be.
_BEFORE, _AFTER, _ALONE = 0.04, 0.15, 0.4
_HOP = 0.001
_DROP = 10.0  # dB


def attacks(sound: np.ndarray, clip: RoomClip) -> dict[str, Any]:
    """Of each visible step of a room that no other is near: seconds in which the level of ``[2, N]`` rises by the last 10 dB
    to its peak (``rise``), in which it stays within 10 dB of that (``width``); and from each to the nearest onset within 50 ms
    (``offset``)."""
    hop = round(_HOP * RATE)
    power = uniform_filter1d(np.square(sound.astype(np.float64)).sum(0), 4 * hop)[::hop]
    level = 10 * np.log10(power + 1e-10 * max(float(power.max(initial=0)), 1e-12))
    seen, hidden = clip.truth().step_times or (np.zeros(0), np.zeros(0))
    whole, found = np.sort(np.concatenate([seen, hidden])), onsets(sound, RATE)
    result: dict[str, list[float]] = {"rise": [], "width": [], "offset": []}
    for time in seen:
        gaps = np.abs(whole - time)
        if np.sort(gaps)[1:2].min(initial=np.inf) < _ALONE:
            continue
        first, last = (int(np.clip(round(at / _HOP), 0, len(level) - 1)) for at in (time - _BEFORE, time + _AFTER))
        peak = first + int(level[first : last + 1].argmax())
        quiet = np.flatnonzero(level < level[peak] - _DROP)
        before, after = quiet[quiet < peak], quiet[quiet > peak]
        if len(before) and len(after):
            result["rise"].append(float((peak - before[-1]) * _HOP))
            result["width"].append(float((after[0] - before[-1]) * _HOP))
        away = found - time
        if len(away) and np.abs(away).min() <= 0.05:
            result["offset"].append(float(away[np.abs(away).argmin()]))
    return result


def timbre_of(clip: RoomClip) -> str | None:
    """The surface, or the class, of what sounds in a room; None where there are several."""
    names = {clip.surface if category == "footstep" else category for category in clip.categories}
    return names.pop() if len(names) == 1 else None


@cache
def _timbres() -> SoundTimbre:
    timbre = load_timbre(bundled_folder())
    assert isinstance(timbre, SoundTimbre)
    return timbre


def nearest_name(features: np.ndarray, surfaces: bool) -> str:
    """Of the bundled timbre's names the one whose vector is nearest to the mean of aiSFX features ``[W, 512]``: a surface, or
    another class."""
    timbre = _timbres()
    vector = timbre(torch.from_numpy(features.mean(0)).float()[None])[0]
    choice = [n for n, name in enumerate(timbre.names) if (name in SURFACES) == surfaces]
    return timbre.names[choice[int((timbre.vectors[choice] @ vector).argmax())]]


def attack_scores(records: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """Medians of :func:`attacks` over clips in milliseconds, and how often the nearest name is the right one."""

    def median(key: str) -> float | None:
        values = [value for record in records for value in record[key]]
        return float(1000 * np.median(values)) if values else None

    def right(surfaces: bool) -> float | None:
        pairs = [record["names"] for record in records if record.get("names") and (record["names"][0] in SURFACES) == surfaces]
        return sum(true == near for true, near in pairs) / len(pairs) if pairs else None

    scores = {f"{key}_ms": median(key) for key in ("rise", "width", "offset")}
    return {**scores, "surface_right": right(True), "class_right": right(False)}
