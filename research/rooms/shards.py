"""Rooms on disk: shards of clips, each a plain ZIP file, and a manifest with their checksums; made in several processes, a
shard each at a time, going on where an earlier run was stopped.

``manifest.json`` holds the recipe and lists the shards, ``library`` the recorded sounds; ``rooms-00000.zip`` holds, for each
clip, ``000000/clip.json`` (what was planned), ``video.mp4`` (H.264, 320 x 240, 17.5 a second), ``sound.flac`` (the engine's
mix with the room's answer, lossless) and ``arrays.npz`` (boxes, places, camera, depth). Everything is written beside its place
and moved; equal recipes give equal bytes.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from stereosync_core.errors import StereoSyncError, explained
from stereosync_core.media.output import replacing
from stereosync_core.scale.pipelines import Row, Stage, Work, completed

from . import camera as cameras
from . import record as engine
from .recipe import RECIPE, SPLITS, Plan, make_plan
from .record import FRAME_EVERY, HEIGHT, WIDTH, Recording
from .takes import keep_library, library_version
from .voices import PREROLL, RATE, TICS_PER_SECOND

MANIFEST = "manifest.json"
#: Folder of the sounds that a set was made with.
LIBRARY = "library"
#: Clips in a shard: what a killed process loses at most.
SHARD_CLIPS = 20
FRAME_RATE = Fraction(TICS_PER_SECOND, FRAME_EVERY)
#: Settings of x264: its macroblock tree gives other bytes each time (seen with av 18.1), and more threads may.
X264 = {"crf": "25", "preset": "veryfast", "x264-params": "threads=1:mbtree=0:cpu-independent=1"}
ARRAYS = ("boxes", "places", "camera", "depth")


def shard_name(number: int) -> str:
    return f"rooms-{number:05d}.zip"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_shard(path: Path, clips: list[tuple[Plan, Recording]]) -> Path:
    """Write clips as one shard."""
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for plan, recording in clips:
            for name, data in _clip_files(plan, recording).items():
                # a fixed time and system: the same clips are the same bytes, whenever and wherever they are written
                entry = zipfile.ZipInfo(f"{plan.number:06d}/{name}", (1980, 1, 1, 0, 0, 0))
                entry.create_system, entry.external_attr = 3, 0o644 << 16
                archive.writestr(entry, data)
    return path


def _clip_files(plan: Plan, recording: Recording) -> dict[str, bytes]:
    arrays = io.BytesIO()
    np.savez_compressed(arrays, **{name: getattr(recording, name) for name in ARRAYS})
    return {
        "clip.json": json.dumps(describe(plan) | {"peak": recording.peak}, indent=1).encode(),
        "video.mp4": encode_video(recording.frames),
        "sound.flac": encode_sound(recording.sound),
        "arrays.npz": arrays.getvalue(),
    }


def describe(plan: Plan) -> dict[str, Any]:
    """What a clip's reader needs of its plan, as JSON."""
    room = asdict(plan.room)
    room |= {"outline": plan.room.outline.tolist(), "pillars": plan.room.pillars.tolist()}
    walkers = []
    for walker in plan.walkers:
        row = {name: value for name, value in vars(walker).items() if not isinstance(value, np.ndarray)}
        row["takes"] = [asdict(take) for take in walker.takes]
        walkers.append(row | {"step_tics": (walker.step_tics - PREROLL).tolist(), "strengths": walker.strengths.tolist()})
    return {
        "recipe": RECIPE,
        "split": plan.split,
        "seed": plan.seed,
        "number": plan.number,
        "tics": plan.tics,
        "camera": plan.camera.kind,
        "camera_height": plan.camera.height,
        "field_of_view": cameras.FIELD_OF_VIEW,
        "room": room,
        "walkers": walkers,
        "acoustics": asdict(plan.acoustics),
        "library": library_version(),
    }


