"""What is known of the objects that sound: their boxes, and, where a set has them, their steps."""

from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from ..errors import StereoSyncError
from ..scene import Tracks

#: Seconds around a step in which its object counts as sounding: half a window before, the sound's own length after.
BEFORE, AFTER = 0.06, 0.25
#: The owner of a window that belongs to no object. Owners are places among the tracks, for ids are any integers.
NOBODY = -1


Sums = TypeVar("Sums", bound="Counted")


class Counted:
    """A dataclass of counts or sums; clips can be added up."""

    def __add__(self: Sums, other: Sums) -> Sums:
        return type(self)(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))  # type: ignore[arg-type]


@dataclass(frozen=True)
class ObjectSteps:
    """When an object sounds: ``times [N]`` in seconds, rising, whether it is ``visible [N]`` then, and its ``distance [N]`` in
    any unit. ``id`` is of its track; it may have none, when it is never seen. ``lasts``: seconds of each sound; infinite: it
    goes on all the time, steps or none."""

    id: int
    times: np.ndarray
    visible: np.ndarray
    distance: np.ndarray
    lasts: float = AFTER

    def __post_init__(self):
        for name, kind in (("times", np.float64), ("visible", bool), ("distance", np.float64)):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=kind).reshape(-1))
        if not len(self.times) == len(self.visible) == len(self.distance):
            raise StereoSyncError(
                f"Steps of object {self.id}: {len(self.times)} times, {len(self.visible)} visibilities and "
                f"{len(self.distance)} distances; give equal numbers."
            )
        if not (np.isfinite(self.times).all() and np.isfinite(self.distance).all()):
            raise StereoSyncError(f"Steps of object {self.id}: they contain NaN or infinite values.")


@dataclass(frozen=True)
class Truth:
    """A clip's boxes and steps.

    :param objects: everyone's steps, seen or not; None where nothing is known but the boxes.
    :param onsets_known: whether steps are beginnings; False where they are moments of something that goes on, such as speech.
    """

    tracks: Tracks
    objects: tuple[ObjectSteps, ...] | None = None
    onsets_known: bool = True

    def owner(self, times: np.ndarray) -> np.ndarray:
        """Place ``[W]`` among the tracks of the one visible object that a window at each time belongs to, :data:`NOBODY` where
        there is none.

        With steps: the object that alone sounds about then, and is in the picture; an object that is the only one of the clip
        owns every window while it is seen. With boxes alone: the object that alone is in the picture.
        """
        times = np.asarray(times, dtype=np.float64)
        places = {track.id: place for place, track in enumerate(self.tracks)}
        seen = [track.at(times, self.tracks.max_gap)[1] for track in self.tracks]
        if self.objects is None:
            sounding = [(number, seen[place]) for number, place in places.items()]
        elif len(self.objects) == 1:
            sounding = [(self.objects[0].id, np.ones(len(times), dtype=bool))]
        else:
            sounding = [(one.id, near_steps(times, one.times, after=one.lasts) | (one.lasts == np.inf)) for one in self.objects]
        alone = sum((mask.astype(int) for _, mask in sounding), np.zeros(len(times), dtype=int)) == 1
        result = np.full(len(times), NOBODY)
        for number, mask in sounding:
            if number in places:
                result[alone & mask & seen[places[number]]] = places[number]
        return result

    def azimuth(self, owner: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Azimuth ``[W]`` of each window's owner, NaN where there is none."""
        result = np.full(len(times), np.nan)
        for place, track in enumerate(self.tracks):
            own = owner == place
            result[own] = track.azimuth(np.asarray(times)[own], self.tracks.max_gap)
        return result

    @property
    def step_times(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Times of the steps that are seen, and of those that are not; None where beginnings are not known."""
        if self.objects is None or not self.onsets_known:
            return None
        times = np.concatenate([np.zeros(0), *(one.times for one in self.objects)])
        seen = np.concatenate([np.zeros(0, bool), *(one.visible for one in self.objects)])
        return np.sort(times[seen]), np.sort(times[~seen])


def near_steps(times: np.ndarray, steps: np.ndarray, before: float = BEFORE, after: float = AFTER) -> np.ndarray:
    """Bool ``[W]``: whether a step lies so close that it sounds in a window at that time."""
    return np.searchsorted(steps, times + before, "right") > np.searchsorted(steps, times - after, "left")
