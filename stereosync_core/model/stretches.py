"""Stretches of a clip in seconds: what of a sound is kept, and which text or timbre is meant when."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ..errors import StereoSyncError
from ..scene_events import Events
from .samplers import Velocity

#: From, to, in seconds.
Stretch = tuple[float, float]
#: Seconds in which one text or timbre fades into the next.
FADE = 0.5
#: Words before stretches that are not kept, where all others are.
ALL_BUT = "all but"
_NUMBER = r"(\d+(?:\.\d+)?)\s*s?"
_STRETCH = re.compile(rf"{_NUMBER}\s*-\s*(?:{_NUMBER})?$")
_TIMED = re.compile(rf"{_NUMBER}\s*-\s*{_NUMBER}\s+(\S.*)$", re.DOTALL)


def stretches_of_text(text: str, duration: float) -> list[Stretch]:
    """The stretches that a text names: "0-2, 3.5-4" (to the end where the second number is missing), or those between with
    "all but" before them. An empty text names none.

    :raises StereoSyncError: for what is not understood, or lies outside of a clip of ``duration`` seconds.
    """
    text = text.strip()
    inverse = text.lower().startswith(ALL_BUT)
    parts = [part.strip() for part in re.split("[,;]", text[len(ALL_BUT) * inverse :]) if part.strip()]
    found: list[Stretch] = []
    for part in parts:
        match = _STRETCH.match(part)
        if match is None:
            raise StereoSyncError(f"Keep: '{part}' is not understood; give seconds such as '0-2, 3.5-4' or 'all but 1.2-1.6'.")
        found.append((float(match[1]), duration if match[2] is None else float(match[2])))
    found = checked_stretches(found, duration)
    if not inverse:
        return found
    edges = [0.0, *(edge for stretch in found for edge in stretch), duration]
    return [(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True) if stop > start]


def checked_stretches(stretches: Sequence[Stretch], duration: float) -> list[Stretch]:
    """Stretches in their order, those that touch as one. Raises StereoSyncError for one that lies outside of a clip of
    ``duration`` seconds, or ends before it begins."""
    merged: list[Stretch] = []
    for start, stop in sorted(stretches):
        if not (0 <= start < stop and stop <= duration + 0.05):  # false for NaN as well
            raise StereoSyncError(f"Keep: {start:g}-{stop:g} s does not lie in the clip, which lasts {duration:.2f} s.")
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, min(stop, duration)))
    return merged


def all_but_event(events: Events, number: int, before: float = 0.05, after: float = 0.6) -> str:
    """The text of :func:`stretches_of_text` that keeps all but what sounds at one event: up to ``after`` seconds after it, but
    not beyond the next.

    :param number: of the event in the order of time, from 1.
    :raises StereoSyncError: where there is no such event.
    """
    times = sorted(event.time for event in events)
    if not 1 <= number <= len(times):
        raise StereoSyncError(f"Events: there is no event {number}; the clip has {len(times)}.")
    moment, following = times[number - 1], [time for time in times if time > times[number - 1] + before]
    stop = min([moment + after, events.duration, *(time - before for time in following)])
    return f"{ALL_BUT} {max(moment - before, 0):.3f}-{stop:.3f}"


def timed_texts(text: str) -> list[tuple[float, float, str]] | None:
    """The parts of "0-4 gravel steps; 4-8 wooden stairs"; None for a text that is not of two or more such parts."""
    matches = [_TIMED.match(part.strip()) for part in text.split(";") if part.strip()]
    if len(matches) < 2 or None in matches:
        return None
    return [(float(match[1]), float(match[2]), match[3].strip()) for match in matches if match is not None]


def fades(stretches: Sequence[Stretch], times: np.ndarray, duration: float) -> Tensor:
    """Weights ``[len(stretches), T]`` of the stretches at ``times``, 1 in sum: each fades into the next over :data:`FADE`, in
    the middle of what lies between them, and the first and last go on to the clip's ends. Raises StereoSyncError for several
    that do not lie in the clip, or are not in the order of time."""
    if len(stretches) == 1:
        return torch.ones((1, len(times)))
    if any(not (0 <= start < stop <= duration + 0.05) for start, stop in stretches):
        named = ", ".join(f"{start:g}-{stop:g}" for start, stop in stretches)
        raise StereoSyncError(f"Text over time: {named} s do not all lie in the clip, which lasts {duration:.2f} s.")
    starts = [start for start, _ in stretches]
    if sorted(starts) != starts:
        raise StereoSyncError("Text over time: give the stretches in the order of time.")
    begun = [np.ones_like(times)]
    for (_, stop), (start, _) in pairwise(stretches):
        begun.append(((times - (stop + start) / 2) / FADE + 0.5).clip(0, 1))
    weights = [own - after for own, after in pairwise([*begun, np.zeros_like(times)])]
    return torch.from_numpy(np.stack(weights)).float()


def blend_over_time(velocities: Sequence[Velocity], weights: Tensor) -> Velocity:
    """The sum of velocities, each with its weights ``[len(velocities), T]``."""
    if len(velocities) == 1:
        return velocities[0]

    def blended(x: Tensor, t: float) -> Tensor:
        return sum(
            (velocity(x, t) * fade for velocity, fade in zip(velocities, weights.to(x), strict=True)), torch.zeros_like(x)
        )

    return blended
