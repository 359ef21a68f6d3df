"""What a clip is (:func:`probe`), when its frames are shown (:func:`frame_times`) and what they show (:func:`frames`)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import repeat
from weakref import WeakKeyDictionary

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.reformatter import VideoReformatter

from ..errors import StereoSyncError
from .clock import continuous
from .source import Clip, Source, Timeline, as_clip, codec_name, find_video, name_of, opened, timeline_of

#: Matrix coefficients by their number in H.273, as swscale numbers them. Clips without a tag count as BT.601, which is
#: libav's rule and therefore what the host's own nodes show.
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_BT601, _BT709 = 5, 1
_LIMITED, _FULL = 1, 2


@dataclass(frozen=True)
class VideoInfo:
    """A clip's facts, from its packets' own times."""

    width: int  # pixels of the upright picture; pixels are taken as square
    height: int
    coded_width: int  # pixels as stored, before rotation
    coded_height: int
    duration: float  # seconds from the first frame's start to the last frame's end
    start: float  # seconds of the first frame on the container's own timeline; every other time here counts from it
    frame_count: int  # frames shown; frames that an edit list hides are not counted
    average_rate: Fraction  # frame_count / duration, frames a second
    rotation: int  # degrees clockwise (0, 90, 180 or 270) by which the stored picture has to be turned to stand upright
    mirrored: bool  # whether the stored picture is mirrored left to right before it is turned
    codec: str  # libav's name of the video codec
    container: tuple[str, ...]  # libav's names of the container, for example ("mov", "mp4", ...)
    has_audio: bool
    pixel_format: str  # libav's name of the stored pixel format


#: Of clips that several functions read, for as long as they are held.
_facts: WeakKeyDictionary[Clip, VideoInfo] = WeakKeyDictionary()


def probe(source: Source) -> VideoInfo:
    """A clip's facts. Reads all packets, decodes the first frame (rotation is known only then).

    :raises StereoSyncError: the source is missing, a folder, empty, no media file, cut short, without video, or without a
        frame that can be decoded.
    """
    clip = as_clip(source)
    if clip not in _facts:
        _facts[clip] = _probe(clip)
    return _facts[clip]


def _probe(clip: Clip) -> VideoInfo:
    timeline = clip.timeline
    with opened(clip) as container:
        stream = find_video(container)
        stream.thread_type = "SLICE"  # frame threads would decode several frames before they give the first
        first = next((frame for _, frame in decoded(container, stream)), None)
        if first is None:
            raise _undecodable(container)
        rotation, mirrored = orientation(first)
        width, height = stream.width or first.width, stream.height or first.height
        return VideoInfo(
            width=height if rotation % 180 else width,
            height=width if rotation % 180 else height,
            coded_width=width,
            coded_height=height,
            duration=float(timeline.duration),
            start=float(timeline.start * timeline.tick),
            frame_count=len(timeline.order),
            average_rate=len(timeline.order) / timeline.duration,
            rotation=rotation,
            mirrored=mirrored,
            codec=codec_name(stream),
            container=tuple(container.format.name.split(",")),
            has_audio=bool(container.streams.audio),
            pixel_format=stream.codec_context.pix_fmt or first.format.name,
        )


def _undecodable(container: InputContainer) -> StereoSyncError:
    name = name_of(container)
    return StereoSyncError(f"Clip: no frame of {name} can be decoded, the file is damaged; copy or export it again.")


def frame_times(source: Source) -> np.ndarray:
    """Seconds float64 ``[T]`` from 0 at which the frames come on screen, in presentation order; nothing is decoded.

    :raises StereoSyncError: as :func:`probe`.
    """
    return timeline_of(source).times.copy()


def frames(
    source: Source,
    *,
    rate: float | None = None,
    times: np.ndarray | list[float] | None = None,
    size: tuple[int, int] | None = None,
    max_side: int | None = None,
) -> Iterator[tuple[float, np.ndarray]]:
    """Upright pictures as ``(seconds, uint8 RGB [H, W, 3])``, one at a time; only one is held.

    Pictures that are not wanted are not converted, not decoded where no other picture needs them, and whole groups of
    pictures without a wanted one are passed over. A frame that is damaged is replaced by the one before it.

    :param rate: give the picture on screen at 0, 1/rate, 2/rate, ... before the end of the clip, with these times. The same
        array is given again where a frame stays on screen: do not write into it.
    :param times: likewise at these seconds, which do not fall; after the end the last picture is held.
        With neither, every frame comes with its own time.
    :param size: width and height of the pictures in pixels; the aspect is not kept.
    :param max_side: upper bound in pixels for the longer side, aspect kept; smaller pictures are not enlarged.
    :raises StereoSyncError: as :func:`probe`, or an argument makes no sense.
    """
    if rate is not None and times is not None:
        raise StereoSyncError("Frames: both a rate and times were given; give one of them.")
    if rate is not None and not (np.isfinite(rate) and rate > 0):
        raise StereoSyncError(f"Frames: the rate is {rate} frames a second; it must be above zero.")
    if size is not None and max_side is not None:
        raise StereoSyncError("Frames: both a size and a longest side were given; give one of them.")
    if (size is not None and min(size) < 1) or (max_side is not None and max_side < 1):
        raise StereoSyncError(f"Frames: pictures of {size or max_side} pixels cannot be made; the size must be above zero.")
    if times is not None:
        times = np.asarray(times, dtype=np.float64).reshape(-1)
        if not np.isfinite(times).all() or (times < 0).any() or (np.diff(times) < 0).any():
            raise StereoSyncError("Frames: times must be seconds from 0 on that do not fall; sort them.")
    return _frames(source, rate, times, size, max_side)


def _frames(source, rate, times, size, max_side) -> Iterator[tuple[float, np.ndarray]]:
    timeline = timeline_of(source)
    if rate is not None:
        times = np.arange(int(np.ceil(float(timeline.duration) * rate - 1e-6))) / rate
    elif times is None:
        times = timeline.times
    if not len(times):
        return
    wanted = timeline.on_screen(times)
    with opened(source) as container:
        stream = find_video(container)
        picture: np.ndarray | None = None
        paint: Callable[[av.VideoFrame], np.ndarray] | None = None
        done = 0
        with closing(decoded(container, stream, timeline, np.unique(wanted))) as pictures:
            for pts, frame in pictures:
                index = int(np.searchsorted(timeline.order, pts, side="right")) - 1
                paint = paint or _painter(frame, size, max_side)
                missed, upto = np.searchsorted(wanted, index, side="left"), np.searchsorted(wanted, index, side="right")
                if upto == done:
                    continue
                fresh = paint(frame) if upto > missed or picture is None else None
                for n in range(done, upto):
                    if n >= missed or picture is None:
                        picture = fresh
                    assert picture is not None
                    yield float(times[n]), picture
                done = int(upto)
                if done == len(times):
                    return
        if picture is None:
            raise _undecodable(container)
        for n in range(done, len(times)):
            yield float(times[n]), picture


def decoded(
    container: InputContainer, stream: av.VideoStream, timeline: Timeline | None = None, wanted: np.ndarray | None = None
) -> Generator[tuple[int, av.VideoFrame], None, None]:
    """Decoded frames with their ticks, in presentation order; what cannot be decoded is left out.

    Without ``wanted``: all frames. With it: at least those with these indices into the timeline's frames (rising).
    """
    if container.format.name == "avi" and timeline is not None:
        # AVI stores no presentation times, and those that libav makes up are wrong where H.264 reorders its pictures; but the
        # decoder gives them in the right order.
        yield from zip(timeline.order.tolist(), _decode(container, stream, repeat(True), repeat(True)), strict=False)
        return
    plan = (repeat(True), repeat(True)) if timeline is None or wanted is None else _plan(timeline, wanted)
    yield from ((frame.pts, frame) for frame in _decode(container, stream, *plan) if frame.pts is not None)


def _decode(
    container: InputContainer, stream: av.VideoStream, is_wanted: Iterable[bool], is_needed: Iterable[bool]
) -> Iterator[av.VideoFrame]:
    """Decodes by the plan of :func:`_plan`."""
    decoder, running = stream.codec_context, False
    for packet, wanted, needed in zip(_packets(container, stream), is_wanted, is_needed, strict=False):
        if needed:
            # Pictures that no other refers to can be left out one by one.
            decoder.skip_frame = "DEFAULT" if wanted else "NONREF"
            yield from _try_decode(decoder, packet)
        elif running:  # hand out what waits in the decoder, then let it forget
            yield from _try_decode(decoder, None)
            decoder.flush_buffers()
        running = needed
    if running:
        yield from _try_decode(decoder, None)


def _packets(container: InputContainer, stream: av.VideoStream) -> Iterator[av.Packet]:
    """The stream's packets, up to where the file breaks off."""
    try:
        yield from (packet for packet in continuous(container, stream, [stream]) if packet.size)
    except av.error.FFmpegError:
        return


