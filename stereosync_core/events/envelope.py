"""The loudness envelope of the events that are found in a clip."""

from __future__ import annotations

from collections.abc import Callable

from ..media.source import Source
from ..rendering.event_envelope import envelope_from_events
from ..scene import Envelope, Tracks
from .detect import detect_events

Progress = Callable[[float, float], None]
#: How an envelope is read off a picture: from events, or by the model's own network.
ENVELOPE_METHODS = ("events", "learned")


def envelope_from_video_events(source: Source, tracks: Tracks, *, window: float, progress: Progress | None = None) -> Envelope:
    """:func:`..rendering.event_envelope.envelope_from_events` of the events that are found in a clip.

    :param progress: called with seconds done and in all; raising inside it stops the work.
    """
    return envelope_from_events(detect_events(source, tracks, progress=progress), tracks, window=window)
