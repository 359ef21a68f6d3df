"""Writing files so that nothing half-written stays, with a clear error for everything that can stop it; what the video
containers take, and how clips get into them unchanged."""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath, PureWindowsPath

import av
from av.container import InputContainer, OutputContainer

from ..errors import StereoSyncError
from . import matroska
from .source import Source, Timeline, codec_name, find_video, opened, plain_file

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

#: The sound codec that fits each container best.
AUTO_CODEC = {".mp4": "aac", ".m4v": "aac", ".mov": "aac", ".mkv": "flac", ".webm": "opus", ".avi": "pcm16"}
MOV_FAMILY = (".mp4", ".m4v", ".mov")
#: libav's names of the formats.
_FORMATS = {".mp4": "mp4", ".m4v": "ipod", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".avi": "avi"}

#: Tags that describe the old file and not the clip.
_CONTAINER_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder"}

#: Tags that MP4 takes for what MOV may have under others.
_MP4_TAGS = {"avc1", "dva1", "hev1", "hvc1", "dvh1"}

#: Frames a second beyond which a rate is a clock's and not a clip's.
_FASTEST = 1000

#: Names of temporary files.
_LEFTOVER = re.compile(r"\..{0,40}\.[0-9a-f]{8}\.part(\.\w+)?", re.DOTALL)

#: Bytes of a name that leave room for a number and an ending; file systems take 255.
_LONGEST_NAME = 200

_NO_SPACE = {errno.ENOSPC, errno.EFBIG} | ({errno.EDQUOT} if hasattr(errno, "EDQUOT") else set())


def safe_output_path(folder: str | os.PathLike[str], name: str) -> Path:
    """``folder / name`` for a name that a user typed; subfolders of ``folder`` are allowed. Raises StereoSyncError where the
    name is empty or leads out of the folder: absolute, with ``..``, a drive letter or a NUL."""
    windows = PureWindowsPath(name)
    parts = windows.parts  # splits at both kinds of slash, whatever system this runs on
    leaves = windows.drive or windows.root or PurePosixPath(name).is_absolute() or ".." in parts or ":" in name
    if not name.strip() or "\0" in name or leaves:
        raise StereoSyncError(f"Output: the name {name!r} leads out of the folder or is no name; give a plain file name.")
    if max(len(part.encode()) for part in parts) > _LONGEST_NAME:
        raise StereoSyncError(f"Output: the name '{name[:20]}...' is too long; give one of at most {_LONGEST_NAME} letters.")
    base = Path(folder).resolve()
    path = base.joinpath(*parts)
    # a link inside the folder may still lead out of it
    if not path.resolve().is_relative_to(base):
        raise StereoSyncError(f"Output: the name {name!r} leads out of the output folder; give a plain file name.")
    return path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well, and goes away when it does not; what a
    process that was killed had left of its own in the folder goes as well.

    A link is followed, and a file that is replaced hands its permissions on. Raises StereoSyncError where the folder is missing
    or may not be written, the path is no plain file, or the disk is full.
    """
    target, temporary = path, None
    try:
        target = _target(path)
        temporary = target.with_name(f".{target.stem[:40]}.{secrets.token_hex(4)}.part{path.suffix}")
        _remove_leftovers(target.parent)
        with _in_use(temporary):
            yield temporary
        if target.exists():
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
    except OSError as error:
        raise StereoSyncError(_why_not_written(path, error)) from error
    except av.error.FFmpegError as error:
        raise StereoSyncError(
            f"Output: '{path}' cannot be written ({error.strerror}); choose another container, .mkv takes nearly everything."
        ) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


@contextmanager
def _in_use(temporary: Path) -> Iterator[None]:
    """Makes the file and marks it as this process's for as long as the block or the process lasts."""
    with open(temporary, "wb") as handle:  # Windows keeps an open file from being removed
        if fcntl is not None:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _remove_leftovers(folder: Path) -> None:
    """Removes temporary files of :func:`replacing` whose process is gone."""
    for path in folder.glob(".*.part*"):
        if _LEFTOVER.fullmatch(path.name):
            with suppress(OSError), open(path, "rb") as handle:
                if fcntl is not None:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
            if fcntl is None:
                with suppress(OSError):
                    path.unlink()


