"""Sound files at a loudness, with what was reached."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .encode import CODECS, codec_for
from .loudness import in_decibels, integrated_loudness, levelled, true_peak
from .sound import SOUND_FILES, Sound, resample, write_sound


@dataclass(frozen=True)
class SoundReport:
    """What :func:`save_sound` wrote."""

    path: Path
    sound: Sound  # as encoded
    codec: str  # as in :data:`~stereosync_core.media.encode.CODECS`
    loudness_after: float | None  # LUFS as encoded; None where it cannot be measured
    gain_db: float  # applied to the sound
    true_peak: float  # dBTP as encoded
    notes: tuple[str, ...] = ()  # what the user should know, for example why a loudness was not reached

    @property
    def samples(self) -> int:
        """A channel."""
        return self.sound.length

    @property
    def rate(self) -> int:
        """Samples a second."""
        return self.sound.rate


def save_sound(
    path: str | os.PathLike[str],
    sound: Sound,
    *,
    codec: str = "auto",
    loudness: float | None = None,
    limiter: bool = False,
    metadata: dict[str, str] | None = None,
    layout: str = "",
) -> SoundReport:
    """Writes a sound file of the kind of the path's ending. What passes full scale is turned down where the codec would clip.

    :param codec: as for :func:`~.sound.write_sound`.
    :param loudness: LUFS to bring the sound to (true peak at most -1 dBTP); None leaves it as it is.
    :param limiter: reach a loudness that the peaks do not allow by a limiter.
    :param metadata: tags to write into the file.
    :param layout: as for :func:`~.sound.write_sound`.
    :raises StereoSyncError: as :func:`~.sound.write_sound`, or the loudness makes no sense.
    """
    path = Path(path)
    codec = codec_for(codec, path, SOUND_FILES, sound.channels, layout)
    kind = CODECS[codec]
    level = levelled(resample(sound, kind.rate_for(sound.rate)), loudness, limiter=limiter, clips=kind.clips)
    found = level.sound
    write_sound(path, found, codec=codec, metadata=metadata, layout=layout)
    after = level.after if loudness is not None else integrated_loudness(found)
    peak = in_decibels(true_peak(found)) if level.peak_dbtp is None else level.peak_dbtp
    notes = (level.reason,) if level.reason else ()
    return SoundReport(path, found, codec, after, level.gain_db, peak, notes)


def save_sounds(
    paths: Sequence[Path], sounds: Sequence[Sound], *, progress: Callable[[float, float], None] | None = None, **options: Any
) -> list[SoundReport]:
    """:func:`save_sound` for several sounds with the same ``options``: all of them or, where one fails, none.

    :param progress: called with sounds done and in all; raising inside it stops the work.
    """
    reports = []
    try:
        for path, sound in zip(paths, sounds, strict=True):
            if progress is not None:
                progress(len(reports), len(sounds))
            reports.append(save_sound(path, sound, **options))
    except BaseException:
        for report in reports:
            report.path.unlink(missing_ok=True)
        raise
    return reports
