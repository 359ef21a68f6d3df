"""``python -m research COMMAND``: what makes and measures the models."""

import argparse
import sys

from stereosync_core.cli import run_command

from .cli import bench, evaluate, fuzz, listen, make_rooms, make_sounds, refine, sync, train


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="research", description="Make training data, train models, measure them.")
    return run_command(parser, (make_rooms, make_sounds, train, evaluate, refine, sync, listen, bench, fuzz), argv)


if __name__ == "__main__":
    sys.exit(main())
