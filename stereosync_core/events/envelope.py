"""The loudness envelope that a clip's events ask for: an attack at each event, and a decay of its kind or ground."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..media.envelope import envelope_of_sound
from ..media.source import Source
from ..rendering.voices import event_voices
from ..scene import DepthSequence, Envelope, Tracks
from ..scene_events import Events
from .detect import detect_events
from .files import check_events_fit

Progress = Callable[[float, float], None]
#: Level of a voice's loudest event at the distance of the clip's median, that of a step some three metres away in the rooms.
LEVEL = 0.05
_RATE = 16000
#: How an envelope is read off a picture: from events, or by the model's own network.
ENVELOPE_METHODS = ("events", "learned")


def envelope_from_events(
    events: Events,
    tracks: Tracks,
    depth: DepthSequence | None = None,
    *,
    surface: str = "concrete",
    window: float = 0.024,
    level: float = LEVEL,
    offset: float = 0.0,
) -> Envelope:
    """Envelope of one-shots at the events, each as loud as its strength, confidence and its owner's distance have it.

    :param tracks: of the same clip; an event of none of them is as far as the clip's median.
    :param depth: for the distance, beside the boxes' height.
    :param surface: a key of :data:`..rendering.surfaces.SURFACES`, for the decay of steps.
    :param window: seconds of the root mean square, as the model was trained with.
    :param offset: seconds by which all is later, or earlier where below 0.
    :raises StereoSyncError: for events of another clip, or an unknown surface.
    """
    check_events_fit(events, tracks.duration)
    voices, _, owners = event_voices(events, tracks, surface=surface, rate=_RATE, offset=offset)
    mono = np.zeros(voices.shape[-1])
    moments = np.arange(len(mono)) / _RATE
    sparse = np.linspace(0, tracks.duration, max(2, round(tracks.duration * 20)))
    for voice, owner in zip(voices[:, 0], owners, strict=True):
        gain = 1.0
        if owner is not None:
            gain = np.interp(moments, sparse, 1 / np.maximum(tracks.distance(owner, sparse, depth), 0.1))
        mono += voice * gain
    envelope = envelope_of_sound(mono[None], _RATE, window=window)
    loudest = float(envelope.values.max())
    return Envelope(envelope.values * (level / loudest if loudest > 0 else 0.0), envelope.times)


def envelope_from_video_events(source: Source, tracks: Tracks, *, window: float, progress: Progress | None = None) -> Envelope:
    """The same of the events that are found in a clip.

    :param progress: called with seconds done and in all; raising inside it stops the work.
    """
    return envelope_from_events(detect_events(source, tracks, progress=progress), tracks, window=window)
