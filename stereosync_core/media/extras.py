"""What a clip's container holds beside its pictures and its sound: chapters, subtitles, timecode, covers, fonts, telemetry."""

from __future__ import annotations

import io
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.stream import Disposition, Stream

from .output import MOV_FAMILY, holds

#: Box and block types of the record that makes Dolby Vision of HEVC, H.264 or AV1.
_DOLBY_VISION = (b"dvcC", b"dvvC", b"dvwC")


def copied_extras(
    new: OutputContainer, old: InputContainer, pictures: av.VideoStream, path: Path
) -> tuple[dict[int, Stream], list[str]]:
    """Streams of the new container for what is copied, by the index of the old stream, and a note on what is not."""
    copies, missing, suffix = {}, [], path.suffix.lower()
    for stream in old.streams:
        if stream.type == "audio" or stream.index == pictures.index or _is_written_anyway(stream, old, suffix):
            continue
        # a cover is a picture by another name in MP4; MOV and Matroska have other places, which libav fills from elsewhere
        is_cover = stream.type == "video" and Disposition.attached_pic in stream.disposition
        if (stream.type == "video" and not (is_cover and suffix in (".mp4", ".m4v"))) or not holds(suffix, stream):
            missing.append(_kind(stream))
            continue
        copy = new.add_stream_from_template(stream, opaque=True)
        copy.metadata.update(stream.metadata)
        if stream.type == "video":
            copy.disposition = stream.disposition
        copies[stream.index] = copy
    if suffix == ".mov" and _has_dolby_vision(pictures):  # libav's muxer writes it into MP4 and Matroska alone
        missing.append("the Dolby Vision record (the pictures play as HDR or SDR)")
    return copies, [left_out(missing, suffix)] if missing else []


def left_out(kinds: list[str], suffix: str) -> str:
    """A note on what could not be copied."""
    return f"Left out, for {suffix} cannot hold it here: {', '.join(dict.fromkeys(kinds))}."


def copied_chapters(new: OutputContainer, old: InputContainer, start: Fraction, duration: Fraction) -> None:
    """Gives the new container the chapters between two times, ``start`` seconds earlier."""
    if not hasattr(old, "chapters"):  # older PyAV
        return
    kept = []
    for chapter in old.chapters():
        tick = chapter["time_base"] or Fraction(1, 1000)
        begin, end = (min(max(chapter[side] * tick - start, Fraction(0)), duration) for side in ("start", "end"))
        if begin < end:
            kept.append(chapter | {"start": round(begin / tick), "end": round(end / tick)})
    new.set_chapters(kept)


def _is_written_anyway(stream: Stream, old: InputContainer, suffix: str) -> bool:
    """Whether a data track is MOV's form of what libav reads as a tag or as chapters and writes from there, or means nothing
    outside of its disc."""
    if stream.type != "data":
        return False
    if getattr(stream, "name", None) == "dvd_nav_packet":  # buttons of a disc's menu
        return True
    is_timecode = "timecode" in stream.metadata
    is_chapters = getattr(stream, "name", None) == "bin_data" and "mov" in old.format.name and hasattr(old, "chapters")
    return (is_timecode and suffix in (*MOV_FAMILY, ".mkv")) or (is_chapters and bool(old.chapters()))


def _kind(stream: Stream) -> str:
    if stream.type == "video":
        return "a cover picture" if Disposition.attached_pic in stream.disposition else "another video track"
    name = getattr(stream, "name", None)
    plural = {"subtitle": "subtitles", "attachment": "an attachment", "data": "a data track"}.get(stream.type, "a track")
    return plural if name in (None, "bin_data") else f"{plural} ({name})"


def _has_dolby_vision(stream: av.VideoStream) -> bool:
    """PyAV does not show a stream's side data; a header that libav writes for it does."""
    target = io.BytesIO()
    container = av.open(target, "w", format="matroska", container_options={"strict": "unofficial"})
    with suppress(ValueError, av.error.FFmpegError):
        container.add_stream_from_template(stream, opaque=True)
        container.start_encoding()
    with suppress(Exception):
        container.close()
    return any(kind in target.getvalue() for kind in _DOLBY_VISION)
