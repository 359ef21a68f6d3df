"""Encoding a clip's pictures anew, where copying their packets would not show what the clip shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.video.reformatter import VideoReformatter

from ..errors import StereoSyncError, explained
from .source import Timeline, name_of
from .video import decoded, orientation

_BT709, _LIMITED = 1, 1

#: Pixel formats that libx264 takes as they are.
_X264_FORMATS = {
    *("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"),
    *("yuv420p10le", "yuv422p10le", "yuv444p10le", "gray", "gray10le"),
}


def encoded_pictures(
    old: InputContainer, stream: av.VideoStream, new: OutputContainer, timeline: Timeline, wanted: np.ndarray
) -> Iterator[av.Packet]:
    """Adds an H.264 stream to ``new`` now, and encodes frames into it later.

    Crf 16, without B-frames, so that every frame keeps its exact time and length; colour tags and the shape of the pixels are
    kept, and the pictures are stored upright.

    :param wanted: indices ``[N]``, rising, into the timeline's frames; the first is at time 0.
    :raises StereoSyncError: none of them can be decoded, or the container takes no H.264.
    """
    lengths = dict(zip(timeline.order[wanted].tolist(), timeline.durations[wanted].tolist(), strict=True))
    pictures = (pair for pair in _rising(decoded(old, stream, timeline, wanted)) if pair[0] in lengths)
    start = next(pictures, None)
    if start is None:
        raise StereoSyncError(
            f"Clip: no frame of {name_of(old)} can be decoded there, the file is damaged; choose another part."
        )
    upright = _upright(start[1], timeline.tick)
    model = upright(start[1])
    rate = (len(wanted) / (timeline.durations[wanted].sum() * timeline.tick)).limit_denominator(1001)
    with explained("Output: this file type cannot hold H.264; write .mp4, .mov or .mkv.", ValueError):
        track = new.add_stream("libx264", rate=rate, options={"crf": "16", "preset": "veryfast", "bf": "0"})
    context = track.codec_context
    context.width, context.height, context.pix_fmt = model.width, model.height, _x264_format(model)
    context.time_base, shape = timeline.tick, stream.sample_aspect_ratio
    if shape:
        context.sample_aspect_ratio = 1 / shape if orientation(start[1])[0] % 180 else shape
    for tag in ("color_range", "colorspace", "color_primaries", "color_trc"):
        setattr(context, tag, getattr(stream.codec_context, tag))
    is_rgb, scaler = model.format.is_rgb, VideoReformatter()
    form = {"width": context.width, "height": context.height, "format": context.pix_fmt}
    if is_rgb:
        context.colorspace, context.color_range = _BT709, _LIMITED
        form |= {"dst_colorspace": _BT709, "dst_color_range": _LIMITED}

    begin = int(timeline.order[wanted[0]])

    def packets() -> Iterator[av.Packet]:
        for pts, frame in chain([start], pictures):
            picture = upright(frame)
            if is_rgb or (picture.width, picture.height, picture.format.name) != tuple(form.values()):
                picture = scaler.reformat(picture, **form)
            picture.pts, picture.time_base = pts - begin, timeline.tick
            picture.pict_type = 0  # where keyframes go is the encoder's choice, not the old file's
            yield from track.encode(picture)
        yield from track.encode(None)

    def timed() -> Iterator[av.Packet]:
        """Encoders give the nominal length; a variable rate needs the true one."""
        for packet in packets():
            packet.duration = lengths.get((packet.pts or 0) + begin, packet.duration)
            yield packet

    return timed()


def _rising(pictures: Iterator[tuple[int, av.VideoFrame]]) -> Iterator[tuple[int, av.VideoFrame]]:
    """Without those that come on screen together with one before, as parts of an edit list may overlap."""
    last = None
    for pts, frame in pictures:
        if last is None or pts > last:
            last = pts
            yield pts, frame


def _x264_format(frame: av.VideoFrame) -> str:
    name = frame.format.name
    if frame.format.is_rgb or frame.width % 2 or frame.height % 2:
        return "yuv444p"  # 4:2:0 needs even sides
    if name in _X264_FORMATS:
        return name
    return "yuv420p10le" if any(component.bits > 8 for component in frame.format.components) else "yuv420p"


def _upright(first: av.VideoFrame, tick: Fraction) -> Callable[[av.VideoFrame], av.VideoFrame]:
    rotation, mirrored = orientation(first)
    turns = {0: [], 90: [("transpose", "clock")], 180: [("hflip", ""), ("vflip", "")], 270: [("transpose", "cclock")]}
    filters = ([("hflip", "")] if mirrored else []) + turns[rotation]
    if not filters:
        return lambda frame: frame
    graph = av.filter.Graph()
    nodes = [graph.add_buffer(width=first.width, height=first.height, format=first.format, time_base=tick)]
    nodes += [graph.add(name, argument) for name, argument in filters]
    graph.link_nodes(*nodes, graph.add("buffersink")).configure()

    def turn(frame: av.VideoFrame) -> av.VideoFrame:
        graph.push(frame)
        turned = graph.pull()
        assert isinstance(turned, av.VideoFrame)
        return turned

    return turn
