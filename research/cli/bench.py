"""``bench``: measure speed and memory on this machine."""

import argparse
from typing import Any

from ..bench import depth, depth_full_size, generate, guidance, long, path, sampler, tracking
from ..bench.process import processor

BENCHES = {
    "path": path,
    "depth": depth,
    "depth-full-size": depth_full_size,
    "tracking": tracking,
    "generate": generate,
    "guidance": guidance,
    "sampler": sampler,
    "long": long,
}


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("bench", help="measure speed and memory on this machine", description=__doc__)
    parser.set_defaults(run=run)
    parser.add_argument(
        "name",
        choices=list(BENCHES),
        help="what to measure: "
        + "; ".join(f"{name} - {(module.__doc__ or '').splitlines()[0]}" for name, module in BENCHES.items()),
    )
    parser.add_argument("--json", action="store_true", help="print what was measured as JSON")
    parser.add_argument("--quick", action="store_true", help="leave out what takes longest")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    measured = BENCHES[arguments.name].measure(quick=arguments.quick) | {"processor": processor()}
    if not arguments.json:
        for key, value in measured.items():
            print(f"{key:28} {value}")
    return measured
