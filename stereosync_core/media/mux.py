"""Replacing a clip's sound: the video's packets are copied as they are, the sound is encoded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.container import InputContainer, OutputContainer

from ..errors import StereoSyncError
from ..scratch import release, zeros
from .clock import continuous
from .ducking import ducked
from .encode import CODECS, SoundCodec, SoundTrack, codec_for
from .encode_pictures import encoded_pictures
from .extras import copied_chapters, copied_extras
from .loudness import amplified, check_loudness, levelled
from .output import (
    AUTO_CODEC,
    MOV_FAMILY,
    CannotCopy,
    Rehearsed,
    copy_stream,
    moved,
    replacing,
    reporter,
    write_header,
    written_clip,
)
from .sound import Sound, check_sound_file, fit_length, read_sound, resample, to_stereo
from .source import Clip, Source, Timeline, as_clip, find_video, name_of, opened

#: What takes further sound tracks with a name.
STEM_CONTAINERS = (*MOV_FAMILY, ".mkv")
#: Seconds of sound that are encoded ahead of the picture, so that players find both close together.
_AHEAD = 0.5
#: Seconds of sound that are mixed at a time.
_MIXED = 20


@dataclass(frozen=True)
class MuxReport:
    """What :func:`mux` wrote."""

    path: Path
    duration: float  # seconds of video, and of sound
    samples: int  # a channel; round(duration * rate)
    rate: int
    codec: str  # of the sound, as in :data:`~stereosync_core.media.encode.CODECS`
    video_packets: int  # copied
    loudness_before: float | None  # LUFS as given or mixed; None unless a loudness was given and can be measured
    loudness_after: float | None  # LUFS as encoded, likewise
    gain_db: float  # applied to the sound in all
    true_peak: float | None  # dBTP as encoded; None unless a loudness was given
    notes: tuple[str, ...] = ()  # what the user should know, for example why a loudness was not reached


def mux(
    video: Source,
    sound: Sound,
    out_path: str | os.PathLike[str],
    *,
    codec: str = "auto",
    keep_original: Literal["replace", "mix", "over", "under"] = "replace",
    original_gain_db: float = 0.0,
    loudness: float | None = None,
    limiter: bool = False,
    metadata: dict[str, str] | None = None,
    stems: Sequence[tuple[str, Sound]] = (),
    layout: str = "",
    progress: Callable[[float, float], None] | None = None,
) -> MuxReport:
    """Writes the clip with this sound. Pictures are not re-encoded: packets, their spacing and order, rotation and colour stay.

    The sound's first sample is at the first video frame, and it is made exactly as long as the video: silence is appended, or
    it is cut with a short fade. In the file the first frame shown is at time 0. Chapters, subtitles, timecode, covers, fonts
    and data tracks are kept where the container takes them. Pictures that no copy would show right (edit lists that cut in the
    middle, codecs that no container holds) are encoded anew, with a note. Nothing is left behind when it fails or is stopped;
    ``out_path`` may be the clip itself.

    :param out_path: its ending decides the container: mp4, m4v, mov, mkv, webm or avi.
    :param codec: ``auto`` (AAC in mp4 and mov, FLAC in mkv, Opus in webm, PCM in avi; for ambisonics Opus, and for channels
        that these do not take PCM), ``aac``, ``flac``, ``opus``, ``mp3``, ``pcm16``, ``pcm24`` or ``float32``. FLAC and PCM
        give the samples back; AAC's end is padded to its frame of 1024.
    :param keep_original: ``mix`` adds the clip's own sound to the new one, at ``original_gain_db`` decibels; ``over`` as well,
        and the new one makes way while the clip's speaks; ``under``: the clip's makes way for the new one.
    :param loudness: LUFS to bring the result to (true peak at most -1 dBTP); None leaves it as it is, or turns down what passes
        full scale.
    :param limiter: reach a loudness that the peaks do not allow by a limiter.
    :param metadata: tags to write into the file.
    :param stems: names and sounds of further sound tracks (mp4, m4v, mov, mkv), which players leave off until they are chosen;
        the gain of the whole counts for them too, the limiter does not.
    :param layout: as for :func:`~.sound.write_sound`.
    :raises StereoSyncError: the clip or an argument cannot be used, the container cannot hold the video or the sound, or the
        file cannot be written.
    """
    path = Path(out_path)
    codec = codec_for(codec, path, AUTO_CODEC, sound.channels, layout)
    kind = CODECS[codec]
    _check_original(keep_original, layout)
    if not np.isfinite(original_gain_db):
        raise StereoSyncError(f"Mux: the gain of the clip's own sound is {original_gain_db} dB; give a number such as 0 or -6.")
    if loudness is not None:
        check_loudness(loudness)
    if stems:
        check_stem_tracks(path)
    clip = as_clip(video)
    duration = float(clip.timeline.duration)
    rate = kind.rate_for(sound.rate)
    length = max(1, round(duration * rate))
    sound = resample(sound, rate)
    notes: list[str] = []
    sound = Sound(fit_length(sound.samples, length, rate), rate)
    if keep_original != "replace":
        sound = _mixed(sound, read_sound(clip, note=notes.append), original_gain_db, keep_original)
    level = levelled(sound, loudness, limiter=limiter, clips=kind.clips or keep_original != "replace")
    sound = level.sound
    notes += [level.reason] if level.reason else []
    sounds = [("", sound)]
    for name, stem in stems:
        stem = amplified(resample(stem, rate), level.gain_db)
        sounds.append((name, Sound(fit_length(stem.samples, length, rate), rate)))
    with replacing(path) as temporary:
        try:
            packets = _write(clip, sounds, kind, temporary, metadata, progress, notes, layout=layout)
        except CannotCopy as reason:
            notes.append(f"The pictures were encoded anew (H.264), for {reason}.")
            packets = _write(clip, sounds, kind, temporary, metadata, progress, notes, layout=layout, copied=False)
    levels = (level.before, level.after, level.gain_db, level.peak_dbtp)
    return MuxReport(path, duration, sound.length, rate, codec, packets, *levels, tuple(notes))


def check_mux(
    video: Source,
    out_path: str | os.PathLike[str],
    *,
    codec: str = "auto",
    keep_original: str = "replace",
    channels: int = 2,
    layout: str = "",
) -> None:
    """Raise what :func:`mux` would for these arguments and a sound of so many channels, before there is one: some silence, and
    the header of both, are written, and removed."""
    path = Path(out_path)
    kind = CODECS[codec_for(codec, path, AUTO_CODEC, channels, layout)]
    _check_original(keep_original, layout)
    check_sound_file(path, codec=codec, endings=AUTO_CODEC, channels=channels, layout=layout)
    silence, header = [("", Sound(np.zeros((channels, 1)), kind.rate_for(48000)))], {"layout": layout, "header_alone": True}
    with suppress(Rehearsed), replacing(path) as temporary:
        try:
            _write(as_clip(video), silence, kind, temporary, None, None, [], **header)
        except CannotCopy:
            _write(as_clip(video), silence, kind, temporary, None, None, [], copied=False, **header)


def _check_original(keep_original: str, layout: str) -> None:
    if keep_original not in ("replace", "mix", "over", "under"):
        raise StereoSyncError(f"Mux: the clip's own sound can be 'replace', 'mix', 'over' or 'under', not {keep_original!r}.")
    if keep_original != "replace" and layout:
        raise StereoSyncError(f"Mux: the clip's own sound goes with stereo, not with {layout}; replace it, or give no layout.")


def check_stem_tracks(path: Path) -> None:
    """Raises StereoSyncError where a container of this ending gets no named sound tracks."""
    if path.suffix.lower() not in STEM_CONTAINERS:
        raise StereoSyncError(
            f"Mux: '{path.name}' cannot hold stems as named sound tracks; write {', '.join(STEM_CONTAINERS)}, or save the "
            "stems as files."
        )


def _mixed(sound: Sound, original: Sound | None, gain_db: float, how: str) -> Sound:
    if original is None:
        return sound
    other = fit_length(resample(original, sound.rate).samples, sound.length, sound.rate)
    own = Sound(other, sound.rate)
    if how == "over":
        sound = ducked(sound, own)
    elif how == "under":
        other = ducked(own, sound).samples
    mine, gain = sound.samples, np.float32(10 ** (gain_db / 20))
    alike = len(mine) == len(other)
    mixed = zeros((len(mine) if alike else 2, sound.length))
    for at in range(0, sound.length, sound.rate * _MIXED):
        parts = [samples[:, at : at + sound.rate * _MIXED] for samples in (mine, other)]
        one, two = parts if alike else map(to_stereo, parts)
        mixed[:, at : at + one.shape[1]] = one + two * gain
        for samples in (mine, other, mixed):
            release(samples)
    return Sound(mixed, sound.rate)


def _write(
    video: Clip,
    sounds: Sequence[tuple[str, Sound]],
    kind: SoundCodec,
    path: Path,
    metadata: dict[str, str] | None,
    progress: Callable[[float, float], None] | None,
    notes: list[str],
    *,
    layout: str = "",
    copied: bool = True,
    header_alone: bool = False,
) -> int:
    timeline = video.timeline
    total, count = float(timeline.duration), 0
    report = reporter(progress, total)
    with opened(video) as old, written_clip(path, old, timeline, metadata) as new:
        source = find_video(old)
        copied_chapters(new, old, timeline.start * timeline.tick, timeline.duration)
        if copied:
            packets = _copied(old, source, new, timeline, path, notes)
        else:
            packets = encoded_pictures(old, source, new, timeline, np.arange(len(timeline.order)))
        tracks = [SoundTrack(new, kind, sound.samples, sound.rate, name, "" if name else layout) for name, sound in sounds]
        write_header(new, source, path)
        if header_alone:
            raise Rehearsed
        for packet in packets:
            moment = packet.pts if packet.pts is not None else packet.dts
            seconds = float((moment or 0) * (packet.time_base or 1))
            is_picture = packet.stream_index == 0
            new.mux(packet)
            for track in tracks:
                track.write_until(seconds + _AHEAD)
            if is_picture:
                count += 1
                report(seconds)
        for track in tracks:
            track.finish()
    report(float("inf"))
    return count


def _copied(
    old: InputContainer, source: av.VideoStream, new: OutputContainer, timeline: Timeline, path: Path, notes: list[str]
) -> Iterator[av.Packet]:
    """Adds the streams to be copied to ``new`` now, and gives their packets later."""
    first, end = _packets_to_copy(timeline, path, name_of(old))
    copies = {source.index: copy_stream(new, source, path, old)}
    extras, missing = copied_extras(new, old, source, path)
    copies |= extras
    notes += missing

    def packets() -> Iterator[av.Packet]:
        entry = -1
        for packet in continuous(old, source, [old.streams[index] for index in copies]):
            copy = copies.get(packet.stream_index)
            if not packet.size or copy is None or packet.time_base is None:
                continue
            if packet.stream_index == source.index:
                entry += 1
                if not first <= entry < end:
                    continue
                if packet.pts is None and packet.dts is None:
                    raise CannotCopy(f"pictures in {name_of(old)} have no times, and others need them")
                if not packet.duration and timeline.order[-1] in (packet.pts, packet.dts):
                    packet.duration = timeline.last_duration
            yield moved(packet, round(timeline.start * timeline.tick / packet.time_base), copy)

    return packets()


def _packets_to_copy(timeline: Timeline, path: Path, name: str) -> tuple[int, int]:
    """First entry to copy and the one after the last, without what an edit list hides and nothing shown needs."""
    group = np.cumsum(timeline.keyframes)  # of each entry, counted from 1
    first_shown, last = np.flatnonzero(~timeline.hidden)[[0, -1]]
    first_group = int(group[first_shown])
    keys = np.flatnonzero(timeline.keyframes)
    # pictures that come before their keyframe on screen but behind it in the file lean on the group before
    if first_group > 1 and (timeline.pts < timeline.pts[keys[first_group - 1]])[timeline.shown & (group == first_group)].any():
        first_group -= 1
    first, end = int(keys[first_group - 1]) if first_group else 0, int(last) + 1
    hidden = timeline.pts[first:end][timeline.hidden[first:end]]
    if (hidden >= timeline.start).any():
        raise CannotCopy(f"an edit list in {name} takes frames out of its middle or end")
    if len(hidden) and path.suffix.lower() not in MOV_FAMILY:
        raise CannotCopy(f"an edit list in {name} hides frames that others need, and {path.suffix} cannot hide any")
    return first, end