def _try_decode(decoder: av.VideoCodecContext, packet: av.Packet | None) -> list[av.VideoFrame]:
    try:
        return decoder.decode(packet)
    except av.error.FFmpegError:
        return []


def _plan(timeline: Timeline, wanted: np.ndarray) -> tuple[list[bool], list[bool]]:
    """Two bools for each packet: whether its own frame is wanted, and whether it has to be decoded for the wanted ones."""
    is_wanted = timeline.shown & np.isin(timeline.pts, timeline.order[wanted])
    group = np.cumsum(timeline.keyframes)
    needed_groups = np.zeros(int(group[-1]) + 2, dtype=bool)
    needed_groups[group[is_wanted]] = True
    # Pictures that come after a keyframe in the file but before it on screen lean on the group before.
    key_pts = np.concatenate([[np.iinfo(np.int64).min], timeline.pts[timeline.keyframes]])
    leading = is_wanted & (timeline.pts < key_pts[group])
    needed_groups[np.maximum(group[leading] - 1, 0)] = True
    return is_wanted.tolist(), needed_groups[group].tolist()


def _display_matrix(frame: av.VideoFrame) -> tuple[np.ndarray | None, bool]:
    """A frame's display matrix, and whether all of its side data was read: before 19, PyAV stops at the first kind that it
    has no name for, such as the view of spatial video and a camera's EXIF."""
    try:
        known, is_whole = frame.side_data, True
    except ValueError:
        known, is_whole = SideDataContainer.__new__(SideDataContainer), False
        with suppress(ValueError):
            SideDataContainer.__init__(known, frame)
    data = known.get(Type.DISPLAYMATRIX)
    return None if data is None else np.frombuffer(bytes(data), dtype=np.int32), is_whole


