"""``batch``: render, generate or evaluate for many clips, in local processes or on a Ray cluster; a stopped run goes on."""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..errors import StereoSyncError
from ..media.output import AUTO_CODEC
from ..media.sound import SOUND_FILES
from ..metrics.clips import readable, report_of, stamp_of
from ..rendering.stems import made_folder
from ..scale.manifest import Manifest, find_clips, key_of
from ..scale.pipelines import completed, required_ray
from .batch_stages import TASKS, check_places, parsed, stages_of
from .evaluate import job_of
from .model_options import check_model_options, load_pipeline


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("batch", help="one of these for many clips, here or on a cluster", description=__doc__)
    parser.set_defaults(run=run)
    parser.add_argument("task", choices=TASKS, help="what to do for each clip")
    parser.add_argument(
        "clips",
        nargs="+",
        metavar="CLIP-FOLDER-MANIFEST",
        help="clips, folders, or CSV, JSONL, Parquet with 'clip', in files or at addresses such as s3://bucket/list.parquet",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results and of manifest.jsonl")
    options = "of the task, such as '--room 0.4 --stems stems/{clip}' with the clip's name"
    parser.add_argument("--options", default="", metavar="TEXT", help=options)
    parser.add_argument("--suffix", default=".mp4", help="kind of the results, such as .wav or .mkv (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=4, help="clips that are sampled at once (default: %(default)s)")
    parser.add_argument("--ray", metavar="ADDRESS", help="work on a Ray cluster; auto: the one of this machine")
    gpus = "of each process that samples on a cluster with GPUs, a part of one included (default: %(default)s)"
    parser.add_argument("--gpus", type=float, default=1.0, help=gpus)
    parser.add_argument("--retry", action="store_true", help="try clips again that failed in an earlier run")
    table = "write the manifest as a table as well (default: manifest.parquet in --out)"
    parser.add_argument("--parquet", nargs="?", const="", metavar="FILE-OR-ADDRESS", help=table)
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Raises StereoSyncError for options that no clip can be worked on with; what is wrong with a clip is in the manifest."""
    started = time.perf_counter()
    settings = [arguments.task, *_split(arguments.options)]
    gpus = arguments.gpus
    if min(arguments.workers, arguments.batch) < 1 or not (0 < gpus < 1 or (gpus >= 1 and gpus.is_integer())):
        numbers = f"{arguments.workers} workers, {arguments.batch} clips at once and {gpus} GPUs"
        raise StereoSyncError(f"Batch: {numbers}; give at least 1, 1 and a part of a GPU or whole ones.")
    if arguments.ray is not None:
        required_ray()
    clips = find_clips(arguments.clips)
    suffix = ".json" if arguments.task == "evaluate" else arguments.suffix
    kinds = [".json", *SOUND_FILES, *AUTO_CODEC]
    if suffix.lower() not in kinds:
        raise StereoSyncError(f"Batch: --suffix {suffix!r} is no kind of result; give one of {', '.join(kinds[1:])}.")
    first = parsed(settings, str(clips[0]), f"a{suffix}")
    check_places(settings, clips)
    if arguments.task == "generate":
        if first.takes != 1:
            raise StereoSyncError("Batch: a clip has one result; leave --takes out, and run again with another --seed.")
        check_model_options(first)
        load_pipeline(first)
    elif arguments.task == "evaluate":
        if first.csv is not None or first.workers != 1:
            raise StereoSyncError(
                "Batch: leave --csv and --workers out of --options; metrics are in each clip's result, and batch has --workers."
            )
        job_of(first)
    folder = made_folder(arguments.out, "Batch")
    manifest = Manifest(folder / "manifest.jsonl")
    own = [[stamp_of(clip, first.keep_tracks)] if arguments.task == "evaluate" else [] for clip in clips]
    keys = [key_of(clip, [*settings, suffix, *stamp]) for clip, stamp in zip(clips, own, strict=True)]
    rows = {
        key: {"clip": str(clip), "output": str(folder / f"{clip.stem[:80]}-{key[:8]}{suffix}")}
        for key, clip in zip(keys, clips, strict=True)
        if not _is_done(manifest.get(key), folder, arguments.retry)
    }
    # one clip at a time where no time is saved by several
    batch = arguments.batch if arguments.task == "generate" else 1
    where = {"batch": batch, "workers": arguments.workers, "address": arguments.ray, "gpus": gpus}
    # a cluster prints what happens to its workers, and the report has the output to itself
    with (
        contextlib.redirect_stdout(sys.stderr),
        tqdm(total=len(rows), desc=arguments.task, unit="clip", disable=arguments.quiet or arguments.json) as bar,
    ):
        names = list(rows)
        for place, row in completed(stages_of(settings), list(rows.values()), **where):
            key = names[place]
            manifest[key] = {"key": key} | row | {"clip": rows[key]["clip"]}
            bar.update()
    if arguments.parquet is not None:
        manifest.to_parquet(arguments.parquet or str(folder / "manifest.parquet"))
    return _report([manifest[key] for key in keys], len(rows), time.perf_counter() - started, arguments)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise StereoSyncError(f"Batch: --options cannot be read ({error}); close its quotes.") from error


def _is_done(row: dict[str, Any] | None, folder: Path, retry: bool) -> bool:
    if row is None or "error" in row:
        return row is not None and not retry
    path = folder / row["output"]
    return path.is_file() and path.stat().st_size == row["bytes"]


def _report(rows: list[dict[str, Any]], worked: int, seconds: float, arguments: argparse.Namespace) -> dict[str, Any]:
    failed = [{"clip": row["clip"], "error": row["error"]} for row in rows if "error" in row]
    report = {
        "clips": len(rows),
        "worked_on": worked,
        "results": len(rows) - len(failed),
        "failed": failed,
        "seconds": round(seconds, 2),
        "clips_a_second": round(worked / seconds, 3),
        "manifest": str(arguments.out / "manifest.jsonl"),
    }
    done = [arguments.out / row["output"] for row in rows if "error" not in row]
    if arguments.task == "evaluate" and done:
        report["metrics"] = report_of([json.loads(path.read_text(encoding="utf-8")) for path in done])
    if not arguments.json:
        print(f"{report['results']} of {len(rows)} clips, {worked} of them now, {report['clips_a_second']:.2f} a second")
        if "metrics" in report:
            print(readable(report["metrics"]))
        for one in failed:
            print(f"failed: {json.dumps(one['clip'])}: {one['error']}")
    return report
