"""Rooms on disk: shards of clips, each a plain ZIP file, and a manifest with their checksums.

``manifest.json`` holds the recipe and lists the shards; ``rooms-00000.zip`` holds, for each clip, ``000000/clip.json`` (what
was planned), ``video.mp4`` (H.264, 320 x 240, 17.5 a second), ``sound.flac`` (the engine's mix, lossless) and ``arrays.npz``
(boxes, places, camera, depth). Everything is written beside its place and moved; equal recipes give equal bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from stereosync_core.errors import StereoSyncError
from stereosync_core.media.output import replacing

from . import camera as cameras
from .recipe import PREROLL, RECIPE, Plan
from .record import FRAME_EVERY, HEIGHT, WIDTH, Recording
from .walkers import RATE, TICS_PER_SECOND

MANIFEST = "manifest.json"
FRAME_RATE = Fraction(TICS_PER_SECOND, FRAME_EVERY)
#: Settings of x264: its macroblock tree gives other bytes each time (seen with av 18.1), and more threads may.
X264 = {"crf": "25", "preset": "veryfast", "x264-params": "threads=1:mbtree=0:cpu-independent=1"}
ARRAYS = ("boxes", "places", "camera", "depth")


def shard_name(number: int) -> str:
    return f"rooms-{number:05d}.zip"


def sha256(path: Path) -> str:
    with open(path, "rb") as handle:
        digest = hashlib.sha256()
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


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
        "clip.json": json.dumps(describe(plan), indent=1).encode(),
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
    """The manifest of ``folder``, or None where there is none.

    :raises StereoSyncError: when it cannot be read or is none.
    """
    path = Path(folder) / MANIFEST
    if not path.exists():
        return None
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(manifest, dict) or not isinstance(manifest["shards"], list):
            raise ValueError("it lists no shards")
    except (OSError, ValueError, KeyError) as error:
        raise StereoSyncError(
            f"Rooms: '{path}' is no manifest of rooms ({error}); delete the folder and make it again."
        ) from error
    return manifest


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    with replacing(Path(folder) / MANIFEST) as temporary:
        temporary.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