def encode_video(frames: np.ndarray) -> bytes:
    """Frames uint8 ``[T, H, W, 3]`` as MP4 of :data:`FRAME_RATE`, the same bytes each time and on every processor."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FRAME_RATE, options=X264)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def encode_sound(sound: np.ndarray) -> bytes:
    """Stereo int16 ``[2, N]`` as FLAC."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=RATE, layout="stereo", format="s16")
        packed = np.ascontiguousarray(sound.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout="stereo")
        frame.sample_rate, frame.pts = RATE, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def decode_sound(data: bytes) -> np.ndarray:
    """Stereo int16 ``[2, N]`` of a FLAC."""
    with av.open(io.BytesIO(data)) as container:
        parts = [frame.to_ndarray().reshape(-1, 2).T for frame in container.decode(audio=0)]
    return np.concatenate(parts, axis=1)


def decode_video(data: bytes) -> np.ndarray:
    """Frames uint8 ``[T, H, W, 3]`` of an MP4."""
    with av.open(io.BytesIO(data)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def shard_clips(path: Path) -> list[int]:
    """Numbers of the clips in a shard, checked to the last byte; an empty list when it is damaged or missing."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                return []
            return sorted({int(name.split("/")[0]) for name in archive.namelist()})
    except (OSError, zipfile.BadZipFile, ValueError):
        return []


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of ``folder``, or None where there is none. Raises StereoSyncError when it cannot be read or is none."""
    path = Path(folder) / MANIFEST
    if not path.exists():
        return None
    message = f"Rooms: '{path}' is no manifest of rooms ({{error}}); delete the folder and make it again."
    with explained(message, OSError, ValueError, KeyError):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(manifest, dict) or not isinstance(manifest["shards"], list):
            raise ValueError("it lists no shards")
    return manifest


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    with replacing(Path(folder) / MANIFEST) as temporary:
        temporary.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def generate(
    out: Path,
    split: str,
    seed: int,
    clips: int,
    *,
    seconds: float = 4.0,
    workers: int = 1,
    address: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Make ``clips`` clips of a split, of so many ``seconds`` each, in ``out / split`` and return the manifest.

    What is there already, of the same recipe, stays; so a stopped run goes on, and a larger number adds to a smaller one.

    :param address: of a Ray cluster whose machines have the folder as well; None for ``workers`` processes of this one.
    :raises StereoSyncError: when the engine is missing, the folder holds rooms of another recipe, or a number is out of range;
        and after all others are made, for shards that could not be.
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
    head = {"recipe": RECIPE, "split": split, "seed": seed, "seconds": seconds, "shard_clips": SHARD_CLIPS}
    head["library"] = library_version()
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

    keep_library(folder / LIBRARY)
    note()
    jobs = [(folder, split, seed, seconds, number, wanted[number]) for number in missing]
    if workers == 1 and address is None:
        for job in jobs:
            note(make_shard(*job))
    else:
        _in_processes(jobs, workers, address, note)
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
    return all(first[name] == head[name] for name in ("recipe", "split", "seed", "library"))


def _row(path: Path, clips: list[int]) -> dict[str, Any]:
    size = path.stat().st_size
    return {"file": path.name, "clips": len(clips), "bytes": size, "sha256": sha256(path), "made_with": engine.versions()}


def make_shard(folder: Path, split: str, seed: int, seconds: float, number: int, clips: list[int]) -> dict[str, Any]:
    """Record a shard's clips; return its row of the manifest."""
    plans = (make_plan(split, seed, clip, seconds) for clip in clips)
    path = write_shard(folder / shard_name(number), [(plan, engine.record(plan)) for plan in plans])
    return _row(path, clips)


def _in_processes(jobs: list[tuple], workers: int, address: str | None, note: Callable[[Row], None]) -> None:
    failed = []
    for place, row in completed([Stage(_shards)], [{"job": job} for job in jobs], workers=workers, address=address):
        if "error" in row:
            failed.append(f"{shard_name(jobs[place][4])} ({row['error']})")
        else:
            note(row)
    if failed:
        raise StereoSyncError(f"Rooms: {', '.join(failed)} could not be made; the same command tries again.")


def _shards(device: str) -> Work:
    return lambda rows: [_shard(*row["job"]) for row in rows]


def _shard(*job: Any) -> Row:
    try:
        return make_shard(*job)
    except Exception as error:  # the other shards are none the worse for it
        return {"error": f"{type(error).__name__}: {error}"}
