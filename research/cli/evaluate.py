"""``evaluate``: systems compared on the same clips, of walking rooms or of a public set."""

import argparse
import time
from pathlib import Path
from typing import Any

from stereosync_core.cli.evaluate import add_measuring, journal_of, localiser_of, progress_bar
from stereosync_core.metrics.journal import ResumeJournal, write_csv

from ..evaluation.compare import run_systems, summary
from ..evaluation.embeddings import PictureEmbedding, audio_embedding
from ..evaluation.public_sets import FIELD_OF_VIEW
from ..evaluation.results import draw_comparison, table, write_results
from ..evaluation.sets import open_set
from ..evaluation.systems import SYSTEMS, Options, load_systems


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("evaluate", help="compare systems on the same clips", description=__doc__)
    parser.set_defaults(run=run)
    parser.add_argument(
        "--set",
        metavar="rooms|FOLDER",
        default="rooms",
        help="walking rooms of the cache folder (default), a folder of a split, or of clips of a "
        "public set (SAVGBench, STARSS23, Walking The Maps)",
    )
    parser.add_argument(
        "--field-of-view",
        type=float,
        default=FIELD_OF_VIEW,
        metavar="DEGREES",
        help=f"of a public set's clips, for directions in its metadata (default: {FIELD_OF_VIEW:g})",
    )
    parser.add_argument("--split", default="test", help="of --set rooms (default: test)")
    parser.add_argument(
        "--systems",
        default="recordings,renderer,centre,mirrored,shifted,noise",
        help=f"names with commas: {', '.join(SYSTEMS)}",
    )
    parser.add_argument("--clips", type=int, metavar="N", help="the first N clips (default: all)")
    parser.add_argument("--embedding", choices=["aisfx", "clap", "none"], default="aisfx", help="of the Frechet distance")
    parser.add_argument("--clap", type=Path, metavar="FOLDER", help="CLAP in transformers' form")
    parser.add_argument(
        "--video-encoder", type=Path, metavar="FOLDER", help="vision encoder in transformers' form, for the joint distance"
    )
    parser.add_argument(
        "--model", type=Path, metavar="FOLDER", help="model of the systems that have one (default: the bundled one)"
    )
    parser.add_argument("--device", default="cpu", help="of networks (default: cpu)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--figure", type=Path, metavar="FILE.png", help="draw the comparison")
    parser.add_argument(
        "--write-results",
        type=Path,
        nargs="?",
        const=Path("docs/results.md"),
        metavar="FILE.md",
        help="put table and figure between the marker comments of a page (default: docs/results.md)",
    )
    add_measuring(parser, "level", "rooms")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    started = time.perf_counter()
    names = [name.strip() for name in arguments.systems.split(",") if name.strip()]
    systems = load_systems(names, Options(arguments.model, arguments.device, arguments.seed))
    clips = open_set(arguments.set, arguments.split, arguments.clips, arguments.field_of_view)
    localiser = localiser_of(arguments)
    embedding = pictures = None
    if arguments.embedding != "none":
        embedding = audio_embedding(arguments.embedding, arguments.clap, arguments.device)
    if arguments.video_encoder is not None:
        pictures = PictureEmbedding(arguments.video_encoder, arguments.device).of_clip
    settings = {
        "set": str(arguments.set), "split": arguments.split, "clips": len(clips), "systems": names,
        "field_of_view": arguments.field_of_view,
        "localiser": repr(localiser),
        "embedding": arguments.embedding, "clap": str(arguments.clap), "video_encoder": str(arguments.video_encoder),
        "model": str(arguments.model), "seed": arguments.seed,
    }  # fmt: skip
    with progress_bar("systems", arguments.quiet) as progress:
        shared = {"localiser": localiser, "embedding": embedding, "pictures": pictures, "progress": progress}
        results = run_systems(clips, systems, journal=ResumeJournal(journal_of(arguments), settings), **shared)
    rows = summary(results)
    if arguments.csv is not None:
        flat = [{"system": name, **one.row()} for name, by_clip in results.items() for one, *_ in by_clip.values()]
        write_csv(arguments.csv, flat)
    report = {name: settings[name] for name in ("set", "clips", "localiser", "embedding")}
    report |= {"systems": rows, "seconds": round(time.perf_counter() - started, 2)}
    if arguments.figure is not None:
        draw_comparison(rows, results, arguments.figure)
    if arguments.write_results is not None:
        write_results(arguments.write_results, rows, results, report)
    if not arguments.json:
        print(table(rows))
    return report
