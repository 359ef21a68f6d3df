"""``sync``: events, or the sounds made for clips, against the clips' true times."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation import sync


def add(subparsers: Any) -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = subparsers.add_parser(
        "sync", help="measure timing on clips of known events", description=sync.__doc__, formatter_class=form
    )
    parser.set_defaults(run=run)
    folder = os.environ.get("STEREOSYNC_CLIPS")
    parser.add_argument("clips", nargs="?", type=Path, default=folder and Path(folder), help="(default: STEREOSYNC_CLIPS)")
    parser.add_argument("sounds", nargs="?", type=Path, help="NAME.wav or NAME.mp4, to score their attacks instead of events")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="of the clips")
    parser.add_argument("--events", type=Path, metavar="FOLDER", help="score NAME.json of events instead of detecting")
    parser.add_argument("--tracks", type=Path, metavar="FOLDER", help="NAME.tracks.json lie here (default: next to the clips)")
    parser.add_argument("--classes", default="person", help="what to track (default: person)")
    parser.add_argument("--max-tracks", type=int, default=1, help="most prominent tracks kept, 0 = all (default: 1)")
    parser.add_argument("--json", action="store_true", help="print the means as JSON too")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    rows = []
    options = {name: getattr(arguments, name) for name in ("events", "tracks", "classes", "max_tracks")}
    print("| clip | F1 | hits | false alarms | median offset | F1 by chance | other events |\n|---|---|---|---|---|---|---|")
    for line, truth, score in sync.measure(arguments.clips, arguments.sounds, names=arguments.only, **options):
        print(line, flush=True)
        rows.append((truth, score))
    print(*sync.pooled(rows, "view"), *sync.pooled(rows, "gait"), sep="\n")
    mean = float(np.mean([score.f1 for _, score in rows])) if rows else None
    print(f"mean F1 {mean}" if mean is None else f"mean F1 {mean:.3f}")
    return {"mean_f1": mean, "clips": len(rows)}
