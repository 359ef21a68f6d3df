"""Events of a clip: when something sounds, what it is, whose it is, how strong and how sure."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .errors import StereoSyncError

#: What an event is: a foot's contact, both feet coming down from a jump, a thing that hits or is hit, hands that clap, or any
#: moment at which something begins to sound.
EVENT_KINDS = ("step", "landing", "impact", "clap", "onset")
FEET = ("left", "right")


@dataclass(frozen=True)
class Event:
    """A moment at which something sounds.

    :param time: seconds from the clip's first frame.
    :param kind: one of :data:`EVENT_KINDS`.
    :param track: id of the track whose event it is, any integer; None where nobody's is known.
    :param foot: ``left`` or ``right`` of a step, where known.
    :param strength: 0..1, 1 = as hard as this kind of event gets.
    :param confidence: 0..1, probability that the event is there.
    """

    time: float
    kind: str = "onset"
    track: int | None = None
    foot: str | None = None
    strength: float = 0.7
    confidence: float = 1.0

    def __post_init__(self):
        if not (np.isfinite(self.time) and self.time >= 0):
            raise StereoSyncError(f"Events: a time is {self.time}; give seconds from the clip's start, 0 or later.")
        name = f"Event at {self.time:.3f} s"
        if self.kind not in EVENT_KINDS:
            raise StereoSyncError(f"{name}: the kind '{self.kind}' is not known; choose {', '.join(EVENT_KINDS)}.")
        if self.foot not in (None, *FEET):
            raise StereoSyncError(f"{name}: the foot is '{self.foot}'; give left, right, or leave it out.")
        if self.track is not None and self.track != int(self.track):
            raise StereoSyncError(f"{name}: the track is {self.track}; give a track's whole number, or leave it out.")
        for word, value in (("strength", self.strength), ("confidence", self.confidence)):
            if not 0 <= value <= 1:
                raise StereoSyncError(f"{name}: the {word} is {value}; it must be in 0..1.")
            object.__setattr__(self, word, float(value))
        object.__setattr__(self, "time", float(self.time))
        object.__setattr__(self, "track", None if self.track is None else int(self.track))


@dataclass(frozen=True)
class Events:
    """All events of a clip, in any order given, kept in order of time; several may fall on one moment.

    :param duration: length of the clip in seconds.
    :raises StereoSyncError: when an event lies beyond the end of the clip.
    """

    events: tuple[Event, ...]
    duration: float

    def __post_init__(self):
        if not np.isfinite(self.duration) or self.duration <= 0:
            raise StereoSyncError(f"Events: the clip's duration is {self.duration} seconds; it must be above zero.")
        events = tuple(sorted(self.events, key=lambda event: event.time))
        if events and events[-1].time > self.duration:
            late = sum(event.time > self.duration for event in events)
            raise StereoSyncError(
                f"Events: {late} of {len(events)} lie beyond the end of the clip (the last at {events[-1].time:.3f} s of "
                f"{self.duration:.3f} s); take the events of this clip, or delete the late ones."
            )
        object.__setattr__(self, "events", events)

    def __len__(self) -> int:
        return len(self.events)

    def __iter__(self):
        return iter(self.events)

    @property
    def times(self) -> np.ndarray:
        """Seconds ``[N]``, not falling."""
        return np.array([event.time for event in self.events])

    def of_track(self, track: int | None) -> Events:
        """The events of one track; None: those that belong to none."""
        return replace(self, events=tuple(event for event in self.events if event.track == track))

    def of_kind(self, *kinds: str) -> Events:
        """The events of these kinds."""
        return replace(self, events=tuple(event for event in self.events if event.kind in kinds))

    def confident(self, least: float) -> Events:
        """The events whose confidence is at least ``least``."""
        return replace(self, events=tuple(event for event in self.events if event.confidence >= least))


def check_events_fit(events: Events, duration: float) -> None:
    """Raise where events belong to a clip of another length."""
    if abs(events.duration - duration) > max(0.25, 0.02 * duration):
        raise StereoSyncError(
            f"Events: they are for a clip of {events.duration:.2f} s, but this clip lasts {duration:.2f} s; detect events on "
            "the same clip (after trimming, not before)."
        )
