"""``evaluate``: how well sound fits its picture, for clips of one's own or for systems compared on the same clips."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..errors import StereoSyncError
from ..evaluation import folder as folders
from ..evaluation.adapters import FIELD_OF_VIEW
from ..evaluation.clips import EvaluationClip
from ..evaluation.compare import run_systems, summary
from ..evaluation.ledger import Ledger, write_csv
from ..evaluation.results import draw_comparison, table, write_results
from ..evaluation.sets import open_set
from ..evaluation.systems import SYSTEMS, Options, load_systems
from ..metrics.embeddings import PictureEmbedding, audio_embedding
from ..metrics.localiser import BandLocaliser, LevelLocaliser, Localiser
from ..rendering.panning_laws import panning_laws


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("evaluate", help="measure how well sound fits its picture", description=__doc__)
    parser.set_defaults(run=run)
    parser.add_argument(
        "clips",
        nargs="*",
        type=Path,
        metavar="CLIP-OR-FOLDER",
        help="NAME.mp4, with NAME.wav, NAME.tracks.json and NAME.depth.npz beside it where they exist",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--csv",
        type=Path,
        metavar="FILE.csv",
        help="write a row for each clip (and object, or system); FILE.jsonl beside it lets a stopped run go on",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--workers", type=int, default=2, help="processes for clips of one's own (default: 2)")
    hearing = parser.add_argument_group("hearing")
    hearing.add_argument("--localiser", choices=["level", "bands"], help="default: bands for clips, level for --set")
    hearing.add_argument(
        "--law", choices=[*panning_laws(), "auto"], help="how the sound was placed; default: auto for clips, rooms for --set"
    )
    hearing.add_argument("--bands", type=int, default=16, help="of the bands localiser (default: 16)")
    own = parser.add_argument_group("clips of one's own")
    own.add_argument(
        "--reference",
        type=Path,
        metavar="FOLDER",
        help="with NAME.wav or NAME.mp4: the true sounds, for E-L1, onsets and the Frechet distance",
    )
    own.add_argument("--classes", default="person", help="what to follow where tracks are missing (default: person)")
    own.add_argument("--max-tracks", type=int, default=0, help="most prominent tracks kept, 0 = all (default: 0)")
    own.add_argument("--keep-tracks", action="store_true", help="write tracks that were missing beside their clip")
    compared = parser.add_argument_group("systems compared")
    compared.add_argument(
        "--set",
        metavar="rooms|FOLDER",
        help="walking rooms of the cache folder, a folder of a split, or of clips of a "
        "public set (SAVGBench, STARSS23, Walking The Maps)",
    )
    compared.add_argument(
        "--field-of-view",
        type=float,
        default=FIELD_OF_VIEW,
        metavar="DEGREES",
        help=f"of a public set's clips, for directions in its metadata (default: {FIELD_OF_VIEW:g})",
    )
    compared.add_argument("--split", default="test", help="of --set rooms (default: test)")
    compared.add_argument(
        "--systems",
        default="recordings,renderer,centre,mirrored,shifted,noise",
        help=f"names with commas: {', '.join(SYSTEMS)}",
    )
    compared.add_argument("--clips", dest="number", type=int, metavar="N", help="the first N clips (default: all)")
    compared.add_argument("--embedding", choices=["aisfx", "clap", "none"], default="aisfx", help="of the Frechet distance")
    compared.add_argument("--clap", type=Path, metavar="FOLDER", help="CLAP in transformers' form")
    compared.add_argument(
        "--video-encoder", type=Path, metavar="FOLDER", help="vision encoder in transformers' form, for the joint distance"
    )
    compared.add_argument(
        "--model", type=Path, metavar="FOLDER", help="model of the systems that have one (default: the bundled one)"
    )
    compared.add_argument("--device", default="cpu", help="of networks (default: cpu)")
    compared.add_argument("--seed", type=int, default=0)
    compared.add_argument("--figure", type=Path, metavar="FILE.png", help="draw the comparison")
    compared.add_argument(
        "--write-results",
        type=Path,
        nargs="?",
        const=Path("docs/results.md"),
        metavar="FILE.md",
        help="put table and figure between the marker comments of a page (default: docs/results.md)",
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    if bool(arguments.set) == bool(arguments.clips):
        raise StereoSyncError("Evaluate: give clips or folders of clips, or --set with --systems; not both, and not neither.")
    return _compare(arguments) if arguments.set else _own_clips(arguments)


def _localiser(arguments: argparse.Namespace, kind: str, law: str) -> Localiser:
    kind, law = arguments.localiser or kind, arguments.law or law
    if kind == "level":
        if law == "auto":
            raise StereoSyncError("Evaluate: --law auto needs --localiser bands; the level localiser reads one law.")
        return LevelLocaliser(law)
    return BandLocaliser(law, arguments.bands)


@contextmanager
def _bar(name: str, arguments: argparse.Namespace) -> Iterator[Any]:
    """A ``progress(done, total)`` in clips or sounds; shown beside JSON too, for it goes to the error stream."""
    with tqdm(desc=name, unit="clip", disable=arguments.quiet) as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield report


def _ledger(arguments: argparse.Namespace, settings: dict[str, Any]) -> Ledger:
    return Ledger(None if arguments.csv is None else arguments.csv.with_suffix(".jsonl"), settings)


def _own_clips(arguments: argparse.Namespace) -> dict[str, Any]:
    started = time.perf_counter()
    localiser = _localiser(arguments, "bands", "auto")
    job = folders.Job(
        localiser=localiser,
        reference=arguments.reference,
        classes=arguments.classes,
        max_tracks=arguments.max_tracks,
        keep_tracks=arguments.keep_tracks,
    )
    with _bar("evaluate", arguments) as progress:
        report, rows = folders.evaluate_clips(
            arguments.clips, job, lambda settings: _ledger(arguments, settings), workers=arguments.workers, progress=progress
        )
    if arguments.csv is not None:
        write_csv(arguments.csv, rows)
    report["seconds"] = round(time.perf_counter() - started, 2)
    if not arguments.json:
        print(folders.readable(report))
    return report


def _compare(arguments: argparse.Namespace) -> dict[str, Any]:
    started = time.perf_counter()
    names = [name.strip() for name in arguments.systems.split(",") if name.strip()]
    systems = load_systems(names, Options(arguments.model, arguments.device, arguments.seed))
    clips: Sequence[EvaluationClip] = open_set(arguments.set, arguments.split, arguments.number, arguments.field_of_view)
    localiser = _localiser(arguments, "level", "rooms")
    embedding = (
        None if arguments.embedding == "none" else audio_embedding(arguments.embedding, arguments.clap, arguments.device)
    )
    pictures = (
        None if arguments.video_encoder is None else _pictures(PictureEmbedding(arguments.video_encoder, arguments.device))
    )
    settings = {
        "set": str(arguments.set), "split": arguments.split, "clips": len(clips), "systems": names,
        "field_of_view": arguments.field_of_view,
        "localiser": repr(localiser),
        "embedding": arguments.embedding, "clap": str(arguments.clap), "video_encoder": str(arguments.video_encoder),
        "model": str(arguments.model), "seed": arguments.seed,
    }  # fmt: skip
    with _bar("systems", arguments) as progress:
        results = run_systems(
            clips,
            systems,
            localiser=localiser,
            embedding=embedding,
            pictures=pictures,
            ledger=_ledger(arguments, settings),
            progress=progress,
        )
    rows = summary(results)
    if arguments.csv is not None:
        flat = [{"system": name, **one.row()} for name, by_clip in results.items() for one, _ in by_clip.values()]
        write_csv(arguments.csv, flat)
    report = {
        "set": str(arguments.set),
        "clips": len(clips),
        "localiser": repr(localiser),
        "embedding": arguments.embedding,
        "systems": rows,
        "seconds": round(time.perf_counter() - started, 2),
    }
    if arguments.figure is not None:
        draw_comparison(rows, results, arguments.figure)
    if arguments.write_results is not None:
        write_results(arguments.write_results, rows, results, report)
    if not arguments.json:
        print(table(rows))
    return report


def _pictures(encoder: PictureEmbedding) -> Callable[[EvaluationClip], tuple[np.ndarray, np.ndarray]]:
    """Features of about four frames a second, with their times."""

    def features(clip: EvaluationClip) -> tuple[np.ndarray, np.ndarray]:
        times, frames = clip.frames()
        return encoder(frames[::4]), times[::4]

    return features
