"""``batch``: ``render`` or ``generate`` for many clips, in processes or on a Ray cluster; a stopped run goes on."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..errors import StereoSyncError
from ..rendering.stems import made_folder
from ..scale.manifest import Manifest, checksum, find_clips, key_of
from ..scale.pools import completed, required_ray

TASKS = ("render", "generate")


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("batch", help="render or generate for many clips, here or on a cluster", description=__doc__)
    parser.set_defaults(run=run)
    parser.add_argument("task", choices=TASKS, help="what to do for each clip")
    parser.add_argument(
        "clips", nargs="+", type=Path, metavar="CLIP-FOLDER-MANIFEST", help="clips, folders, or CSV, JSONL, Parquet with 'clip'"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results and of manifest.jsonl")
    parser.add_argument("--options", default="", metavar="TEXT", help="of the task, such as '--surface wood --room 0.4'")
    parser.add_argument("--suffix", default=".mp4", help="kind of the results, such as .wav or .mkv (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--ray", metavar="ADDRESS", help="work on a Ray cluster; auto: the one of this machine")
    parser.add_argument("--gpus", type=float, default=0.0, help="GPUs of a task on the cluster, a part of one included")
    parser.add_argument("--retry", action="store_true", help="try clips again that failed in an earlier run")
    parser.add_argument("--parquet", action="store_true", help="write manifest.parquet as well")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Raises StereoSyncError for options that no clip can be worked on with; what is wrong with a clip is in the manifest."""
    started = time.perf_counter()
    settings = [arguments.task, *_split(arguments.options)]
    if arguments.workers < 1 or not arguments.gpus >= 0:
        raise StereoSyncError(f"Batch: {arguments.workers} workers and {arguments.gpus} GPUs; give at least 1 and 0.")
    if arguments.ray is not None:
        required_ray()
    clips = find_clips(arguments.clips)
    _parsed([*settings, str(clips[0]), "-o", f"a{arguments.suffix}"])
    manifest = Manifest(made_folder(arguments.out, "Batch") / "manifest.jsonl")
    jobs = []
    for clip in clips:
        key = key_of(clip, [*settings, arguments.suffix])
        if not _is_done(manifest.get(key), arguments.out, arguments.retry):
            jobs.append((key, settings, str(clip), str(arguments.out / f"{clip.stem[:80]}-{key[:8]}{arguments.suffix}")))
    pool = {"workers": arguments.workers, "address": arguments.ray, "gpus": arguments.gpus}
    # a cluster prints what happens to its workers, and the report has the output to itself
    with (
        contextlib.redirect_stdout(sys.stderr),
        tqdm(total=len(jobs), desc=arguments.task, unit="clip", disable=arguments.quiet or arguments.json) as bar,
    ):
        for place, row in completed(work, jobs, **pool):
            key, _, clip, _ = jobs[place]
            manifest[key] = {"key": key, "clip": clip} | row
            bar.update()
    if arguments.parquet:
        manifest.to_parquet(arguments.out / "manifest.parquet")
    rows = [manifest[key_of(clip, [*settings, arguments.suffix])] for clip in clips]
    return _report(rows, len(jobs), time.perf_counter() - started, arguments)


def work(job: tuple[str, list[str], str, str]) -> dict[str, Any]:
    """One clip, in whatever process: its row of the manifest."""
    _, settings, clip, output = job
    started = time.perf_counter()
    try:
        arguments = _parsed([*settings, clip, "-o", output, "--json"])
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            report = arguments.run(arguments)
        path = Path(output)
        result = {"output": path.name, "bytes": path.stat().st_size, "sha256": checksum(path), "duration": report["duration"]}
    except StereoSyncError as error:
        result = {"error": str(error)}
    except Exception as error:  # one clip's fault is no other's
        result = {"error": f"{type(error).__name__}: {error}"}
    return result | {"seconds": round(time.perf_counter() - started, 3)}


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise StereoSyncError(f"Batch: --options cannot be read ({error}); close its quotes.") from error


def _parsed(argv: list[str]) -> argparse.Namespace:
    if argv[0] == "generate":  # each process imports what its task needs alone
        from . import generate as task
    else:
        from . import render as task
    parser = argparse.ArgumentParser(prog="batch --options")
    task.add(parser.add_subparsers(required=True))
    return parser.parse_args(argv)


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
    if not arguments.json:
        print(f"{report['results']} of {len(rows)} clips, {worked} of them now, {report['clips_a_second']:.2f} a second")
        for one in failed:
            print(f"failed: {json.dumps(one['clip'])}: {one['error']}")
    return report
