"""Cutting a piece out of a clip, exact to the frame and to the sample."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from av.container import OutputContainer

from ..errors import StereoSyncError
from .clock import continuous
from .encode import CODECS, LAYOUTS, SoundTrack
from .encode_pictures import encoded_pictures
from .extras import copied_chapters
from .output import (
    AUTO_CODEC,
    MOV_FAMILY,
    CannotCopy,
    CannotHold,
    copy_stream,
    moved,
    replacing,
    reporter,
    write_header,
    written_clip,
)
from .sound import Sound, read_sound, sound_between, to_stereo
from .source import Medium, Source, Timeline, as_clip, codec_name, find_video, opened, timeline_of
from .video import probe

logger = logging.getLogger(__name__)

_AHEAD = 1.0  # seconds of sound that are encoded ahead of the picture


def cut_clip(
    source: Source,
    start: float,
    duration: float,
    cut_path: Path,
    progress: Callable[[float, float], None] | None = None,
    note: Callable[[str], None] = logger.warning,
) -> tuple[Medium, Sound | None]:
    """A clip from ``start`` seconds on for ``duration`` seconds (0 = to its end), and its own sound, exactly as long.

    :param cut_path: where to :func:`trim` to; it is written only when something has to be cut off.
    :param note: called with a sentence where a sound track cannot be decoded.
    :returns: what to open, ``source`` or ``cut_path``, and the sound, None where the clip has none.
    :raises StereoSyncError: as :func:`trim` and :func:`~.video.probe`.
    """
    clip = as_clip(source)
    if clip.main_sound.note:
        note(clip.main_sound.note)
    if start > 0 or 0 < duration < probe(clip).duration:
        clip = as_clip(trim(clip, start, duration, cut_path, progress=progress))
    return clip.source, read_sound(clip, note=lambda text: None)


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
    have to carry extra frames behind an edit list; players hide them, but the frame count in the file's header counts them, and
    the host's native nodes believe that header. So there the piece is encoded anew: H.264, crf 16, without B-frames, so that
    every frame keeps its exact time and length; colour tags are kept and the picture is stored upright. Sound is always encoded
    anew, because copied packets cannot be cut to the sample: AAC, or without loss where the clip's sound is.

    :param duration: seconds; 0 goes to the clip's end, and so does more than there is.
    :param out_path: ends in mp4, m4v or mov; it is returned.
    :raises StereoSyncError: the numbers make no sense, no frame lies between them, or reading or writing fails.
    """
    path = Path(out_path)
    if path.suffix.lower() not in MOV_FAMILY:
        raise StereoSyncError(f"Trim: '{path.name}' cannot be written; use one of the endings {', '.join(MOV_FAMILY)}.")
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
        except (CannotHold, CannotCopy):
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
    pts, lengths = timeline.order[begin:stop], timeline.durations[begin:stop]
    first = int(pts[0])
    length_at = dict(zip((pts - first).tolist(), lengths.tolist(), strict=True))
    duration = (int(pts[-1]) + int(lengths[-1]) - first) * timeline.tick
    report = reporter(progress, float(duration))
    with opened(source) as old, written_clip(path, old, timeline) as new:
        stream = find_video(old)
        copied_chapters(new, old, first * timeline.tick, duration)
        if entries is None:
            packets = encoded_pictures(old, stream, new, timeline, np.arange(begin, stop))
        else:
            copy = copy_stream(new, stream, path, old)
            own = (packet for packet in continuous(old, stream, [stream]) if packet.size)
            chosen = (packet for packet, keep in zip(own, entries.tolist(), strict=False) if keep)
            packets = (moved(packet, first, copy) for packet in chosen)
        found, track = sound_between(source, first * timeline.tick, duration), None
        if found is not None:
            track = _sound_track(*found, codec_name(old.streams[as_clip(source).main_sound.index]), new, path)
        write_header(new, stream, path)
        for packet in packets:
            # Encoders and some demuxers give the nominal length; a variable rate needs the true one.
            packet.duration = length_at.get(packet.pts, packet.duration)
            seconds = float((packet.pts or 0) * timeline.tick)
            new.mux(packet)
            if track is not None:
                track.write_until(seconds + _AHEAD)
            report(seconds)
        if track is not None:
            track.finish()
    report(float("inf"))


def _sound_track(samples: np.ndarray, rate: int, codec: str, new: OutputContainer, path: Path) -> SoundTrack:
    """A track for the piece's own sound: AAC, or without loss where its ``codec`` was so before or AAC lacks its rate."""
    name, is_lossless = AUTO_CODEC[path.suffix.lower()], codec.startswith(("pcm_", "flac", "alac"))
    if is_lossless or CODECS[name].rate_for(rate) != rate:
        name = "pcm24" if path.suffix.lower() == ".mov" else "flac"
    return SoundTrack(new, CODECS[name], samples if len(samples) in LAYOUTS else to_stereo(samples), rate)
