"""The command line: a module a command, each with ``add(subparsers)``."""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from typing import Any

from ..errors import StereoSyncError


def run_command(parser: argparse.ArgumentParser, commands: Sequence[Any], argv: list[str] | None = None) -> int:
    """Parse, run and report one of ``commands``; the exit status."""
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in commands:
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
