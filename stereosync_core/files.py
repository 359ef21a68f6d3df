"""Scene data on disk: tracks as JSON, depth as NPZ; written under a temporary name and moved, so that no half file stays.

Tracks: ``{"duration": s, "tracks": [{"id", "label", "times": [s], "boxes": [[x0, y0, x1, y1] in 0..1], "scores"}]}``;
``duration``, ``cuts`` (seconds at which shots begin), ``camera`` (``times``, ``steps`` and ``confidence`` of CameraMotion) and
``scores`` may be absent. Depth: arrays ``maps`` ``[T, H, W]`` with 1 = near, and ``times`` in seconds.
"""

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .errors import StereoSyncError
from .media.output import replacing
from .scene import DepthSequence, Track, Tracks, check_depth_fits, check_tracks_fit
from .scene_camera import CameraMotion


def read_object(path: Path, what: str, remedy: str) -> dict[str, Any]:
    """The object in a JSON file; ``what`` begins the error, ``remedy`` ends it. Raises StereoSyncError when the file is
    missing, cannot be read, or holds no JSON object."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError) as error:
        raise StereoSyncError(f"{what}: '{path}' cannot be read ({error}); {remedy}.") from error
    return content


def save_tracks(path: Path, tracks: Tracks) -> Path:
    """Write tracks as JSON; see the module for the form."""
    rows = [
        {
            "id": track.id,
            "label": track.label,
            "times": [round(value, 6) for value in track.times.tolist()],
            "boxes": [[round(value, 6) for value in box] for box in track.boxes.tolist()],
            "scores": [round(value, 4) for value in np.asarray(track.scores).tolist()],
        }
        for track in tracks
    ]
    data = {"duration": tracks.duration, "max_gap": tracks.max_gap, "aspect": tracks.aspect, "cuts": tracks.cuts}
    if (camera := tracks.camera) is not None:
        values = {"times": camera.times, "steps": camera.steps, "confidence": camera.confidence}
        data["camera"] = {name: np.round(value, 8).tolist() for name, value in values.items()}
    text = json.dumps(data | {"tracks": rows})
    with replacing(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


@contextmanager
def _reading(what: str, path: Path, form: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StereoSyncError(f"{what} {path} cannot be read ({error.strerror or error}).") from error
    except (KeyError, TypeError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise StereoSyncError(f"{what} {path} is not {form} ({type(error).__name__}: {error}).") from error
    except StereoSyncError as error:
        raise StereoSyncError(f"{what} {path}: {error}") from error


def load_tracks(path: Path, duration: float, aspect: float = 16 / 9) -> Tracks:
    """Read tracks for a clip of ``duration`` seconds and of that width over height. Raises StereoSyncError where the file is
    not of the form, or belongs to a clip of another length."""
    form = 'JSON of the form {"tracks": [{"id", "label", "times": [s], "boxes": [[x0, y0, x1, y1] in 0..1], "scores"}]}'
    with _reading("Tracks file", path, form):
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        rows = [
            Track(row.get("id", place), row.get("label", "object"), row["times"], row["boxes"], row.get("scores"))
            for place, row in enumerate(data["tracks"], 1)
        ]
        duration_of_file, max_gap = float(data.get("duration", duration)), float(data.get("max_gap", 0.5))
        cuts = tuple(data.get("cuts", ()))
        moving = data.get("camera")
        camera = None if moving is None else CameraMotion(moving["times"], moving["steps"], moving["confidence"], cuts)
        tracks = Tracks(tuple(rows), duration_of_file, max_gap, float(data.get("aspect", aspect)), cuts, camera)
    check_tracks_fit(tracks, duration)
    return replace(tracks, duration=duration)


def save_depth(path: Path, depth: DepthSequence) -> Path:
    """Write depth as a compressed NPZ with ``maps`` and ``times``."""
    with replacing(Path(path)) as temporary, open(temporary, "wb") as handle:
        np.savez_compressed(handle, maps=depth.maps, times=depth.times)
    return Path(path)


def load_depth(path: Path, duration: float) -> DepthSequence:
    """Read depth for a clip of ``duration`` seconds; raises StereoSyncError where the file is not of the form."""
    form = "an NPZ with arrays maps [T, H, W] and times [T]"
    with _reading("Depth file", path, form), np.load(path, allow_pickle=False) as data:
        depth = DepthSequence(data["maps"], data["times"])
    check_depth_fits(depth, duration)
    return depth
