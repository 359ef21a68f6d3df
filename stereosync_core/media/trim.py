"""Cutting a piece out of a clip, exact to the frame and to the sample."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.video.reformatter import VideoReformatter

from ..errors import StereoSyncError
from .containers import AUTO_CODEC, CannotHold, container_options, copy_stream, tags_of, write_header
from .encode import CODECS, LAYOUTS, SoundTrack
from .output import replacing, written
from .sound import Sound, read_sound, sound_blocks, to_stereo
from .source import Medium, Source, as_clip, codec_name, find_audio, find_video, opened, source_name
from .timeline import Timeline, timeline_of
from .video import decoded, orientation, probe

_BT709, _LIMITED = 1, 1
_CONTAINERS = (".mp4", ".m4v", ".mov")

#: Pixel formats that libx264 takes as they are.
_X264_FORMATS = {
    *("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"),
    *("yuv420p10le", "yuv422p10le", "yuv444p10le", "gray", "gray10le"),
}


def cut_clip(
    source: Source, start: float, duration: float, cut_path: Path, progress: Callable[[float, float], None] | None = None
) -> tuple[Medium, Sound | None]:
    """A clip from ``start`` seconds on for ``duration`` seconds (0 = to its end), and its own sound, exactly as long.

    :param cut_path: where to :func:`trim` to; it is written only when something has to be cut off.
    :returns: what to open, ``source`` or ``cut_path``, and the sound, None where the clip has none.
    :raises StereoSyncError: as :func:`trim` and :func:`~.video.probe`.
    """
    clip = as_clip(source)
    if start > 0 or 0 < duration < probe(clip).duration:
        clip = as_clip(trim(clip, start, duration, cut_path, progress=progress))
    return clip.source, read_sound(clip)


def trim(
    source: Source,
    start: float,
    duration: float,
    out_path: str | os.PathLike[str],
    *,
    progress: Callable[[float, float], None] | None = None,
) -> Path:
    """Writes the frames that come on screen in ``[start, start + duration)``, with their sound, as a clip of their own.

    The new clip begins at time 0 with the first of these frames and ends where the last of them leaves the screen.

    Video packets are copied where the piece begins at a keyframe and needs no picture outside of it. Elsewhere a copy would
    have to carry extra frames behind an edit list; players hide them, but the frame count in the file's header counts them,
    and the host's native nodes believe that header. So there the piece is encoded anew: H.264, crf 16, without B-frames, so
    that every frame keeps its exact time and length; colour tags are kept and the picture is stored upright. Sound is always
    encoded anew, because copied packets cannot be cut to the sample: AAC, or without loss where the clip's sound is.

    :param start: seconds from the clip's first frame.
    :param duration: seconds; 0 goes to the clip's end, and so does more than there is.
    :param out_path: ends in mp4, m4v or mov.
    :param progress: called with seconds done and in all; what it raises stops the work and leaves nothing behind.
    :returns: the path.
    :raises StereoSyncError: the numbers make no sense, no frame lies between them, or reading or writing fails.
    """
    path = Path(out_path)
    if path.suffix.lower() not in _CONTAINERS:
        raise StereoSyncError(f"Trim: '{path.name}' cannot be written; use one of the endings {', '.join(_CONTAINERS)}.")
    if not (np.isfinite(start) and np.isfinite(duration)):
        raise StereoSyncError(f"Trim: start {start} and duration {duration} must be numbers of seconds.")
    if start < 0 or duration < 0:
        raise StereoSyncError(
            f"Trim: start {start} s and duration {duration} s must not be negative; duration 0 is to the end."
        )
    timeline = timeline_of(source)
    total = float(timeline.duration)
    if start >= total:
        raise StereoSyncError(f"Trim: the start, {start:g} s, lies past the end of the clip, which is {total:.3f} s long.")
    end = start + duration if duration else total
    late = timeline.tolerance
    begin, stop = (int(n) for n in np.searchsorted(timeline.times, [start - late, end - late]))
    if begin == stop:
        raise StereoSyncError(
            f"Trim: no frame of the clip comes on screen between {start:g} and {end:g} s; choose an earlier start or a "
            "longer duration."
        )
    entries = _copyable(timeline, begin, stop)
    with replacing(path) as temporary:
        try:
            _write(source, timeline, begin, stop, entries, temporary, progress)
        except CannotHold:
            _write(source, timeline, begin, stop, None, temporary, progress)
    return path


def _copyable(timeline: Timeline, begin: int, stop: int) -> np.ndarray | None:
    """Packet entries bool ``[N]`` that make up the frames ``begin .. stop`` by themselves, or None if they need others."""
    wanted = timeline.shown & (timeline.pts >= timeline.order[begin]) & (timeline.pts <= timeline.order[stop - 1])
    inside = np.flatnonzero(wanted)
    first, last = int(inside[0]), int(inside[-1])
    if not timeline.keyframes[first] or timeline.pts[first] != timeline.order[begin]:
        return None
    span = np.arange(len(wanted))
    span = (span >= first) & (span <= last)
    # Pictures before the keyframe on screen but behind it in the file are needed by nobody after it.
    leading = timeline.pts < timeline.pts[first]
    invisible = ~timeline.shown & ~timeline.hidden
    keep = span & (wanted | invisible) & ~(leading & ~invisible)
    if not (keep | leading)[span].all():
        return None
    # MP4 stores the lengths of pictures in the file's order; they fit the order on screen only where all are alike.
    lengths = timeline.durations[begin:stop]
    reordered = (np.diff(timeline.pts[keep & wanted]) < 0).any()
    return None if reordered and lengths.max() - lengths.min() > 1 else keep


def _write(
    source: Source,
    timeline: Timeline,
    begin: int,
    stop: int,
    entries: np.ndarray | None,
    path: Path,
    progress: Callable[[float, float], None] | None,
) -> None:
    """Writes the frames ``begin .. stop`` by copying the packets ``entries``, or by encoding."""
    pts, lengths = timeline.order[begin:stop], timeline.durations[begin:stop]
    length_at = dict(zip((pts - pts[0]).tolist(), lengths.tolist(), strict=True))
    duration = (int(pts[-1]) + int(lengths[-1]) - int(pts[0])) * timeline.tick
    with opened(source) as old:
        stream = find_video(old, source_name(source))
        tags = tags_of(old)
        with written(path, container_options(path, timeline, bool(tags))) as new:
            new.metadata.update(tags)
            if entries is None:
                packets = _encoded(old, stream, new, timeline, np.arange(begin, stop))
            else:
                packets = _copied(old, stream, copy_stream(new, stream, path, old), entries, int(pts[0]))
            sound = _SoundPiece(source, old, new, path, int(pts[0]) * timeline.tick, duration)
            write_header(new, stream, path)
            reported = 0.0
            for packet in packets:
                # Encoders and some demuxers give the nominal length; a variable rate needs the true one.
                packet.duration = length_at.get(packet.pts, packet.duration)
                seconds = float((packet.pts or 0) * timeline.tick)
                new.mux(packet)
                sound.write_until(seconds + 1.0)
                if progress is not None and seconds >= reported:
                    progress(min(seconds, float(duration)), float(duration))
                    reported = seconds + float(duration) / 100
            sound.finish()
    if progress is not None:
        progress(float(duration), float(duration))


def _copied(
    old: InputContainer, stream: av.VideoStream, copy: av.VideoStream, entries: np.ndarray, first: int
) -> Iterator[av.Packet]:
    """The chosen packets, on a timeline that begins at ``first`` ticks."""
    packets = (packet for packet in old.demux(stream) if packet.size)
    for packet, chosen in zip(packets, entries.tolist(), strict=False):
        if not chosen:
            continue
        packet.pts = None if packet.pts is None else packet.pts - first
        packet.dts = None if packet.dts is None else packet.dts - first
        packet.stream = copy
        yield packet


def _encoded(
    old: InputContainer, stream: av.VideoStream, new: OutputContainer, timeline: Timeline, wanted: np.ndarray
) -> Iterator[av.Packet]:
    """Adds an H.264 stream now, and encodes these frames into it later."""
    ticks = set(timeline.order[wanted].tolist())
    pictures = ((pts, frame) for pts, frame in decoded(old, stream, timeline, wanted) if pts in ticks)
    start = next(pictures, None)
    if start is None:
        raise StereoSyncError(f"Trim: no frame of {old.name} can be decoded there, the file is damaged; choose another part.")
    upright = _Upright(start[1], timeline.tick)
    model = upright(start[1])
    rate = (len(wanted) / (timeline.durations[wanted].sum() * timeline.tick)).limit_denominator(1001)
    track = new.add_stream("libx264", rate=rate, options={"crf": "16", "preset": "veryfast", "bf": "0"})
    context = track.codec_context
    context.width, context.height, context.pix_fmt = model.width, model.height, _x264_format(model)
    context.time_base = timeline.tick
    for tag in ("color_range", "colorspace", "color_primaries", "color_trc"):
        setattr(context, tag, getattr(stream.codec_context, tag))
    is_rgb, scaler = model.format.is_rgb, VideoReformatter()
    if is_rgb:
        context.colorspace, context.color_range = _BT709, _LIMITED

    def packets() -> Iterator[av.Packet]:
        for pts, frame in chain([start], pictures):
            picture = upright(frame)
            if is_rgb:
                picture = scaler.reformat(picture, format=context.pix_fmt, dst_colorspace=_BT709, dst_color_range=_LIMITED)
            elif picture.format.name != context.pix_fmt:
                picture = scaler.reformat(picture, format=context.pix_fmt)
            picture.pts, picture.time_base = pts - timeline.order[wanted[0]], timeline.tick
            picture.pict_type = 0  # where keyframes go is the encoder's choice, not the old file's
            yield from track.encode(picture)
        yield from track.encode(None)

    return packets()


def _x264_format(frame: av.VideoFrame) -> str:
    """The pixel format that keeps most of a frame in H.264."""
    name = frame.format.name
    if frame.format.is_rgb or frame.width % 2 or frame.height % 2:
        return "yuv444p"  # 4:2:0 needs even sides
    if name in _X264_FORMATS:
        return name
    return "yuv420p10le" if any(component.bits > 8 for component in frame.format.components) else "yuv420p"


class _Upright:
    """Turns decoded frames by the clip's rotation tag."""

    def __init__(self, first: av.VideoFrame, tick: Fraction):
        rotation, mirrored = orientation(first)
        turns = {0: [], 90: [("transpose", "clock")], 180: [("hflip", ""), ("vflip", "")], 270: [("transpose", "cclock")]}
        filters = ([("hflip", "")] if mirrored else []) + turns[rotation]
        self.graph: av.filter.Graph | None = None
        if filters:
            graph = av.filter.Graph()
            nodes = [graph.add_buffer(width=first.width, height=first.height, format=first.format, time_base=tick)]
            nodes += [graph.add(name, argument) for name, argument in filters]
            graph.link_nodes(*nodes, graph.add("buffersink")).configure()
            self.graph = graph

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        if self.graph is None:
            return frame
        self.graph.push(frame)
        turned = self.graph.pull()
        assert isinstance(turned, av.VideoFrame)
        return turned


