"""Detect Events: who or what touches what, and when - by pose, by box gait, by the paths of things, or from a guide sound."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from ..errors import StereoSyncError
from ..media.camera import CameraFinder, boxes_at
from ..media.sound import Sound
from ..media.source import Source, as_clip
from ..media.video import probe
from ..scene import Track, Tracks
from ..scene_camera import CameraMotion, check_camera_fits
from ..scene_events import FEET, Event, Events
from ..tracking.nanodet import CLASSES
from .blazepose import BlazePose
from .body import bodies
from .contacts import claps, landings
from .falls import FallFinder
from .landmarks import Landmarks, track_landmarks, upside_down
from .steps import probabilities, steps
from .things import ThingFinder, impacts, thing_paths

logger = logging.getLogger("stereosync")
METHODS = ("auto", "pose", "gait", "motion", "sound")
#: Events less probable than this are left out, unless another bound is given.
CONFIDENCE = 0.5
#: Labels that tell nothing by their path: what lives moves by itself, what rolls does not bounce, what is furnished stands.
_NO_PATH = frozenset(CLASSES[:24]) | {
    "chair",
    "couch",
    "potted plant",
    "bed",
    "dining table",
    "toilet",
    "tv",
    "sink",
    "refrigerator",
}
#: Confidence of steps from a box alone, where the walker clearly moves.
_GAIT_CONFIDENCE = 0.55
_STANDING = 0.25  # body heights a second
_FEET_SEEN = 0.985  # of the frame's height: a box that reaches further has its feet outside
#: Share of a track's time that must have a person's pose for the pose to speak for it.
_POSED = 0.3
#: Seconds within which a fall's end and another impact are one.
_SAME = 0.1


def detect_events(
    source: Source,
    tracks: Tracks,
    *,
    method: str = "auto",
    sound: Sound | None = None,
    confidence: float = CONFIDENCE,
    network: BlazePose | None = None,
    camera: CameraMotion | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> Events:
    """Events of a clip.

    :param tracks: whom and what to watch.
    :param method: ``pose`` - feet and hands of people by body landmarks; ``gait`` - steps of people by their boxes alone;
        ``motion`` - impacts of things by their paths and at the ends of falls; ``sound`` - onsets of a guide sound; ``auto`` -
        pose for people, gait where no pose is found, motion for things, and onsets where a guide sound is given and nothing is
        tracked.
    :param sound: a guide sound, for ``sound`` and ``auto``.
    :param confidence: events less probable than this are left out.
    :param network: the pose network on the device of choice; the bundled weights on the CPU when left out.
    :param camera: how the camera moves, which is taken off what people and things do; the tracks' own, or found in the clip,
        when left out.
    :param progress: called with seconds done and in all; raising inside it stops the work.
    :raises StereoSyncError: an unknown method, or ``sound`` without a guide sound.
    """
    check_detection(method, sound, confidence)
    source = as_clip(source)
    duration = probe(source).duration
    if method == "sound" or (method == "auto" and sound is not None and len(tracks) == 0):
        assert sound is not None
        return _finished(onset_events(sound), duration, confidence)
    if camera is None and tracks.camera is not None and tracks.camera.still:
        camera = tracks.camera
    if camera is not None:
        check_camera_fits(camera, duration)
    watch = _Watch(tracks, camera, method in ("auto", "motion"))
    people = [track for track in tracks if track.label == "person"]
    posing = replace(tracks, tracks=tuple(people) if method in ("auto", "pose") else ())
    landmarks = track_landmarks(source, posing, network=network, progress=progress, watch=watch.wanted)
    camera = watch.camera()
    turned = upside_down(source, posing, landmarks, network)
    if turned:
        logger.warning(
            "Events: track %s is upside down, no step is taken there; turn the clip.", ", ".join(map(str, sorted(turned)))
        )
    people = [track for track in people if track.id not in turned]
    found = _people_events(people, [one for one in landmarks if one.id not in turned], tracks, method, camera)
    if watch.moving:
        impacted = list(_thing_events(source, tracks, watch, camera, progress))
        found += [replace(event, track=_owner(box, event.time, tracks)) for event, box in impacted]
    if not found and len(tracks):
        logger.warning("Events: nothing in the tracks touches anything that can be seen; feet must be in the picture.")
    return _finished(found, duration, confidence)


def check_detection(method: str, sound: Sound | None, confidence: float) -> None:
    """Raise StereoSyncError for options of :func:`detect_events` that make no sense."""
    if method not in METHODS:
        raise StereoSyncError(f"Events: the method '{method}' is not known; choose {', '.join(METHODS)}.")
    if not 0 <= confidence <= 1:
        raise StereoSyncError(f"Events: the least confidence is {confidence}; it must be in 0..1.")
    if method == "sound" and sound is None:
        raise StereoSyncError("Events: the method 'sound' needs a guide sound; connect one, or choose auto.")


class _Watch:
    """What is looked for in every picture: the camera's motion where it is not known, and things where ``moving``."""

    def __init__(self, tracks: Tracks, camera: CameraMotion | None, moving: bool):
        self.tracks, self.known, self.moving = tracks, camera, moving
        self.finder, self.falls, self.flying = CameraFinder(tracks.aspect), FallFinder(), ThingFinder()
        self._last = 0.0

    def add(self, time: float, picture: np.ndarray) -> None:
        """Take in the picture uint8 RGB ``[H, W, 3]`` at ``time`` seconds."""
        if self.known is None:
            step = self.finder.add(time, picture, boxes_at(self.tracks, time))
        else:
            step = self.known.between(self._last, time)
        self._last = time
        if self.moving:
            self.falls.add(time, picture, step)
            self.flying.add(time, picture)

    @property
    def wanted(self) -> Callable[[float, np.ndarray], None] | None:
        """:meth:`add`, where there is anything to look for."""
        return self.add if self.moving or self.known is None else None

    def camera(self) -> CameraMotion:
        return self.known or self.finder.motion(self.tracks.cuts)


