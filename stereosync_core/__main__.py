"""``python -m stereosync_core COMMAND``: the pack's work without ComfyUI."""

from __future__ import annotations

import argparse
import json
import logging
import sys

from . import __version__
from .commands import bench, evaluate, generate, make_rooms, render, train
from .errors import StereoSyncError


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="stereosync_core", description="Sound for video that fits in time and in space.")
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (generate, render, evaluate, make_rooms, train, bench):
        command.add(subparsers)
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        report = arguments.run(arguments)
    except StereoSyncError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return 130
    if arguments.json:
        print(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
