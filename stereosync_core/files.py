"""Scene data on disk: tracks as JSON, depth as NPZ; written under a temporary name and moved, so that no half file stays.

Tracks: ``{"duration": s, "tracks": [{"id", "label", "times": [s], "boxes": [[x0, y0, x1, y1] in 0..1], "scores"}]}``;
``duration``, ``cuts`` (seconds at which shots begin), ``camera`` (``times``, ``steps`` and ``confidence`` of CameraMotion),
``scores`` and ``distances`` (relative, 1 = the clip's median) may be absent. Depth: arrays ``maps`` ``[T, H, W]`` with 1 =
near, and ``times`` in seconds; ``range`` of :class:`DepthSequence` may be absent.
"""

import json
import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .errors import StereoSyncError
from .media.output import replacing
from .scene import DEPTH_RANGE, DepthSequence, Track, Tracks, check_depth_fits, check_tracks_fit
from .scene_camera import CameraMotion, check_camera_fits

#: Bytes of a JSON or CSV file: two hours of 24 tracks have a third of it.
LARGEST_TEXT = 2**29
#: Bytes that depth maps may take in memory: for a clip of any length, for each second of one, and for the longest.
_DEPTH_OF_ANY, _DEPTH_A_SECOND, _LARGEST_DEPTH = 2**28, 2**26, 2**33


def read_object(path: Path, what: str, remedy: str) -> dict[str, Any]:
    """The object in a JSON file; ``what`` begins the error, ``remedy`` ends it. Raises StereoSyncError when the file is
    missing, cannot be read, or holds no JSON object."""
    try:
        content = json.loads(read_text(path))
        if not isinstance(content, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError, RecursionError) as error:
        raise StereoSyncError(f"{what}: '{path}' cannot be read ({error}); {remedy}.") from error
    return content


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark, or in UTF-16 or UTF-32, as spreadsheets and shells of
    Windows write. Raises OSError, and ValueError for another encoding or more than :data:`LARGEST_TEXT` bytes."""
    with open(path, "rb") as file:
        data = file.read(LARGEST_TEXT + 1)
    if len(data) > LARGEST_TEXT:
        raise ValueError(f"it is larger than {LARGEST_TEXT / 1e6:.0f} MB")
    return data.decode(json.detect_encoding(data))


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
        | ({} if track.distances is None else {"distances": np.round(track.distances, 4).tolist()})
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
    except StereoSyncError as error:
        raise StereoSyncError(f"{what} {path}: {error}") from error
    except Exception as error:  # damaged bytes make json, zipfile, zlib and numpy raise more kinds than any of them documents
        raise StereoSyncError(f"{what} {path} is not {form} ({type(error).__name__}: {str(error)[:200]}).") from error


def _packed(row: dict[str, Any]) -> dict[str, Any]:
    """A track's row with arrays in place of its lists, which take six times the memory, as soon as the row is read."""
    names = ("times", "boxes", "scores", "distances")
    with suppress(ValueError, TypeError, OverflowError):  # of what holds no numbers, the error is Track's
        return row | {name: np.array(row[name], np.float64) for name in names if isinstance(row.get(name), list)}
    return row


def load_tracks(path: Path, duration: float, aspect: float = 16 / 9) -> Tracks:
    """Read tracks for a clip of ``duration`` seconds and of that width over height. Raises StereoSyncError where the file is
    not of the form, or belongs to a clip of another length."""
    form = 'JSON of the form {"tracks": [{"id", "label", "times": [s], "boxes": [[x0, y0, x1, y1] in 0..1], "scores"}]}'
    with _reading("Tracks file", path, form):
        data = json.loads(read_text(path), object_hook=_packed)
        rows = [
            Track(
                *(row.get("id", place), row.get("label", "object"), row["times"], row["boxes"]),
                *(row.get("scores"), row.get("distances")),
            )
            for place, row in enumerate(data["tracks"], 1)
        ]
        duration_of_file, max_gap = float(data.get("duration", duration)), float(data.get("max_gap", 0.5))
        cuts = tuple(data.get("cuts", ()))
        moving = data.get("camera")
        camera = None if moving is None else CameraMotion(moving["times"], moving["steps"], moving["confidence"], cuts)
        tracks = Tracks(tuple(rows), duration_of_file, max_gap, float(data.get("aspect", aspect)), cuts, camera)
    check_tracks_fit(tracks, duration)
    if camera is not None:
        check_camera_fits(camera, duration)
    return replace(tracks, duration=duration)


def save_depth(path: Path, depth: DepthSequence) -> Path:
    """Write depth as a compressed NPZ with ``maps`` and ``times``."""
    with replacing(Path(path)) as temporary, open(temporary, "wb") as handle:
        np.savez_compressed(handle, maps=depth.maps, times=depth.times, range=np.float64(depth.range))
    return Path(path)


def load_depth(path: Path, duration: float) -> DepthSequence:
    """Read depth for a clip of ``duration`` seconds.

    :raises StereoSyncError: where the file is not of the form, belongs to a clip of another length, or its header tells of more
        than a clip of this length can need; none of that takes the memory which the header tells of.
    """
    form = "an NPZ with arrays maps [T, H, W] and times [T]"
    room = min(max(_DEPTH_OF_ANY, int(duration * _DEPTH_A_SECOND)), _LARGEST_DEPTH)
    with _reading("Depth file", path, form), zipfile.ZipFile(path) as archive:
        maps, times = (_read_array(archive, name, room) for name in ("maps", "times"))
        known = "range.npy" in archive.namelist()
        depth = DepthSequence(maps, times, float(_read_array(archive, "range", 4)) if known else DEPTH_RANGE)
    check_depth_fits(depth, duration)
    return depth


def _read_array(archive: zipfile.ZipFile, name: str, room: int) -> np.ndarray:
    """An array of numbers out of an NPZ, which takes at most ``room`` bytes in single precision."""
    entry = archive.getinfo(f"{name}.npy")
    with archive.open(entry) as file:
        major, _ = np.lib.format.read_magic(file)
        header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}[major]
        shape, _, dtype = header(file)
    if dtype.kind not in "fiub":
        raise ValueError(f"{name} holds {dtype}, not numbers")
    count = math.prod(shape)
    if 4 * count > room:
        raise StereoSyncError(
            f"{name} {list(shape)} would take {4 * count / 2**20:,.0f} MiB and a clip of this length has room for "
            f"{room // 2**20}; save smaller maps, or fewer a second."
        )
    if min(shape, default=0) < 0 or count * dtype.itemsize > entry.file_size:
        raise ValueError(f"{name} {list(shape)} is larger than the file")
    with archive.open(entry) as file:
        return np.lib.format.read_array(file, allow_pickle=False)