def _people_events(
    people: list[Track], posed: list[Landmarks], tracks: Tracks, method: str, camera: CameraMotion
) -> list[Event]:
    """Of people, by pose and by gait."""
    landmarks = {one.id: one for one in own_landmarks(posed)}
    found = [event for one in landmarks.values() for event in contacts(one.without(camera, tracks.aspect))]
    for track in people:
        if method == "gait" or (method == "auto" and not _has_pose(track, landmarks.get(track.id))):
            found += gait_steps(track, tracks, camera)
    return found


def _thing_events(
    source: Source, tracks: Tracks, watch: _Watch, camera: CameraMotion, progress
) -> Iterator[tuple[Event, np.ndarray]]:
    """Impacts of things that the detector knows, and of what falls, each with the box of the thing in 0..1 of the frame."""
    tracked = {track.label for track in tracks if track.label not in _NO_PATH and track.label in CLASSES}
    labels = sorted(tracked | watch.flying.labels())
    paths, aspect = thing_paths(source, labels, progress=progress) if labels else ([], tracks.aspect)
    known: list[float] = []
    for path in paths:
        for event in impacts(path, aspect, camera=camera):
            yield event, path.at([event.time])[0][0]
            known.append(event.time)
    for event, (x, y) in watch.falls.falls(source, camera):
        if all(abs(event.time - other) > _SAME for other in known):
            yield event, np.array([x / aspect, y, x / aspect, y])


def contacts(landmarks: Landmarks) -> list[Event]:
    """Steps, landings and claps of one person."""
    found: list[Event] = []
    for body in bodies(landmarks):
        likely = probabilities(body)
        landed = landings(body, landmarks.id, likely[:, 1])
        moments = np.array([event.time for event in landed if event.confidence >= CONFIDENCE])
        walked = [
            event
            for event in steps(body, landmarks.id, likely)
            if not len(moments) or np.abs(moments - event.time).min() > 0.15
        ]
        found += landed + walked + claps(body, landmarks.id)
    return found


