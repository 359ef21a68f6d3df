"""``events``: find what touches what in a clip, and when; write it as JSON or CSV, to be corrected and given back."""

import argparse
import time
from typing import Any

from ..errors import StereoSyncError
from ..media.source import Clip
from ..media.video import probe
from .scene_options import add_event_options, add_track_options, events_of, given_scene, tracks_of, with_networks


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("events", help="find steps, landings, claps and hits in a clip", description=__doc__)
    parser.set_defaults(run=run, events=None)
    parser.add_argument("video", type=Clip, help="the clip")
    parser.add_argument("--json", action="store_true", help="print the events as JSON")
    add_track_options(parser)
    add_event_options(parser, given=False)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    started = time.perf_counter()
    if arguments.save_events is None and not arguments.json and arguments.quiet:
        raise StereoSyncError("Events: nothing would be shown; give --save-events FILE, --json, or leave --quiet out.")
    given = with_networks(given_scene(probe(arguments.video), arguments), arguments)
    tracks = tracks_of(arguments.video, given, arguments)
    events = events_of(arguments.video, tracks, given, arguments)
    rows = [vars(event) for event in events]
    if not arguments.json and not arguments.quiet:
        for event in events:
            print(f"{event.time:8.3f} s  {event.kind:8} {event.foot or '':5}  confidence {event.confidence:.2f}")
    return {"duration": events.duration, "events": rows, "seconds": round(time.perf_counter() - started, 3)}
