"""Opening a clip, with a clear error for everything that can be wrong with it, and the times of its frames."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import BinaryIO, NamedTuple, TypeAlias

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition

from ..errors import StereoSyncError
from .clock import continuous

#: A path, or a seekable binary stream such as BytesIO, which is always read from its beginning.
Medium: TypeAlias = str | os.PathLike[str] | BinaryIO


class MainSound(NamedTuple):
    """The sound track of a file that is used."""

    index: int | None  # of its stream; None where there is no sound that can be decoded
    note: str = ""  # what the user should know: tracks that cannot be decoded


class Clip:
    """A path or stream that several functions are to read: the times of its frames and its sound track are looked for once and
    kept with it, as are the facts that :func:`~.video.probe` gives."""

    def __init__(self, source: Medium):
        self.source = source

    @cached_property
    def timeline(self) -> Timeline:
        with opened(self) as container:
            return _read_timeline(container, find_video(container))

    @cached_property
    def main_sound(self) -> MainSound:
        return _find_sound(self)


Source: TypeAlias = Medium | Clip

#: Broken text in a tag must not keep anyone from the pictures; PyAV from 19 on keeps it as it is.
_TAGS = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}

#: Seconds, in all and for each picture, from which on a clip has to have so many bytes a second: sound is made as long as the
#: picture, and one wrong time stamp can make a day of a second.
_LONG, _A_PICTURE, _LEAST = 300, 60, 50
#: Frame threads each hold a decoded picture; four keep a 4K clip below half a gigabyte.
_THREADS = min(4, os.cpu_count() or 1)


def as_clip(source: Source) -> Clip:
    return source if isinstance(source, Clip) else Clip(source)


def timeline_of(source: Source) -> Timeline:
    """The times of a clip's frames; of a :class:`Clip` they are read only once. Raises StereoSyncError as
    :func:`~.video.probe`."""
    return as_clip(source).timeline


def plain_file(path: str | os.PathLike[str]) -> str:
    """A path as libav takes it: never as an address of another kind, whatever colons are in it."""
    return f"file:{os.fspath(path)}"


def name_of(container: InputContainer) -> str:
    """Name of an open clip in messages: its path, or 'the clip' for a stream."""
    return "the clip" if container.file else f"'{container.name.removeprefix('file:')}'"


@contextmanager
def opened(source: Source) -> Iterator[InputContainer]:
    """The open container of a source, closed afterwards; a stream stays open. Raises StereoSyncError where the source is
    missing, a folder, empty, cut short, or no media file."""
    container = _open(as_clip(source).source)
    try:
        yield container
    finally:
        container.close()


def _open(source: Medium) -> InputContainer:
    name = f"'{os.fspath(source)}'" if isinstance(source, (str, os.PathLike)) else "the clip"
    if isinstance(source, (str, os.PathLike)):
        try:
            is_folder = stat.S_ISDIR(os.stat(source).st_mode)
        except (OSError, ValueError) as error:  # also a name that no system can have
            raise StereoSyncError(f"Clip: there is no file {name}; check the path.") from error
        if is_folder:
            raise StereoSyncError(f"Clip: {name} is a folder; give a file inside it.")
    try:
        with _binary(source) as file:
            if file.seek(0, os.SEEK_END) == 0:
                raise StereoSyncError(f"Clip: {name} is empty (0 bytes); export, copy or load it again.")
        target = plain_file(source) if isinstance(source, (str, os.PathLike)) else _View(source)
        container = av.open(target, "r", **_TAGS)
    except PermissionError as error:
        raise StereoSyncError(f"Clip: {name} may not be read; change the file's permissions.") from error
    except (av.error.FFmpegError, OSError) as error:
        raise StereoSyncError(_why_not_media(source, name)) from error
    missing = _missing_bytes(source, container) if "mp4" in container.format.name.split(",") else 0
    if missing:
        container.close()
        raise StereoSyncError(
            f"Clip: {name} was cut short: {missing} bytes are missing at its end, so its last part cannot be shown; "
            "copy or export it again."
        )
    return container


def _binary(source: Medium):
    return open(source, "rb") if isinstance(source, (str, os.PathLike)) else nullcontext(_View(source))


def _missing_bytes(source: Medium, container: InputContainer) -> int:
    """How many bytes of pictures or sound an MP4/MOV file lacks at its end: libav plays such a file up to where it breaks off,
    without an error. A file in fragments is made to be readable at any length and lacks nothing."""
    with _binary(source) as file:
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
    if place <= end:
        return 0
    # a box may have more room, by its size, than its packets need
    indices = [getattr(stream, "index_entries", None) for stream in container.streams]
    packets = [entry for index in indices for entry in index or ()]
    return max(0, (max(entry.pos + entry.size for entry in packets) if packets else place) - end)


def _why_not_media(source: Medium, name: str) -> str:
    with _binary(source) as file:
        head = file.read(4096)
    if head[4:8] in (b"ftyp", b"mdat", b"moov", b"free", b"wide", b"skip"):
        return (
            f"Clip: {name} is an MP4/MOV file that was cut short or never finished: its index (moov) is missing or damaged; "
            "copy or export it again."
        )
    with suppress(UnicodeDecodeError):
        head[: len(head) - 3 or None].decode("utf-8")  # the end may cut a character in two
        if b"\0" not in head:
            return f"Clip: {name} is text and not a video, whatever its ending; give a video file."
    return f"Clip: {name} is no video or sound file that can be read, or it is damaged; convert or export it again."


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


def find_video(container: InputContainer) -> av.VideoStream:
    """The stream with the moving picture, its decoder set to a bounded number of threads. Raises StereoSyncError where there is
    none, or no decoder for it."""
    streams = moving_pictures(container)
    if not streams:
        what = "only sound" if container.streams.audio else "neither pictures nor sound"
        raise StereoSyncError(f"Clip: {name_of(container)} holds {what}, no video; give a file with a video stream.")
    best = container.streams.best("video")
    stream = best if isinstance(best, av.VideoStream) and best in streams else streams[0]
    if stream.codec_context is None:
        raise StereoSyncError(
            f"Clip: {name_of(container)} uses a video codec that cannot be decoded here; convert it to H.264 first."
        )
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = _THREADS
    return stream


def codec_name(stream: av.VideoStream | av.AudioStream) -> str:
    """libav's name of a stream's codec, whichever decoder serves it: ``av1`` and not ``libdav1d``."""
    return stream.codec_context.codec.canonical_name


def _find_sound(source: Source) -> MainSound:
    """The best sound track that can be decoded, by libav's own order: the first one where that cannot."""
    with opened(source) as container:
        tracks, best, name = container.streams.audio, container.streams.best("audio"), name_of(container)
        order = [stream.index for stream in sorted(tracks, key=lambda stream: stream is not best)]
    for rank, index in enumerate(order):
        with opened(source) as container:
            stream = container.streams[index]
            assert isinstance(stream, av.AudioStream)
            if next(decoded_sound(container, stream), None) is not None:
                note = f"The best sound track of {name} cannot be decoded; the next one that can is used." if rank else ""
                return MainSound(index, note)
    note = f"The sound of {name} cannot be decoded here and is left out; convert it to AAC or WAV to use it." if order else ""
    return MainSound(None, note)


