"""The options about tracks, depth and events that every command on a clip has, and what they give."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from torch.nn import Module
from tqdm import tqdm

from ..depth.estimators import ESTIMATORS, check_estimator, load_estimator
from ..depth.frame_by_frame import map_times
from ..errors import StereoSyncError
from ..events.detect import CONFIDENCE, METHODS, check_detection, detect_events
from ..events.files import load_events, save_events
from ..files import load_depth, load_tracks, save_depth, save_tracks
from ..media.output import check_writable
from ..media.sound import Sound, require_sound
from ..media.source import Clip
from ..media.video import VideoInfo
from ..scene import DepthSequence, Tracks
from ..scene_events import Events
from ..tracking.registry import TRACKERS, check_tracker, check_tracking, load_tracker

#: Milliseconds by which events can be moved.
LARGEST_OFFSET = 3_600_000


def add_scene_options(parser: argparse.ArgumentParser) -> None:
    """Tracks, depth and events."""
    add_track_options(parser)
    group = parser.add_argument_group("depth")
    group.add_argument("--depth", type=Path, metavar="FILE.npz", help="depth of your own (maps [T,H,W] 1 = near, times)")
    group.add_argument("--no-depth", action="store_true", help="distance from the boxes' height alone")
    group.add_argument("--save-depth", type=Path, metavar="FILE.npz", help="write the depth maps")
    group.add_argument("--depth-estimator", choices=list(ESTIMATORS), default="fastdepth", help="default: %(default)s")
    group.add_argument("--depth-model", type=Path, metavar="FOLDER", help="weights of an estimator that is not bundled")
    group.add_argument("--depth-rate", type=float, default=4.0, help="depth maps a second (default: 4)")
    add_event_options(parser)


def add_track_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("tracks")
    group.add_argument("--tracks", type=Path, metavar="FILE.json", help="tracks of your own instead of the object tracker's")
    group.add_argument("--save-tracks", type=Path, metavar="FILE.json", help="write the tracks")
    group.add_argument("--tracker", choices=list(TRACKERS), default="nanodet", help="default: %(default)s")
    group.add_argument("--tracker-weights", type=Path, metavar="FILE", help="weights of a tracker that is not bundled")
    group.add_argument("--classes", default="person", help="what to follow: COCO names, or all (default: person)")
    group.add_argument("--threshold", type=float, default=0.35, help="score that begins a track (default: 0.35)")
    group.add_argument("--track-rate", type=float, default=10.0, help="frames a second analysed (default: 10)")
    group.add_argument("--max-tracks", type=int, default=1, help="most prominent tracks kept at a time, 0 = all (default: 1)")
    group.add_argument("--quiet", action="store_true", help="no progress bars")


def add_event_options(parser: argparse.ArgumentParser, *, given: bool = True) -> None:
    """:param given: whether events can be given instead of found."""
    group = parser.add_argument_group("events")
    if given:
        group.add_argument(
            "--events", type=Path, metavar="FILE", help="events of your own, JSON or CSV, instead of those found"
        )
    group.add_argument("--save-events", type=Path, metavar="FILE", help="write the events, as CSV where the name ends so")
    group.add_argument("--event-method", choices=METHODS, default="auto", help="how events are found (default: auto)")
    group.add_argument("--event-sound", metavar="AUDIO", help="a guide sound whose onsets are events (--event-method sound)")
    group.add_argument(
        "--confidence", type=float, default=CONFIDENCE, help="less probable events are left out (default: %(default)s)"
    )
    group.add_argument("--offset", type=float, default=0.0, metavar="MS", help="milliseconds by which events sound later")


@contextmanager
def progress_bar(name: str, quiet: bool) -> Iterator:
    """A ``progress(done, total)`` in seconds of the clip, shown on the error stream."""
    with tqdm(total=100.0, desc=name, disable=quiet, bar_format="{desc:<8}{bar}{n:4.0f}% {elapsed}") as bar:

        def report(done: float, total: float) -> None:
            bar.update(max(0.0, 100.0 * min(1.0, done / max(total, 1e-9)) - bar.n))

        yield report


@dataclass(frozen=True)
class GivenScene:
    """What the options give of a scene, read and checked before the first frame is decoded.

    :ivar tracks, depth, events: of files, where these are given; else ``tracker`` and ``estimator`` of :func:`with_networks`
        find the first two, ``estimator`` None where no depth is wanted.
    :ivar guide: the sound whose onsets are events.
    """

    tracks: Tracks | None = None
    depth: DepthSequence | None = None
    events: Events | None = None
    guide: Sound | None = None
    tracker: Module | None = None
    estimator: Module | None = None


def given_scene(info: VideoInfo, arguments: argparse.Namespace) -> GivenScene:
    """Raises StereoSyncError for whatever of the options of tracks, depth and events would be refused later."""
    options = vars(arguments)
    names = ("save_tracks", "save_depth", "save_events")
    for path in filter(None, map(options.get, names)):
        check_writable(path)
    without_depth = options.get("no_depth", True)
    if without_depth and (options.get("depth") or options.get("save_depth")):
        raise StereoSyncError("--no-depth cannot go with --depth or --save-depth; leave one of them out.")
    if not abs(arguments.offset) <= LARGEST_OFFSET:
        raise StereoSyncError(f"--offset is {arguments.offset} ms; give at most an hour either way.")
    guide = require_sound(arguments.event_sound, "--event-sound") if arguments.event_sound else None
    check_detection(arguments.event_method, guide, arguments.confidence)
    tracking = {"threshold": arguments.threshold, "rate": arguments.track_rate, "max_tracks": arguments.max_tracks}
    check_tracking(classes=arguments.classes, **tracking)
    events = load_events(arguments.events, info.duration) if arguments.events else None
    check_tracker(arguments.tracker, arguments.tracker_weights)
    tracks = load_tracks(arguments.tracks, info.duration, info.width / info.height) if arguments.tracks else None
    depth = None
    if not without_depth:
        map_times(info.duration, arguments.depth_rate)
        check_estimator(arguments.depth_estimator, arguments.depth_model)
        depth = load_depth(arguments.depth, info.duration) if arguments.depth else None
    return GivenScene(tracks, depth, events, guide)


def with_networks(given: GivenScene, arguments: argparse.Namespace) -> GivenScene:
    """The scene with the networks that find what is not given, loaded last: it takes longer than every check."""
    tracker = estimator = None
    if given.tracks is None:
        tracker = load_tracker(arguments.tracker, arguments.tracker_weights)
    if given.depth is None and not vars(arguments).get("no_depth", True):
        estimator = load_estimator(arguments.depth_estimator, arguments.depth_model)
    return replace(given, tracker=tracker, estimator=estimator)


def scene_of(
    clip: Clip, info: VideoInfo, given: GivenScene, arguments: argparse.Namespace
) -> tuple[Tracks, DepthSequence | None]:
    """Tracks and depth of a clip by the options, saved to files where these are given."""
    depth = given.depth
    if given.estimator is not None:
        estimate = ESTIMATORS[arguments.depth_estimator].estimate
        with progress_bar("depth", arguments.quiet) as progress:
            depth = estimate(clip, given.estimator, rate=arguments.depth_rate, progress=progress)
    tracks = tracks_of(clip, given, arguments)
    if arguments.save_depth and depth is not None:
        save_depth(arguments.save_depth, depth)
    return tracks, depth


def tracks_of(clip: Clip, given: GivenScene, arguments: argparse.Namespace) -> Tracks:
    """Tracks of a clip by the options, saved to a file where one is given."""
    tracks = given.tracks
    if tracks is None:
        track = TRACKERS[arguments.tracker].track
        options = {name: getattr(arguments, name) for name in ("classes", "threshold", "max_tracks")}
        with progress_bar("tracks", arguments.quiet) as progress:
            tracks = track(clip, given.tracker, rate=arguments.track_rate, **options, progress=progress)
    if arguments.save_tracks:
        save_tracks(arguments.save_tracks, tracks)
    return tracks


def events_of(clip: Clip, tracks: Tracks, given: GivenScene, arguments: argparse.Namespace) -> Events:
    """Events of a clip by the options, saved to a file where one is given."""
    events = given.events
    if events is None:
        options = {"method": arguments.event_method, "sound": given.guide, "confidence": arguments.confidence}
        with progress_bar("events", arguments.quiet) as progress:
            events = detect_events(clip, tracks, progress=progress, **options)
    if arguments.save_events:
        save_events(arguments.save_events, events)
    return events