class _SoundPiece:
    """The part of a clip's sound that belongs to a piece, encoded block by block; nothing where the clip has no sound."""

    def __init__(
        self, source: Source, old: InputContainer, new: OutputContainer, path: Path, start: Fraction, duration: Fraction
    ):
        self.blocks = sound_blocks(source, start)
        self.block = next(self.blocks, None)
        self.track: SoundTrack | None = None
        if self.block is None:
            return
        rate, _, samples = self.block
        self.channels = len(samples) if len(samples) in LAYOUTS else 2
        self.length = round(float(duration) * rate)
        stream = find_audio(old, source_name(source))
        name = AUTO_CODEC[path.suffix.lower()]
        is_lossless = stream is not None and codec_name(stream).startswith(("pcm_", "flac", "alac"))
        if name == "aac" and (is_lossless or CODECS[name].rate_for(rate) != rate):
            name = "pcm24" if path.suffix.lower() == ".mov" else "flac"
        self.track = SoundTrack(new, CODECS[name], self.channels, rate)

    def write_until(self, seconds: float) -> None:
        """Encodes up to there, silence where the clip has no sound."""
        if self.track is None:
            return
        end = min(self.length, int(seconds * self.track.rate))
        while self.track.position < end:
            if self.block is None:
                self._silence(end)
                return
            _, at, samples = self.block
            self._silence(min(at, self.length))
            if len(samples) != self.channels:
                samples = to_stereo(samples)
            self.track.append(samples[:, : self.length - self.track.position])
            self.block = next(self.blocks, None)

    def _silence(self, end: int) -> None:
        assert self.track is not None
        while self.track.position < end:
            self.track.append(np.zeros((self.channels, min(end - self.track.position, self.track.rate)), np.float32))

    def finish(self) -> None:
        """Encodes the rest."""
        if self.track is not None:
            self.write_until((self.length + 1) / self.track.rate)
            self.track.finish()
        self.blocks.close()
