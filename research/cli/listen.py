"""``listen``: sounds to compare, and the page that shows their spectrograms."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..cache import default_rooms
from ..evaluation import listening


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("listen", help="make the page of sounds to compare", description=__doc__)
    parser.set_defaults(run=run)
    parser.add_argument("--rooms", type=Path, metavar="DIR", help="folder of the splits (default: make-rooms' own)")
    parser.add_argument("--before", type=Path, metavar="DIR", help="NAME.wav of another model, for the column 'before'")
    parser.add_argument("--before-model", default="", metavar="NAME", help="what that model is, in the page's words")
    parser.add_argument("--page", type=Path, default=Path("docs/compare.md"), help="with a folder of its name")
    parser.add_argument("--json", action="store_true", help="print what was made as JSON")
    parser.add_argument("--sounds-only", type=Path, metavar="DIR", help="write NAME.wav of the bundled model, and no page")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    clips = listening.clips(arguments.rooms or default_rooms())
    if arguments.sounds_only is not None:
        listening.write_generated(clips, arguments.sounds_only)
        return {"folder": str(arguments.sounds_only), "clips": len(clips)}
    listening.write_page(clips, arguments.page, arguments.before, arguments.before_model)
    return {"page": str(arguments.page), "clips": len(clips)}
