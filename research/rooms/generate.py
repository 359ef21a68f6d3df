"""Making a set of rooms: several processes, a shard each at a time, going on where an earlier run was stopped."""

from __future__ import annotations

import json
import multiprocessing
import zipfile
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

from stereosync_core.errors import StereoSyncError

from . import record as engine
from .recipe import RECIPE, SPLITS, make_plan
from .shards import read_manifest, sha256, shard_clips, shard_name, write_manifest, write_shard

#: Clips in a shard: what a killed process loses at most.
SHARD_CLIPS = 20


def generate(
    out: Path,
    split: str,
    seed: int,
    clips: int,
    *,
    seconds: float = 4.0,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Make ``clips`` clips of a split in ``out / split`` and return the manifest.

    What is there already, of the same recipe, stays; so a stopped run goes on, and a larger number adds to a smaller one.

    :param seconds: of each clip.
    :param progress: called with clips done and in all; what it raises ends the work after the shards at hand.
    :raises StereoSyncError: when the engine is missing, the folder holds rooms of another recipe, or a number is out of range.
    """
    lacking = engine.missing_engine()
    if lacking:
        raise StereoSyncError(f"Rooms: {lacking}.")
    if split not in SPLITS:
        raise StereoSyncError(f"Rooms: there is no split {split!r}; choose one of {', '.join(SPLITS)}.")
    if clips < 1 or workers < 1:
        raise StereoSyncError(f"Rooms: {clips} clips by {workers} workers; give one or more of each.")
    make_plan(split, seed, 0, seconds)  # raises for wrong numbers before anything is written
    folder = Path(out) / split
    folder.mkdir(parents=True, exist_ok=True)
    head = {
        "recipe": RECIPE,
        "split": split,
        "seed": seed,
        "seconds": seconds,
        "shard_clips": SHARD_CLIPS,
    }
    wanted = {n: list(range(n * SHARD_CLIPS, min((n + 1) * SHARD_CLIPS, clips))) for n in range(-(-clips // SHARD_CLIPS))}
    rows = _kept(folder, head, wanted)
    missing = [number for number in wanted if shard_name(number) not in rows]
    done = sum(row["clips"] for row in rows.values())

    def note(row: dict[str, Any] | None = None) -> None:
        nonlocal done
        if row is not None:
            rows[row["file"]] = row
            done += row["clips"]
        write_manifest(folder, {**head, "clips": done, "shards": [rows[name] for name in sorted(rows)]})
        if progress is not None:
            progress(done, max(clips, done))

    note()
    jobs = [(folder, split, seed, seconds, number, wanted[number]) for number in missing]
    if workers == 1:
        for job in jobs:
            note(make_shard(*job))
    else:
        _in_processes(jobs, workers, note)
    return read_manifest(folder) or {}


def _kept(folder: Path, head: dict[str, Any], wanted: dict[int, list[int]]) -> dict[str, dict[str, Any]]:
    """Rows of the manifest for shards that are there, whole and of this recipe."""
    manifest = read_manifest(folder)
    if manifest is not None:
        other = [name for name in head if manifest.get(name) != head[name]]
        if other:
            differences = "; ".join(f"{name} is {manifest.get(name)}, but {head[name]} is wanted" for name in other)
            raise StereoSyncError(f"Rooms: '{folder}' holds another set ({differences}). Give another --out, or delete it.")
    known = {row["file"]: row for row in manifest["shards"]} if manifest is not None else {}
    rows = {}
    for path in sorted(folder.glob("rooms-*.zip")):
        number = int(path.stem.split("-")[1])
        row = known.get(path.name)
        if row is None:  # written, but stopped before the manifest was
            row = _row(path, shard_clips(path))
            whole = bool(row["clips"]) and _belongs(path, head)
        else:
            whole = path.stat().st_size == row["bytes"] and sha256(path) == row["sha256"]
        # a shard beyond what is wanted now belongs to the set as well; a shorter last one is made anew
        if whole and row["clips"] >= len(wanted.get(number, [])):
            rows[path.name] = row
    return rows


def _belongs(path: Path, head: dict[str, Any]) -> bool:
    with zipfile.ZipFile(path) as archive:
        first = json.loads(archive.read(sorted(name for name in archive.namelist() if name.endswith("clip.json"))[0]))
    return all(first[name] == head[name] for name in ("recipe", "split", "seed"))


def _row(path: Path, clips: list[int]) -> dict[str, Any]:
    return {
        "file": path.name,
        "clips": len(clips),
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        "made_with": engine.versions(),
    }


def make_shard(folder: Path, split: str, seed: int, seconds: float, number: int, clips: list[int]) -> dict[str, Any]:
    """Record a shard's clips; return its row of the manifest."""
    plans = (make_plan(split, seed, clip, seconds) for clip in clips)
    path = write_shard(folder / shard_name(number), [(plan, engine.record(plan)) for plan in plans])
    return _row(path, clips)


def _in_processes(jobs: list[tuple], workers: int, note: Callable[[dict[str, Any]], None]) -> None:
    # spawned, not forked: the caller may run threads of torch or of a host
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting: set[Future] = {pool.submit(make_shard, *job) for job in jobs}
        try:
            while waiting:
                ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in ready:
                    note(future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
