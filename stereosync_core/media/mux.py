"""Replacing a clip's sound: the video's packets are copied as they are, the sound is encoded."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.container import InputContainer, OutputContainer

from ..errors import StereoSyncError
from .containers import AUTO_CODEC, MOV_FAMILY, container_options, copy_stream, tags_of, write_header
from .encode import CODECS, LAYOUTS, SoundCodec, SoundTrack
from .loudness import to_loudness
from .output import replacing, written
from .sound import Sound, fit_length, read_sound, resample, to_stereo
from .source import Clip, Source, as_clip, find_video, opened, source_name
from .timeline import Timeline, timeline_of

#: Seconds of sound that are encoded ahead of the picture, so that players find both close together.
_AHEAD = 0.5


@dataclass(frozen=True)
class MuxReport:
    """What :func:`mux` wrote.

    :param path: the file.
    :param duration: seconds of video, and of sound.
    :param samples: samples a channel; ``round(duration * rate)``.
    :param rate: samples a second.
    :param codec: sound codec, as in :data:`~stereosync_core.media.encode.CODECS`.
    :param video_packets: packets copied.
    :param loudness_before: LUFS of the sound as given or mixed; None unless a loudness was given and can be measured.
    :param loudness_after: LUFS as written, likewise.
    :param gain_db: decibels applied to the sound in all.
    :param notes: what the user should know, for example why a loudness was not reached.
    """

    path: Path
    duration: float
    samples: int
    rate: int
    codec: str
    video_packets: int
    loudness_before: float | None
    loudness_after: float | None
    gain_db: float
    notes: tuple[str, ...] = ()


def mux(
    video: Source,
    sound: Sound,
    out_path: str | os.PathLike[str],
    *,
    codec: str = "auto",
    keep_original: Literal["replace", "mix"] = "replace",
    original_gain_db: float = 0.0,
    loudness: float | None = None,
    metadata: dict[str, str] | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> MuxReport:
    """Writes the clip with this sound. Pictures are not re-encoded: packets, their spacing and order, rotation and colour stay.

    The sound's first sample is at the first video frame, and it is made exactly as long as the video: silence is appended, or
    it is cut with a short fade. In the file the first frame shown is at time 0. Subtitles are kept where the container takes
    them. Nothing is left behind when it fails or is stopped; ``out_path`` may be the clip itself.

    :param out_path: its ending decides the container: mp4, m4v, mov, mkv, webm or avi.
    :param codec: ``auto`` (AAC in mp4 and mov, FLAC in mkv, Opus in webm, PCM in avi), ``aac``, ``flac``, ``opus``, ``mp3``,
        ``pcm16``, ``pcm24`` or ``float32``. FLAC and PCM give the samples back; AAC's end is padded to its frame of 1024.
    :param keep_original: ``mix`` adds the clip's own sound to the new one.
    :param original_gain_db: decibels for the clip's own sound in a mix.
    :param loudness: LUFS to bring the result to (true peak at most -1 dBTP); None leaves it as it is.
    :param metadata: tags to write into the file.
    :param progress: called with seconds done and in all; what it raises stops the work.
    :raises StereoSyncError: the clip or an argument cannot be used, the container cannot hold the video or the sound, or the
        file cannot be written.
    """
    path = Path(out_path)
    kind_name, kind = _sound_codec(path, codec)
    if keep_original not in ("replace", "mix"):
        raise StereoSyncError(f"Mux: the clip's own sound can be 'replace' or 'mix', not {keep_original!r}.")
    if not np.isfinite(original_gain_db):
        raise StereoSyncError(f"Mux: the gain of the clip's own sound is {original_gain_db} dB; give a number such as 0 or -6.")
    if sound.channels not in LAYOUTS:
        raise StereoSyncError(f"Mux: sound with {sound.channels} channels fits into no container, 8 do; mix it to stereo.")
    clip = as_clip(video)
    timeline = timeline_of(clip)
    rate = kind.rate_for(sound.rate)
    length = max(1, round(float(timeline.duration) * rate))
    sound, gain, notes = resample(sound, rate), 0.0, []
    sound = Sound(fit_length(sound.samples, length, rate), rate)
    if keep_original == "mix":
        sound, gain = _mixed(sound, read_sound(clip), original_gain_db)
    before = after = None
    if loudness is not None:
        levelled = to_loudness(sound, loudness)
        sound, before, after, gain = levelled.sound, levelled.before, levelled.after, gain + levelled.gain_db
        notes += [levelled.reason] if levelled.reason else []
    with replacing(path) as temporary:
        packets = _write(clip, timeline, sound, kind, temporary, metadata or {}, progress)
    return MuxReport(path, float(timeline.duration), sound.length, rate, kind_name, packets, before, after, gain, tuple(notes))


def _sound_codec(path: Path, codec: str) -> tuple[str, SoundCodec]:
    suffix = path.suffix.lower()
    if suffix not in AUTO_CODEC:
        raise StereoSyncError(f"Mux: '{path.name}' cannot be written as video; use one of the endings {', '.join(AUTO_CODEC)}.")
    name = AUTO_CODEC[suffix] if codec == "auto" else codec
    if name not in CODECS:
        raise StereoSyncError(f"Mux: there is no sound codec {codec!r}; use one of auto, {', '.join(CODECS)}.")
    return name, CODECS[name]


def _mixed(sound: Sound, original: Sound | None, gain_db: float) -> tuple[Sound, float]:
    """The sum of both, made quieter as a whole where it would pass full scale; and the decibels of that."""
    if original is None:
        return sound, 0.0
    other = fit_length(resample(original, sound.rate).samples, sound.length, sound.rate)
    mine = sound.samples
    if len(mine) != len(other):
        mine, other = to_stereo(mine), to_stereo(other)
    mixed = mine + other * np.float32(10 ** (gain_db / 20))
    scale = 1.0 / max(1.0, float(np.abs(mixed).max()))
    return Sound(mixed * np.float32(scale), sound.rate), 20 * float(np.log10(scale))


def _write(
    video: Clip,
    timeline: Timeline,
    sound: Sound,
    kind: SoundCodec,
    path: Path,
    metadata: dict[str, str],
    progress: Callable[[float, float], None] | None,
) -> int:
    """Writes the file and returns the number of video packets."""
    name, total = source_name(video), float(timeline.duration)
    first, end = _packets_to_copy(timeline, path, name)
    with opened(video) as old:
        source = find_video(old, name)
        tags = tags_of(old) | metadata
        with written(path, container_options(path, timeline, bool(tags))) as new:
            new.metadata.update(tags)
            copies = {source.index: copy_stream(new, source, path, old)} | _copied_subtitles(new, old)
            try:
                track = SoundTrack(new, kind, sound.channels, sound.rate)
            except ValueError as error:
                raise StereoSyncError(
                    f"Mux: {path.suffix} cannot hold {kind.encoder} sound; use codec auto, or .mkv, which holds all of them."
                ) from error
            write_header(new, source, path)
            entry, count, reported = -1, 0, 0.0
            for packet in old.demux([old.streams[index] for index in copies]):
                copy = copies.get(packet.stream_index)
                if not packet.size or copy is None or packet.time_base is None:
                    continue
                moment = packet.pts if packet.pts is not None else packet.dts
                is_picture = packet.stream_index == source.index
                if is_picture:
                    entry += 1
                    if not first <= entry < end:
                        continue
                    count += 1
                    if not packet.duration and moment == timeline.order[-1]:
                        packet.duration = timeline.last_duration
                shift = round(timeline.start * timeline.tick / packet.time_base)
                packet.pts = None if packet.pts is None else packet.pts - shift
                packet.dts = None if packet.dts is None else packet.dts - shift
                seconds = float(((moment or 0) - shift) * packet.time_base)
                packet.stream = copy
                new.mux(packet)
                _encode_until(track, sound, seconds + _AHEAD)
                if progress is not None and is_picture and seconds >= reported:
                    progress(min(seconds, total), total)
                    reported = seconds + total / 100
            _encode_until(track, sound, float("inf"))
            track.finish()
    if progress is not None:
        progress(total, total)
    return count


def _encode_until(track: SoundTrack, sound: Sound, seconds: float) -> None:
    end = sound.length if seconds == float("inf") else min(sound.length, int(seconds * sound.rate))
    # in pieces of a second at least: every call has its price
    if end - track.position >= sound.rate or end == sound.length > track.position:
        track.append(sound.samples[:, track.position : end])


def _packets_to_copy(timeline: Timeline, path: Path, name: str) -> tuple[int, int]:
    """First entry to copy and the one after the last, without what an edit list hides and nothing shown needs.

    :raises StereoSyncError: hidden frames are needed, and the new container cannot hide them.
    """
    open_entries = np.flatnonzero(~timeline.hidden)
    keys = np.flatnonzero(timeline.keyframes[: open_entries[0] + 1])
    first, end = int(keys[-1]) if len(keys) else 0, int(open_entries[-1]) + 1
    hidden = timeline.pts[first:end][timeline.hidden[first:end]]
    if len(hidden) and path.suffix.lower() not in MOV_FAMILY:
        raise StereoSyncError(
            f"Mux: an edit list in {name} hides frames that others need, and {path.suffix} cannot hide any; write .mp4 or .mov."
        )
    if (hidden >= timeline.start).any():
        raise StereoSyncError(
            f"Mux: an edit list in {name} takes frames out of its middle or end, which copying cannot; use Trim first."
        )
    return first, end


def _copied_subtitles(new: OutputContainer, old: InputContainer) -> dict[int, av.stream.Stream]:
    copies = {}
    for stream in old.streams.subtitles:
        try:
            copy = new.add_stream_from_template(stream, opaque=True)
        except (ValueError, AttributeError):  # another kind of subtitles, or one that libav has no decoder for
            continue
        copy.metadata.update(stream.metadata)
        copies[stream.index] = copy
    return copies