def _target(path: Path) -> Path:
    """Where a path leads to. Raises StereoSyncError where no file can be written there, OSError where it is no path at all."""
    with suppress(FileNotFoundError, NotADirectoryError):
        if stat.S_ISDIR(path.stat().st_mode):
            raise StereoSyncError(f"Output: '{path}' is a folder; give a file name inside it.")
        if not stat.S_ISREG(path.stat().st_mode):
            raise StereoSyncError(f"Output: '{path}' is no plain file but a device or a pipe; give a file name.")
    target = path.resolve()
    if not target.parent.is_dir():
        raise StereoSyncError(f"Output: the folder '{target.parent}' does not exist; create it or choose another one.")
    return target


class Rehearsed(Exception):
    """Ends the block of :func:`replacing` so that nothing is written."""


def check_writable(path: Path) -> None:
    """Raise what :func:`replacing` would for a place that cannot be written."""
    with suppress(Rehearsed), replacing(path) as temporary:
        temporary.touch()
        raise Rehearsed


def _why_not_written(path: Path, error: OSError) -> str:
    if error.errno == errno.ENAMETOOLONG:
        return f"Output: the name '{path.name[:20]}...' is too long; give one of at most {_LONGEST_NAME} letters."
    if error.errno == errno.ELOOP:
        return f"Output: '{path}' is a link that leads to itself; give another name."
    if error.errno in _NO_SPACE:
        return f"Output: there is no room for '{path}' on the disk; make some or choose another folder. Nothing was written."
    if isinstance(error, (PermissionError, NotADirectoryError, FileNotFoundError)) or error.errno == errno.EROFS:
        return f"Output: '{path}' may not be written; choose another folder or change its permissions."
    return f"Output: writing '{path}' failed ({error.strerror or error}); choose another folder and try again."


@contextmanager
def written(path: Path, options: dict[str, str] | None = None) -> Iterator[OutputContainer]:
    """A container open for writing, finished at the end of the block; an error in the block is never hidden by closing."""
    container = av.open(plain_file(path), "w", container_options=options or {})
    try:
        yield container
    except BaseException:
        with suppress(Exception):
            container.close()
        raise
    container.close()


class CannotHold(StereoSyncError):
    """A container has no place for a clip's video packets; another one has."""


class CannotCopy(StereoSyncError):
    """No container would show what the clip shows if it had its packets."""


@contextmanager
def written_clip(
    path: Path, old: InputContainer, timeline: Timeline, metadata: dict[str, str] | None = None
) -> Iterator[OutputContainer]:
    """A container open for writing that keeps the old clip's times and tags, with ``metadata`` added."""
    tags = {key: value for key, value in old.metadata.items() if key.lower() not in _CONTAINER_TAGS} | (metadata or {})
    # Dolby Vision and the shapes of spherical and stereoscopic pictures are written by libav only with this
    options = {"strict": "unofficial"}
    if path.suffix.lower() in MOV_FAMILY:
        scale = timeline.tick.denominator
        while scale < 10000:
            scale *= 2
        options |= {
            # the index in front, so that players on the web start at once
            "movflags": "+faststart" + ("+use_metadata_tags" if tags else ""),
            "video_track_timescale": str(scale),
            # edit lists count in this; milliseconds, the default, would cut sound off
            "movie_timescale": "90000",
        }
    shown = _display_size(old) if path.suffix.lower() in matroska.SUFFIXES else None
    if shown:
        options["write_crc32"] = "0"
    with written(path, options) as new:
        new.metadata.update(tags)
        yield new
    if shown:
        matroska.put_display_size(path, *shown)


def _display_size(old: InputContainer) -> tuple[int, int] | None:
    """Width and height in pixels at which a clip's stored pictures are shown; None where that is their own size."""
    stream = find_video(old)
    shape = stream.sample_aspect_ratio or 1
    return None if shape == 1 else (round(stream.width * shape), stream.height)


