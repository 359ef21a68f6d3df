"""Folders laid out as public sets are, read as clips.

* **SAVGBench / STARSS23**: folders whose names begin with ``video``, with ``audio`` or ``stereo``, and with ``metadata``, in
  which files of one clip have one name (``fold4_room2_mix001_deg090_start0010``). The metadata are CSV rows of
  ``frame,class,source,azimuth,distance,onscreen``, ten frames a second, degrees to the left, centimetres; older files have the
  elevation before the distance and no last column.
* **Walking The Maps**: clips with their own sound, in one folder or in one for each game.

NAME.tracks.json beside a clip gives its boxes. Without it they come from the metadata, as upright boxes of a person's
width at the annotated place, and where there are no metadata from the object tracker.
"""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stereosync_core.errors import StereoSyncError
from stereosync_core.media.sound import read_sound
from stereosync_core.media.video import probe
from stereosync_core.metrics.clips import CLIP_ENDINGS, SOUND_ENDINGS, FolderClip, is_one_of, open_clip, stereo_44100
from stereosync_core.metrics.truth import ObjectSteps
from stereosync_core.scene import Track, Tracks
from stereosync_core.tracking.registry import track_video

ANNOTATION_RATE = 10.0
#: Horizontal, in degrees; that of the perspective clips made from STARSS23's panoramas for DCASE 2025.
FIELD_OF_VIEW = 100.0
#: Metres that an annotated source is taken to be wide, and those it is off when no distance is given.
BODY_WIDTH, USUAL_DISTANCE = 0.5, 2.0


class Annotated(NamedTuple):
    """What metadata hold: boxes and sounding frames of each source."""

    tracks: Tracks
    objects: tuple[ObjectSteps, ...]


def read_metadata(path: Path, duration: float, aspect: float = 16 / 9, field_of_view: float = FIELD_OF_VIEW) -> Annotated:
    """Sources of a metadata file. A source is on screen where its row has it so, or else where its direction is in the view.
    Raises StereoSyncError when the file is not of the form."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as handle:
            rows = [row for row in csv.reader(handle) if row]
        header = [] if not rows or _is_number(rows[0][0]) else [name.strip().lower() for name in rows.pop(0)]
        values = np.array(rows, dtype=np.float64) if rows else np.zeros((0, 6))
        if len(rows) and values.shape[1] < 4:
            raise ValueError(f"{values.shape[1]} columns")
    except OSError as error:
        raise StereoSyncError(f"Metadata {path} cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise StereoSyncError(
            f"Metadata {path} is not rows of frame,class,source,azimuth,distance,onscreen ({error}); repair or remove it."
        ) from error
    onscreen = header.index("onscreen") if "onscreen" in header else None
    if "distance" in header:
        far: int | None = header.index("distance")
    else:  # without a header: six columns are STARSS23's with elevation, five have none or no distance
        far = 5 if not header and len(rows) and values.shape[1] == 6 else None
    tracks, objects = [], []
    half = np.tan(np.deg2rad(field_of_view / 2))
    sources = sorted({(int(row[1]), int(row[2])) for row in values})
    for number, source in enumerate(sources, start=1):
        own = values[(values[:, 1] == source[0]) & (values[:, 2] == source[1])]
        own = own[np.unique(own[:, 0], return_index=True)[1]]
        times = (own[:, 0] + 0.5) / ANNOTATION_RATE
        inside = np.abs(own[:, 3]) < field_of_view / 2
        seen = inside if onscreen is None else own[:, onscreen] > 0
        metres = np.full(len(own), USUAL_DISTANCE) if far is None else np.maximum(own[:, far] / 100, 0.2)
        keep = times <= duration
        objects.append(ObjectSteps(number, times[keep], seen[keep], metres[keep]))
        show = keep & seen
        if show.any():
            middle = 0.5 - np.tan(np.deg2rad(np.clip(own[show, 3], -89, 89))) / half / 2
            width = BODY_WIDTH / metres[show] / half / 2
            top, bottom = np.full_like(middle, 0.1), np.full_like(middle, 0.9)
            boxes = np.stack([middle - width / 2, top, middle + width / 2, bottom], axis=1)
            tracks.append(Track(number, f"source {source[0]}.{source[1]}", times[show], np.clip(boxes, 0.0, 1.0)))
    return Annotated(Tracks(tuple(tracks), duration=duration, max_gap=0.3, aspect=aspect), tuple(objects))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class _Entry:
    video: Path
    sound: Path | None = None
    metadata: Path | None = None


class FolderSet(Sequence):
    """A folder of clips, each read when it is indexed."""

    def __init__(self, entries: list[_Entry], field_of_view: float):
        self._entries, self._field_of_view = entries, field_of_view

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> FolderClip:  # type: ignore[override]
        return _open(self._entries[index], self._field_of_view)


def _open(entry: _Entry, field_of_view: float) -> FolderClip:
    info = probe(entry.video)
    known = None
    if entry.metadata is not None:
        known = read_metadata(entry.metadata, info.duration, info.width / info.height, field_of_view)
    tracks = None
    if not entry.video.with_suffix(".tracks.json").is_file():
        tracks = track_video(entry.video, max_tracks=0) if known is None else known.tracks
    clip = open_clip(entry.video, tracks)
    if entry.sound is not None and (sound := read_sound(entry.sound, align_to_video=False)) is not None:
        clip = replace(clip, sound=stereo_44100(sound, info.duration), was_mono=sound.channels == 1)
    if known is not None and tracks is not None:
        clip = replace(clip, objects=known.objects, onsets_known=False)
    return clip


def _by_name(folders: list[Path], endings: Sequence[str]) -> dict[str, Path]:
    files = (path for folder in folders for path in sorted(folder.rglob("*")))
    return {path.stem: path for path in files if is_one_of(path, endings)}


def open_folder(folder: Path, field_of_view: float = FIELD_OF_VIEW) -> FolderSet:
    """A set laid out in one of the ways above. Raises StereoSyncError when the folder is missing or holds no clip."""
    folder = Path(folder)
    if not folder.is_dir():
        raise StereoSyncError(f"Evaluate: '{folder}' is no folder; give rooms, the folder of a split, or a folder of clips.")
    below = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    names = ("video", "audio", "stereo", "metadata")
    kinds = {name: [path for path in below if path.name.lower().startswith(name)] for name in names}
    if kinds["video"]:
        videos = _by_name(kinds["video"], CLIP_ENDINGS)
        sounds = _by_name(kinds["stereo"] or kinds["audio"], SOUND_ENDINGS)
        notes = _by_name(kinds["metadata"], (".csv",))
        entries = [_Entry(path, sounds.get(name), notes.get(name)) for name, path in sorted(videos.items())]
    else:
        files = (path for place in (folder, *below) for path in sorted(place.iterdir()))
        entries = [_Entry(path) for path in files if is_one_of(path, CLIP_ENDINGS)]
    if not entries:
        raise StereoSyncError(f"Evaluate: '{folder}' holds no clips; clips end in {', '.join(CLIP_ENDINGS)}.")
    twice = sorted(name for name, count in Counter(entry.video.stem for entry in entries).items() if count > 1)
    if twice:
        raise StereoSyncError(
            f"Evaluate: several clips in '{folder}' are called {', '.join(twice[:5])}; give each a name of its own."
        )
    return FolderSet(entries, field_of_view)
