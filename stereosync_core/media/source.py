"""Opening a clip for reading, with a clear error for everything that can be wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import av
from av.container import InputContainer
from av.stream import Disposition

from ..errors import StereoSyncError

#: A path, or a seekable binary stream such as BytesIO, which is always read from its beginning.
Medium: TypeAlias = str | os.PathLike[str] | BinaryIO


class Clip:
    """A path or stream that several functions are to read: the times of its frames are read once and kept with it."""

    def __init__(self, source: Medium):
        self.source = source
        self.timeline: Any = None  # set by :func:`~.timeline.timeline_of`


Source: TypeAlias = Medium | Clip

#: Frame threads each hold a decoded picture; four keep a 4K clip below half a gigabyte.
_THREADS = min(4, os.cpu_count() or 1)


def as_clip(source: Source) -> Clip:
    return source if isinstance(source, Clip) else Clip(source)


def source_name(source: Source) -> str:
    """Name of a source in messages: its path, or 'the clip' for a stream."""
    source = as_clip(source).source
    return f"'{os.fspath(source)}'" if isinstance(source, (str, os.PathLike)) else "the clip"


@contextmanager
def opened(source: Source) -> Iterator[InputContainer]:
    """The open container of a source, closed afterwards; a stream stays open.

    :raises StereoSyncError: the source is missing, a folder, empty, cut short, or no media file.
    """
    name = source_name(source)
    container = _open(as_clip(source).source, name)
    try:
        yield container
    finally:
        container.close()


def _open(source: Medium, name: str) -> InputContainer:
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if path.is_dir():
            raise StereoSyncError(f"Clip: {name} is a folder; give a file inside it.")
        if not path.exists():
            raise StereoSyncError(f"Clip: there is no file {name}; check the path.")
        if path.stat().st_size == 0:
            raise StereoSyncError(f"Clip: {name} is empty (0 bytes); export or copy it again.")
        target = str(path)
    else:
        target = _View(source)
        if target.seek(0, os.SEEK_END) == 0:
            raise StereoSyncError(f"Clip: {name} is empty (0 bytes); load it again.")
        target.seek(0)
    try:
        # Broken text in a tag must not keep anyone from the pictures.
        container = av.open(target, "r", metadata_errors="ignore")
    except av.error.PermissionError as error:
        raise StereoSyncError(f"Clip: {name} may not be read; change the file's permissions.") from error
    except (av.error.FFmpegError, OSError) as error:
        raise StereoSyncError(_why_not_media(source, name)) from error
    if "mp4" in container.format.name.split(","):
        missing = _missing_bytes(source)
        if missing:
            container.close()
            raise StereoSyncError(
                f"Clip: {name} was cut short: {missing} bytes are missing at its end, so its last part cannot be shown; "
                "copy or export it again."
            )
    return container


def _missing_bytes(source: Medium) -> int:
    """How many bytes an MP4/MOV file lacks at its end, by the sizes in its outermost boxes.

    libav plays such a file up to where it breaks off, without an error. A file in fragments is made to be readable at any
    length and lacks nothing.
    """
    with open(source, "rb") if isinstance(source, (str, os.PathLike)) else nullcontext(_View(source)) as file:
        end, place = file.seek(0, os.SEEK_END), 0
        while place + 8 <= end:
            file.seek(place)
            head = file.read(16)
            size, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if size == 1:
                size = int.from_bytes(head[8:16], "big")
            if kind == b"moof" or size < 8:  # 0: to the end of the file
                return 0
            place += size
    return max(0, place - end)


def _why_not_media(source: Medium, name: str) -> str:
    """The error for a file that libav cannot open."""
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            head = file.read(4096)
    else:
        head = _View(source).read(4096)
    if head[4:8] in (b"ftyp", b"mdat", b"moov", b"free", b"wide", b"skip"):
        return (
            f"Clip: {name} is an MP4/MOV file that was cut short or never finished: its index (moov) is missing or damaged; "
            "copy or export it again."
        )
    if _is_text(head):
        return f"Clip: {name} is text and not a video, whatever its ending; give a video file."
    return f"Clip: {name} is no video or sound file that can be read, or it is damaged; convert or export it again."


def _is_text(head: bytes) -> bool:
    try:
        head[: len(head) - 3 or None].decode("utf-8")  # the end may cut a character in two
    except UnicodeDecodeError:
        return False
    return b"\0" not in head


class _View:
    """A binary stream from its beginning, with a place of its own, so that a clip in memory can be read twice at once."""

    def __init__(self, stream: BinaryIO):
        self.stream, self.place = stream, 0

    def read(self, size: int = -1) -> bytes:
        self.stream.seek(self.place)
        data = self.stream.read(size)
        self.place += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_CUR:
            offset, whence = self.place + offset, os.SEEK_SET
        self.stream.seek(offset, whence)
        self.place = self.stream.tell()
        return self.place

    def tell(self) -> int:
        return self.place


def moving_pictures(container: InputContainer) -> list[av.VideoStream]:
    """The video streams, without cover art."""
    return [stream for stream in container.streams.video if Disposition.attached_pic not in stream.disposition]


def find_video(container: InputContainer, name: str) -> av.VideoStream:
    """The stream with the moving picture, its decoder set to a bounded number of threads.

    :raises StereoSyncError: there is none, or no decoder for it.
    """
    streams = moving_pictures(container)
    if not streams:
        what = "only sound" if container.streams.audio else "neither pictures nor sound"
        raise StereoSyncError(f"Clip: {name} holds {what}, no video; give a file with a video stream.")
    best = container.streams.best("video")
    stream = best if isinstance(best, av.VideoStream) and best in streams else streams[0]
    if stream.codec_context is None:
        raise StereoSyncError(f"Clip: {name} uses a video codec that cannot be decoded here; convert it to H.264 first.")
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = _THREADS
    return stream


def codec_name(stream: av.VideoStream | av.AudioStream) -> str:
    """libav's name of a stream's codec, whichever decoder serves it: ``av1`` and not ``libdav1d``."""
    return stream.codec_context.codec.canonical_name


def find_audio(container: InputContainer, name: str) -> av.AudioStream | None:
    """The main sound stream, or None where the clip has none.

    :raises StereoSyncError: there is no decoder for it.
    """
    stream = container.streams.best("audio")
    if not isinstance(stream, av.AudioStream):
        return None
    if stream.codec_context is None:
        raise StereoSyncError(f"Clip: the sound in {name} uses a codec that cannot be decoded here; convert it to AAC or WAV.")
    return stream
