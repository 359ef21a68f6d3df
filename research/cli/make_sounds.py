"""``make-sounds``: the bundled library of sounds, built from named packages with pinned versions and checksums."""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from stereosync_core.assets import FOLDER

from ..cache import cache_folder
from ..sounds.build import build


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("make-sounds", help="build the bundled library of sounds", description=__doc__)
    parser.set_defaults(run=run)
    parser.add_argument(
        "--out", type=Path, default=FOLDER / "sounds", metavar="DIR", help="where to (default: the bundled one)"
    )
    parser.add_argument(
        "--packages", type=Path, metavar="DIR", help="where packages are or are downloaded to (default: user's cache)"
    )
    parser.add_argument("--json", action="store_true", help="print what was made as JSON")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    index = build(arguments.out, arguments.packages or cache_folder() / "sounds")
    rows = index["sounds"]
    if not arguments.json:
        print(arguments.out)
    return {
        "folder": str(arguments.out),
        "sounds": len(rows),
        "synthesised": sum(row["synthesised"] for row in rows),
        "recordings": len({(row["recording"], row["loop"]) for row in rows}),
        "categories": dict(sorted(Counter(row["category"] for row in rows).items())),
        "seconds": round(sum(row["samples"] for row in rows) / index["rate"], 1),
        "bytes": sum(path.stat().st_size for path in arguments.out.iterdir()),
    }
