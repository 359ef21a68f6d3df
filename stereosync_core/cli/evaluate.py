"""``evaluate``: how well sound fits its picture, for clips of one's own."""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..errors import StereoSyncError
from ..media.output import check_writable
from ..metrics import clips
from ..metrics.journal import write_csv
from ..metrics.localiser import BandLocaliser, LevelLocaliser, Localiser
from ..rendering.panning_laws import panning_laws
from ..tracking.registry import check_tracking


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("evaluate", help="measure how well sound fits its picture", description=__doc__)
    parser.set_defaults(run=run)
    parser.add_argument(
        "clips",
        nargs="+",
        type=Path,
        metavar="CLIP-OR-FOLDER",
        help="NAME.mp4, with NAME.wav, NAME.tracks.json and NAME.depth.npz beside it where they exist",
    )
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="FOLDER",
        help="with NAME.wav or NAME.mp4: the true sounds, for E-L1, onsets and the Frechet distance",
    )
    parser.add_argument("--classes", default="person", help="what to follow where tracks are missing (default: person)")
    parser.add_argument("--max-tracks", type=int, default=0, help="most prominent tracks kept, 0 = all (default: 0)")
    parser.add_argument("--keep-tracks", action="store_true", help="write tracks that were missing beside their clip")
    add_measuring(parser, "bands", "auto")


def add_measuring(parser: argparse.ArgumentParser, localiser: str, law: str) -> None:
    """Options of the localiser and of what is written, with the defaults of a command."""
    parser.add_argument("--localiser", choices=["level", "bands"], default=localiser, help=f"default: {localiser}")
    parser.add_argument(
        "--law",
        choices=[*panning_laws(), "auto"],
        default=law,
        help=f"panning law that the sound was placed by; auto: the one that fits a clip best (default: {law})",
    )
    parser.add_argument("--bands", type=int, default=16, help="of the bands localiser (default: 16)")
    parser.add_argument("--json", action="store_true", help="print the metrics as JSON")
    parser.add_argument(
        "--csv", type=Path, metavar="FILE.csv", help="write a row for each clip; FILE.jsonl beside it lets a stopped run go on"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def localiser_of(arguments: argparse.Namespace) -> Localiser:
    """:raises StereoSyncError: for a level localiser without one panning law."""
    if arguments.localiser == "bands":
        return BandLocaliser(arguments.law, arguments.bands)
    if arguments.law == "auto":
        raise StereoSyncError("Evaluate: --law auto needs --localiser bands; the level localiser reads one law.")
    return LevelLocaliser(arguments.law)


@contextmanager
def progress_bar(name: str, hidden: bool, unit: str = "clip") -> Iterator[Any]:
    """A ``progress(done, total, **shown)`` on the error stream."""
    with tqdm(desc=name, unit=unit, disable=hidden) as bar:

        def report(done: int, total: int, **shown: Any) -> None:
            bar.total = total
            bar.update(done - bar.n)
            bar.set_postfix(shown, refresh=False)

        yield report


def journal_of(arguments: argparse.Namespace) -> Path | None:
    """The file from which a stopped run goes on."""
    return None if arguments.csv is None else arguments.csv.with_suffix(".jsonl")


def job_of(arguments: argparse.Namespace) -> clips.Job:
    """How clips are measured by the options. Raises StereoSyncError for what no clip can be measured with."""
    if arguments.workers < 1 or not 1 <= arguments.bands <= 256:
        raise StereoSyncError(
            f"Evaluate: {arguments.workers} workers and {arguments.bands} bands; give 1 or more, 16 is usual."
        )
    check_tracking(classes=arguments.classes, max_tracks=arguments.max_tracks)
    options = ("reference", "classes", "max_tracks", "keep_tracks")
    return clips.Job(localiser_of(arguments), **{name: getattr(arguments, name) for name in options})


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    started = time.perf_counter()
    job = job_of(arguments)
    for path in filter(None, (arguments.csv, journal_of(arguments))):
        check_writable(path)
    with progress_bar("evaluate", arguments.quiet) as progress:
        report, rows = clips.evaluate_clips(
            arguments.clips, job, journal_of(arguments), workers=arguments.workers, progress=progress
        )
    if arguments.csv is not None:
        write_csv(arguments.csv, rows)
    report["seconds"] = round(time.perf_counter() - started, 2)
    if not arguments.json:
        print(clips.readable(report))
    return report
