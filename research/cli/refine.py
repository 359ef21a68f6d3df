"""``refine``: a placed sound through the model at several strengths, measured on walking rooms."""

import argparse
import time
from pathlib import Path
from typing import Any

from stereosync_core.cli.scene_options import progress_bar
from stereosync_core.errors import StereoSyncError, explained
from stereosync_core.metrics.localiser import LevelLocaliser
from stereosync_core.model.loader import load_model
from stereosync_core.model.pipeline import StereoSyncPipeline
from stereosync_core.model.settings import check_numbers

from ..evaluation.compare import run_systems, summary
from ..evaluation.embeddings import audio_embedding
from ..evaluation.refining import PLACED, add_errors, draw_curve, refine_table, systems_for
from ..evaluation.sets import open_set
from ..evaluation.systems import Options, load_systems

STRENGTHS = "0.2,0.4,0.6,0.7,0.8,0.9,0.95,1.0"


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("refine", help="a placed sound through the model", description=__doc__)
    parser.set_defaults(run=run)
    parser.add_argument("--set", metavar="rooms|FOLDER", default="rooms", help="rooms of the cache folder, or a split's folder")
    parser.add_argument("--split", default="test", help="of --set rooms (default: test)")
    parser.add_argument("--clips", type=int, metavar="N", help="the first N clips (default: all)")
    parser.add_argument("--strengths", default=STRENGTHS, help="with commas (default: %(default)s)")
    parser.add_argument("--matched", default="", help="strengths at which the placed sound's levels are put back as well")
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="(default: the bundled one)")
    parser.add_argument("--figure", type=Path, metavar="FILE.png", help="draw the curve")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON alone")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def strengths_of(text: str, name: str) -> list[float]:
    with explained(f"--{name}: '{text}' is not understood; give numbers such as {STRENGTHS}.", ValueError):
        found = [float(part) for part in text.split(",") if part.strip()]
    for one in found:
        check_numbers(None, one)
    return found


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    started = time.perf_counter()
    strengths, matched = (strengths_of(getattr(arguments, name), name) for name in ("strengths", "matched"))
    if not strengths and not matched:
        raise StereoSyncError("--strengths: there are none; give at least one, such as 0.5.")
    clips = open_set(arguments.set, arguments.split, arguments.clips)
    made, refined = systems_for(StereoSyncPipeline(load_model(arguments.model)), strengths, matched)
    systems = {**load_systems(["recordings"], Options()), **made}
    with progress_bar("systems", arguments.quiet) as progress:
        shared = {"localiser": LevelLocaliser("rooms"), "embedding": audio_embedding("aisfx", None, "cpu")}
        laws = dict.fromkeys((PLACED, *refined), "pan")  # that of the renderer
        results = run_systems(clips, systems, **shared, own_laws=laws, progress=progress)
    rows = summary(results)
    add_errors(rows, refined)
    if arguments.figure is not None:
        draw_curve(rows, arguments.figure)
    if not arguments.json:
        print(refine_table(rows))
    return {"clips": len(clips), "systems": rows, "seconds": round(time.perf_counter() - started, 2)}
