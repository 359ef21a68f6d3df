"""Stems: the parts of a mix as sounds of their own, with names for files and tracks of a session."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import StereoSyncError
from ..media.output import safe_output_path
from ..media.save import SoundReport, save_sounds
from ..media.sound import Sound
from ..scene import Tracks
from .trajectory import assigned

#: Name of what the room answers to all voices.
ROOM = "room"


@dataclass(frozen=True)
class Stem:
    """A part of a mix.

    :param name: of a track's label and id, such as ``person_1``; the room's is :data:`ROOM`.
    :param samples: float32 ``[C, N]``, as long as the mix.
    """

    name: str
    samples: np.ndarray
    rate: int

    @property
    def sound(self) -> Sound:
        return Sound(self.samples, self.rate)


def stem_names(count: int, tracks: Tracks | None) -> list[str]:
    """Names of so many voices: of their track's label and id, and by number where they have none."""
    owners = assigned(count, tracks)
    named = [file_name(f"{track.label}_{track.id}") for track in owners]
    return [*named, *(f"voice_{place + 1}" for place in range(len(owners), count))]


def file_name(text: str) -> str:
    """The text with everything out of it that a file name cannot hold on some system."""
    return re.sub(r"[^\w.+-]+", "_", text).strip("._") or "stem"


def select_stem(names: Sequence[str], wanted: str) -> int:
    """Place of the stem of that name, in whatever case, or of that number from 1 on.

    :raises StereoSyncError: where there is none; the message has the names.
    """
    name = wanted.strip().lower()
    for place, known in enumerate(names):
        if name in (known.lower(), str(place + 1)):
            return place
    raise StereoSyncError(f"Select Stem: there is no '{wanted}'; choose one of {', '.join(names)}, or a number from 1 on.")


def stem_paths(folder: Path, names: Sequence[str], suffix: str) -> list[Path]:
    """A file for each stem in a folder; names that repeat get a number."""
    taken: dict[str, int] = {}
    paths = []
    for name in map(file_name, names):
        taken[name.lower()] = taken.get(name.lower(), 0) + 1
        number = taken[name.lower()]
        paths.append(safe_output_path(folder, f"{name}{'' if number == 1 else f'-{number}'}{suffix}"))
    return paths


def save_stems(folder: Path, stems: Sequence[Stem], *, suffix: str = ".wav", codec: str = "auto") -> list[SoundReport]:
    """Write each stem as a file of its name in ``folder``, which is made where its parent exists: all of them or none.

    :param suffix: ``.wav`` or ``.flac``; ``codec`` as for :func:`~stereosync_core.media.save.save_sound`. What cannot hold
        samples beyond full scale turns all stems down by one gain, so that they go on to sum to one mix.
    :raises StereoSyncError: where the folder or a file cannot be written.
    """
    folder = made_folder(folder, "Stems")
    sounds = [stem.sound for stem in stems]
    if codec not in ("auto", "float32") or suffix != ".wav":
        peak = max(float(np.abs(sound.samples).max()) for sound in sounds)
        sounds = [Sound(sound.samples / max(1.0, peak), sound.rate) for sound in sounds]
    return save_sounds(stem_paths(folder, [stem.name for stem in stems], suffix), sounds, codec=codec)


def made_folder(folder: Path, what: str) -> Path:
    """The folder, made where it is not there. Raises StereoSyncError where it cannot be."""
    check_folder(folder, what)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise StereoSyncError(
            f"{what}: the folder '{folder}' cannot be made ({error.strerror}); create it or choose another one."
        ) from error
    return folder


def check_folder(folder: Path, what: str) -> None:
    """Raises StereoSyncError for a folder that is not there and cannot be made."""
    if folder.exists() and not folder.is_dir():
        raise StereoSyncError(f"{what}: '{folder}' is no folder; give the name of one.")
    if not folder.resolve().parent.is_dir():
        raise StereoSyncError(
            f"{what}: the folder '{folder.resolve().parent}' does not exist; create it or choose another one."
        )