def copy_stream(new: OutputContainer, stream: av.VideoStream, path: Path, old: InputContainer) -> av.VideoStream:
    """A stream in the new container that takes the packets of ``stream`` as they are.

    :raises CannotHold: the container cannot hold that codec, but another one can.
    :raises CannotCopy: no container can.
    """
    if path.suffix.lower() == ".avi" and old.format.name != "avi":
        raise CannotHold("Output: AVI knows frame numbers and no times, so it takes only AVI clips; write .mkv or .mp4.")
    if old.format.name == "avi" and path.suffix.lower() != ".avi" and stream.codec_context.has_b_frames:
        raise CannotCopy("an AVI stores no presentation times, and this one has its pictures in another order")
    try:
        # the decoder's parameters serve, so that codecs without an encoder here can be copied
        copy = new.add_stream_from_template(stream, opaque=True)
    except ValueError as error:
        raise _cannot_hold(path, stream) from error
    try:
        copy.time_base = stream.time_base
    except RuntimeError as error:  # older PyAV forbids it, and only AVI looks at it
        if path.suffix.lower() == ".avi":
            raise StereoSyncError("Output: this version of PyAV cannot write AVI; update it, or write .mkv.") from error
    rates = (stream.average_rate, stream.guessed_rate)
    rate = next((rate for rate in rates if rate and rate <= _FASTEST), None)
    if rate:  # by the packets; the codec's own value is often nonsense, and Matroska would hand that on
        copy.codec_context.framerate = rate
    if stream.sample_aspect_ratio:  # by the container, where that tells, and else by the codec
        copy.codec_context.sample_aspect_ratio = stream.sample_aspect_ratio
    copy.metadata.update(stream.metadata)
    if path.suffix.lower() in matroska.SUFFIXES and _display_size(old):
        copy.metadata["title"] = copy.metadata.get("title", "") + matroska.ROOM
    tag = stream.codec_context.codec_tag
    if "mov" in old.format.name and path.suffix.lower() in MOV_FAMILY and (path.suffix.lower() == ".mov" or tag in _MP4_TAGS):
        # Apple's players open HEVC only under the tag that its maker gave it
        copy.codec_context.codec_tag = tag
    return copy


def moved(packet: av.Packet, ticks: int, stream: av.stream.Stream) -> av.Packet:
    """The packet, ``ticks`` earlier, as one of another stream."""
    packet.pts = None if packet.pts is None else packet.pts - ticks
    packet.dts = None if packet.dts is None else packet.dts - ticks
    packet.stream = stream
    return packet


def write_header(new: OutputContainer, stream: av.VideoStream, path: Path) -> None:
    """Writes the header; some muxers look at the codec only then.

    :raises CannotHold: as :func:`copy_stream`.
    """
    try:
        new.start_encoding()
    except OSError:
        raise
    except av.error.FFmpegError as error:
        raise _cannot_hold(path, stream) from error


def _cannot_hold(path: Path, stream: av.VideoStream) -> StereoSyncError:
    codec, others = codec_name(stream), [suffix for suffix in (".mkv", ".mp4", ".mov", ".webm") if holds(suffix, stream)]
    if not others:
        return CannotCopy(f"{path.suffix} cannot hold {codec} video")
    return CannotHold(
        f"Output: {path.suffix} cannot hold {codec} video without re-encoding it; write {' or '.join(others)}, which can."
    )


def holds(suffix: str, stream: av.stream.Stream) -> bool:
    """Whether files with that ending can hold a stream's packets. Some muxers look at the codec only when they write the
    header, so one is written."""
    container = av.open(io.BytesIO(), "w", format=_FORMATS[suffix])
    try:
        container.add_stream_from_template(stream, opaque=True)
        container.start_encoding()
    except (ValueError, AttributeError, av.error.FFmpegError):
        return False
    finally:
        with suppress(Exception):
            container.close()
    return True


def best_suffix(clip: Source) -> str:
    """The ending of the container that a clip is best copied into: Matroska stays so, everything else becomes MP4, or MOV where
    that does not hold it."""
    with opened(clip) as old:
        stream = find_video(old)
        order = (".mkv", ".mp4") if "matroska" in old.format.name else (".mp4", ".mov", ".mkv")
        return next((suffix for suffix in order if holds(suffix, stream)), ".mp4")


def reporter(progress: Callable[[float, float], None] | None, total: float) -> Callable[[float], None]:
    """Hands seconds done, at most ``total``, on to ``progress``: a hundred times in all and at the end."""
    due = 0.0

    def report(seconds: float) -> None:
        nonlocal due
        if progress is not None and seconds >= due:
            progress(min(seconds, total), total)
            due = seconds + total / 100

    return report
