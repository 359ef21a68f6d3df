"""The folder of a session: sounds, and files for the programs that are to open it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import StereoSyncError, explained
from ..events.files import save_events
from ..media.output import check_writable, replacing
from ..media.save import save_sounds
from ..media.sound import Sound
from ..media.source import Clip, opened
from ..media.video import probe
from ..rendering.spatialize import SpatializeSettings
from ..rendering.stems import check_folder, made_folder, stem_names, stem_paths
from ..scene import DepthSequence, Tracks
from ..scene_events import Events
from . import reaper, spotting, timeline
from .session import Session, markers_of, session_tracks

#: File and writer of each format.
FORMATS = {
    "rpp": ("session.rpp", reaper.to_rpp),
    "otio": ("session.otio", timeline.to_otio),
    "edl": ("events.edl", spotting.to_edl),
}


def check_session(folder: Path, formats: Sequence[str]) -> None:
    """Raises StereoSyncError for formats that are not known or cannot be written here, before there is a session."""
    for form in formats:
        if form not in FORMATS:
            raise StereoSyncError(f"Session: there is no format '{form}'; choose among {', '.join(FORMATS)}.")
    check_folder(folder, "Session")
    if "otio" in formats:
        timeline.required()
    if folder.is_dir():
        check_writable(folder / "session.rpp")


def save_session(
    folder: Path,
    clip: Clip,
    voices: Sequence[np.ndarray],
    rate: int,
    tracks: Tracks,
    settings: SpatializeSettings | None = None,
    *,
    events: Events | None = None,
    depth: DepthSequence | None = None,
    formats: Sequence[str] = ("rpp", "edl"),
    copy_picture: bool = False,
) -> list[Path]:
    """Write a folder that a DAW or an editing program opens: ``sounds/NAME.wav`` with each voice, dry, and of ``formats``

    - ``rpp``: ``session.rpp`` for REAPER, a track a voice with pan and volume envelopes from azimuth and distance;
    - ``otio``: ``session.otio`` for programs that read OpenTimelineIO;
    - ``edl``: ``events.edl`` with a locator an event and shot; ``events.csv`` is always there where there are events.

    All paths in these files are relative to the folder. Air and room are no automation, and are in the stems alone.

    :param voices: B times float32 ``[C, N]``, as for ``spatialize``.
    :param copy_picture: copy the clip into the folder; else its file is referred to where it is.
    :raises StereoSyncError: where something cannot be written, or a format's library is not there.
    """
    check_session(folder, formats)
    info = probe(clip)
    made_folder(folder, "Session")
    sounds = made_folder(folder / "sounds", "Session")
    settings, names = settings or SpatializeSettings(), stem_names(len(voices), tracks)
    paths = stem_paths(sounds, names, ".wav")
    save_sounds(paths, [Sound(voice, rate) for voice in voices], codec="float32")
    picture = _picture(folder, clip, copy_picture)
    with opened(clip) as container:
        before = max(0.0, info.start - (container.start_time or 0) / 1e6)
    session = Session(
        name=picture.stem,
        picture=_relative(picture, folder),
        picture_start=before,
        frame_rate=info.average_rate,
        duration=info.duration,
        rate=rate,
        tracks=session_tracks(voices, [f"sounds/{path.name}" for path in paths], tracks, settings, info.duration, depth),
        markers=markers_of(events, tracks),
    )
    written = list(paths)
    for form in formats:
        name, text = FORMATS[form]
        written.append(_write(folder / name, text(session)))
    if events is not None:
        written.append(save_events(folder / "events.csv", events))
    return written


def _picture(folder: Path, clip: Clip, copied: bool) -> Path:
    source = clip.source
    if not copied and isinstance(source, (str, os.PathLike)):
        return Path(source).resolve()
    if isinstance(source, (str, os.PathLike)):
        target = folder / f"picture{Path(source).suffix}"
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
        return target
    target = folder / "picture.mp4"
    source.seek(0)
    with replacing(target) as temporary, open(temporary, "wb") as file:
        shutil.copyfileobj(source, file)
    return target


def _relative(path: Path, folder: Path) -> str:
    message = "Session: the clip lies on another drive than the session's folder; write the session to the clip's drive."
    with explained(message, ValueError):
        return Path(os.path.relpath(path, folder.resolve())).as_posix()


def _write(path: Path, text: str) -> Path:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path