def orientation(frame: av.VideoFrame) -> tuple[int, bool]:
    """Degrees clockwise by which a decoded frame must be turned to stand upright, and whether it is mirrored before that."""
    matrix, is_whole = _display_matrix(frame)
    if matrix is None:
        return (0 if is_whole else round(-frame.rotation / 90) * 90 % 360), False
    # (a, b) is where the picture's x axis points once it is upright, (c, d) where its y axis does
    a, b, c, d = (float(matrix[n]) for n in (0, 1, 3, 4))
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    return round(float(np.degrees(np.arctan2(b, a))) / 90) * 90 % 360, mirrored


def _painter(first: av.VideoFrame, size: tuple[int, int] | None, max_side: int | None) -> Callable[[av.VideoFrame], np.ndarray]:
    """What turns decoded frames into upright RGB arrays uint8 ``[H, W, 3]`` of one size, scaled from the decoder's planes."""
    rotation, mirrored = orientation(first)
    width, height = first.width, first.height
    if size is not None:
        width, height = size[::-1] if rotation % 180 else size
    elif max_side is not None and max(width, height) > max_side:
        scale = max_side / max(width, height)
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
    scaler = VideoReformatter()

    def paint(frame: av.VideoFrame) -> np.ndarray:
        rgb = scaler.reformat(frame, int(width), int(height), "rgb24", **_colours(frame)).to_ndarray()
        return np.ascontiguousarray(np.rot90(rgb[:, ::-1] if mirrored else rgb, -rotation // 90))

    return paint


def _colours(frame: av.VideoFrame) -> dict[str, int]:
    """What swscale has to know of a frame's colours to give full-range RGB."""
    if frame.format.is_rgb:
        return {}
    matrix = _MATRICES.get(int(frame.colorspace), _BT601)
    full = int(frame.color_range) == _FULL or frame.format.name.startswith("yuvj")
    return {
        "src_colorspace": matrix,
        # RGB has no matrix, but PyAV before 17 applies the source's only where the two differ.
        "dst_colorspace": _BT709 if matrix == _BT601 else _BT601,
        "src_color_range": _FULL if full else _LIMITED,
        "dst_color_range": _FULL,
    }