def own_landmarks(landmarks: list[Landmarks], same: float = 0.12) -> list[Landmarks]:
    """Landmarks without those that several tracks have of one person; the earlier track in the list keeps them.

    :param same: mean distance of two bodies' landmarks, in box heights, below which they are one.
    """
    kept: list[Landmarks] = []
    for one in landmarks:
        free = np.ones(len(one.times), dtype=bool)
        for other in kept:
            places = np.clip(np.searchsorted(other.times, one.times - 1e-6), 0, len(other.times) - 1)
            apart = np.linalg.norm(other.points[places] - one.points, axis=-1).mean(1)
            free &= (np.abs(other.times[places] - one.times) > 1e-3) | (apart > same * one.heights)
        if free.any():
            values = {
                name: getattr(one, name)[free] for name in ("times", "points", "world", "visibility", "presence", "heights")
            }
            kept.append(replace(one, **values))
    return kept


def gait_steps(track: Track, tracks: Tracks, camera: CameraMotion | None = None) -> list[Event]:
    """Steps of a person from the box alone, while it clearly moves, less the camera's motion."""
    from ..rendering.gait import steps_from_track

    found = steps_from_track(track, tracks.duration, max_gap=tracks.max_gap, aspect=tracks.aspect, camera=camera)
    if len(found) == 0:
        return []
    around = found.times[:, None] + np.array([-0.4, 0.4])
    boxes, _ = track.at(around.ravel(), tracks.max_gap)
    lowest = boxes[:, 3].reshape(-1, 2).max(1)
    if camera is not None and not camera.still:
        steady = camera.boxes_without(track.times, track.boxes)
        boxes = np.stack([np.interp(around.ravel(), track.times, side) for side in steady.T], axis=1)
    middle = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2 * tracks.aspect, boxes[:, 3]], axis=1).reshape(-1, 2, 2)
    heights = (boxes[:, 3] - boxes[:, 1]).reshape(-1, 2).mean(1)
    speed = np.linalg.norm(middle[:, 1] - middle[:, 0], axis=1) / 0.8 / np.maximum(heights, 0.02)
    sure = _GAIT_CONFIDENCE * np.clip(speed / _STANDING, 0, 1) * (lowest < _FEET_SEEN)
    return [
        Event(float(time), "step", track.id, FEET[foot], float(strength), float(one))
        for time, strength, foot, one in zip(found.times, found.strengths, found.feet, sure, strict=True)
    ]


def onset_events(sound: Sound) -> list[Event]:
    """Onsets of a guide sound; as strong as the 50 ms after them are loud against the loudest."""
    from ..metrics.timing import onsets

    samples, rate = sound.samples.astype(np.float64), sound.rate
    moments = onsets(samples, rate)
    levels = np.array([np.sqrt(np.mean(samples[:, int(t * rate) : int((t + 0.05) * rate) + 1] ** 2)) for t in moments])
    loudest = levels.max() if len(levels) else 1.0
    return [
        Event(float(t), "onset", None, None, float(level / max(loudest, 1e-12)))
        for t, level in zip(moments, levels, strict=True)
    ]


def _has_pose(track: Track, landmarks: Landmarks | None) -> bool:
    return landmarks is not None and float((landmarks.presence > 0.5).mean()) > _POSED


def _owner(box: np.ndarray, time: float, tracks: Tracks) -> int | None:
    """The id of the track in the picture at a moment whose box is nearest to another."""
    places = {track.id: track.at([time], tracks.max_gap) for track in tracks}
    away = {id_: float(np.abs(own[0] - box).max()) for id_, (own, present) in places.items() if present[0]}
    return min(away, key=away.__getitem__) if away else None


def _finished(found: list[Event], duration: float, confidence: float) -> Events:
    inside = [event for event in found if event.time <= duration]
    kept = Events(tuple(event for event in inside if event.confidence >= confidence), duration)
    if len(kept) < len(inside):
        logger.info(
            "Events: %d of %d left out, their confidence is below %.2g.", len(inside) - len(kept), len(inside), confidence
        )
    return kept
