"""``make-rooms``: clips of people walking through rooms, out of a game engine, with the truth about every step."""

import argparse
import math
import time
from pathlib import Path
from typing import Any

from stereosync_core.cli.evaluate import progress_bar
from stereosync_core.errors import StereoSyncError, explained

from ..cache import default_rooms
from ..rooms.recipe import SPLITS
from ..rooms.shards import generate


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("make-rooms", help="make training and test clips in a game engine", description=__doc__)
    parser.set_defaults(run=run)
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where to; each split has a folder in it (default: user's cache)"
    )
    parser.add_argument("--split", choices=SPLITS, default="train", help="rooms and sounds of one split are in no other")
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--hours", type=float, help="how much in all, what is there already included (default: 6)")
    amount.add_argument("--clips", type=int, help="how many clips in all, instead of hours")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each clip (default: 4)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--ray", metavar="ADDRESS", help="make shards on a Ray cluster; auto: the one of this machine")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--json", action="store_true", help="print what was made as JSON")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    started = time.perf_counter()
    out = arguments.out or default_rooms()
    hours = 6.0 if arguments.hours is None else arguments.hours
    if not (math.isfinite(hours) and hours > 0 and math.isfinite(arguments.seconds) and arguments.seconds > 0):
        raise StereoSyncError(f"Rooms: {hours} hours of clips of {arguments.seconds} seconds; both must be above zero.")
    clips = arguments.clips if arguments.clips is not None else math.ceil(hours * 3600 / arguments.seconds)
    with progress_bar("rooms", arguments.quiet or arguments.json) as progress:
        options = {"seconds": arguments.seconds, "workers": arguments.workers, "address": arguments.ray, "progress": progress}
        with explained("Rooms: stopped; finished shards stay, and the same command goes on from there.", KeyboardInterrupt):
            manifest = generate(out, arguments.split, arguments.seed, clips, **options)
    folder = Path(out) / arguments.split
    if not arguments.json and not arguments.quiet:
        print(folder)
    return {
        "folder": str(folder),
        "clips": manifest["clips"],
        "hours": round(manifest["clips"] * manifest["seconds"] / 3600, 4),
        "bytes": sum(row["bytes"] for row in manifest["shards"]),
        "seconds": round(time.perf_counter() - started, 2),
    }