def decoded_sound(container: InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    """Decoded frames; what cannot be decoded is left out, and a file that breaks off ends there."""
    decoder = stream.codec_context
    if decoder is None:
        return
    try:
        for packet in continuous(container, next(iter(moving_pictures(container)), stream), [stream]):
            try:
                yield from decoder.decode(packet if packet.size else None)
            except (av.error.InvalidDataError, av.error.EOFError):
                continue
    except av.error.FFmpegError:
        return


@dataclass(frozen=True)
class Timeline:
    """The packets of a video stream and when their frames are shown: one entry a packet, in decoding order; ticks are the
    stream's time base."""

    pts: np.ndarray  # int64 [N] presentation times in ticks on the container's timeline
    shown: np.ndarray  # bool [N]; False for what an edit list hides, for invisible frames and packets without a time
    hidden: np.ndarray  # bool [N]; True for what an edit list hides, which others may still refer to
    keyframes: np.ndarray  # bool [N]
    tick: Fraction  # length of a tick in seconds
    last_duration: int  # ticks that the frame shown last stays on screen

    @cached_property
    def order(self) -> np.ndarray:
        """Ticks ``[T]`` of the shown frames in presentation order."""
        return np.unique(self.pts[self.shown])

    @property
    def start(self) -> int:
        """Ticks of the first frame: the clip's time 0."""
        return int(self.order[0])

    @property
    def end(self) -> int:
        """Ticks at which the last frame leaves the screen."""
        return int(self.order[-1]) + self.last_duration

    @property
    def duration(self) -> Fraction:
        """Seconds from the first frame's start to the last frame's end."""
        return (self.end - self.start) * self.tick

    @cached_property
    def times(self) -> np.ndarray:
        """Seconds ``[T]`` from 0, rising."""
        return (self.order - self.start) * float(self.tick)

    @cached_property
    def durations(self) -> np.ndarray:
        """Ticks ``[T]`` that each frame stays on screen, in presentation order."""
        return np.diff(self.order, append=self.end)

    @property
    def tolerance(self) -> float:
        """Seconds by which a frame may be late: containers round times to a tick, and a Matroska tick is a millisecond."""
        return min(float(self.tick) / 2, 0.0005)

    def on_screen(self, times: np.ndarray) -> np.ndarray:
        """Indices ``[N]`` into :attr:`times` of the frames that are on screen at ``times``; the ends are held."""
        found = np.searchsorted(self.times, np.asarray(times) + self.tolerance, side="right") - 1
        return np.clip(found, 0, len(self.times) - 1)


def _read_timeline(container: InputContainer, stream: av.VideoStream) -> Timeline:
    """The timeline of a freshly opened container; a damaged or missing end leaves out what is not there."""
    name, is_vp8 = name_of(container), codec_name(stream) == "vp8"
    rows: list[tuple[int, bool, bool, bool, int]] = []
    damage = None
    try:
        for packet in continuous(container, stream, [stream]):
            if packet.size:
                time = packet.pts if packet.pts is not None else packet.dts
                # VP8 keeps reference frames that are never shown in packets of their own; marked by a bit in the header.
                visible = not is_vp8 or bool(memoryview(packet)[0] & 0x10)
                shown = time is not None and visible and not packet.is_discard
                rows.append((time or 0, shown, packet.is_discard, packet.is_keyframe, packet.duration or 0))
    except av.error.FFmpegError as error:
        damage = error
    times, shown, hidden, keyframes, durations = np.array(rows, np.int64).reshape(-1, 5).T
    if not shown.any():
        reason = f"the frames of {name} carry no times; put them into a container first: ffmpeg -i in -c copy out.mp4"
        if damage is not None:
            reason = f"no frame of {name} can be read, the file is damaged; copy or export it again."
        elif not rows:
            reason = f"{name} has a video stream but no frames in it; export it again."
        raise StereoSyncError(f"Clip: {reason}") from damage
    tick = stream.time_base or Fraction(1, 1000)
    order = np.unique(times[shown > 0])
    duration = int(durations[np.argmax(np.where(shown, times, np.iinfo(np.int64).min))])
    if not duration:  # not in the file: as the frame before it, else by the nominal rate
        usual = max(1, round(1 / (stream.guessed_rate or Fraction(25)) / tick))
        duration = int(order[-1] - order[-2]) if len(order) > 1 else usual
    if "matroska" in container.format.name and container.duration is not None:
        # Matroska stores the length of the whole, and of single frames only a rounded one or none
        whole = Fraction((container.start_time or 0) + container.duration, 1_000_000)
        left = int(whole / tick) - int(order[-1])
        duration = left if 0 < left < duration else duration
    timeline = Timeline(times, shown.astype(bool), hidden.astype(bool), keyframes.astype(bool), tick, duration)
    seconds = float(timeline.duration)
    if seconds > max(_LONG, _A_PICTURE * len(order)) and 0 < container.size < _LEAST * seconds:
        raise StereoSyncError(
            f"Clip: {name} has {seconds:.0f} s in {container.size / 1000:.0f} kB, so its times are damaged; convert it again."
        )
    return timeline
