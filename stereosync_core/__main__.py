"""``python -m stereosync_core COMMAND``: the pack's work without ComfyUI."""

import argparse
import sys

from . import __version__
from .cli import batch, convert, evaluate, events, generate, render, run_command


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="stereosync_core", description="Sound for video that fits in time and in space.")
    parser.add_argument("--version", action="version", version=__version__)
    return run_command(parser, (generate, render, events, evaluate, convert, batch), argv)


if __name__ == "__main__":
    sys.exit(main())
