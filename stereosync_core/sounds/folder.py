"""A user's folder as a library: the class is the name of a sound's folder, the surface of a footstep that of the one inside."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import StereoSyncError
from ..media.sound import Sound, read_sound, resample
from ..media.source import opened
from .library import LibrarySound, SoundLibrary
from .shape import RATE, cleaned, levelled, seamless, takes_of

ENDINGS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".aif", ".aiff")
#: Minutes that a file may last: a library holds single sounds.
LONGEST_FILE = 10.0
SURFACED = ("footstep", "landing")


def folder_library(path: str | Path) -> SoundLibrary:
    """The sounds in a folder: ``footstep/grass/*.wav``, ``dog/*.flac``, ``car/engine loop.ogg``.

    A file whose name holds ``loop`` is a loop, any other is parted at its silences into takes of one recording. Everything is
    trimmed to its attack and brought to one level, as the bundled sounds are.

    :raises StereoSyncError: no such folder, no sound in it, a sound outside a folder of a class, or a file that is silent,
        longer than ten minutes, cannot be read, or holds NaN.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise StereoSyncError(
            f"Sound library: there is no folder '{path}'; give one that holds folders such as 'footstep/grass'."
        )
    files = [file for file in sorted(folder.rglob("*")) if file.suffix.lower() in ENDINGS and file.is_file()]
    if not files:
        raise StereoSyncError(
            f"Sound library: '{path}' holds no sound ({', '.join(ENDINGS)}); put files into folders named by their class, "
            "such as 'dog' or 'footstep/grass'."
        )
    sounds, held = [], {}
    for file in files:
        place = file.relative_to(folder)
        if len(place.parts) < 2:
            raise StereoSyncError(
                f"Sound library: '{file}' lies in no folder of a class; move it into one, such as 'dog' or 'footstep/grass'."
            )
        category = place.parts[0].replace("_", " ") if place.parts[0] == "sports_ball" else place.parts[0]
        surface = place.parts[1] if len(place.parts) > 2 and category in SURFACED else None
        loop = "loop" in place.stem.lower()
        recording = place.with_suffix("").as_posix()
        for take, samples in enumerate(sounds_of(file, loop), 1):
            name = f"{recording}#{take}"
            held[name] = samples
            details = {"author": "", "licence": "", "source": str(file), "path": file, "synthesised": False}
            sounds.append(LibrarySound(name, category, surface, recording, take, loop, **details))
    return SoundLibrary(sounds, held)


def library_of_sound(sound: Sound, category: str = "own") -> SoundLibrary:
    """A library of one class out of a sound: its takes, and the whole of it as a loop. Raises StereoSyncError where it is
    silent or longer than ten minutes."""
    if sound.duration > 60 * LONGEST_FILE:
        raise StereoSyncError(
            f"The sound lasts {sound.duration / 60:.0f} minutes; give a single one, at most {LONGEST_FILE:g}."
        )
    sounds, held = [], {}
    details = {"author": "", "licence": "", "source": "", "path": Path(), "synthesised": False}
    for loop in (False, True):
        for take, samples in enumerate(shaped(sound, loop, "The sound"), 1):
            name = f"{category} {'loop' if loop else take}"
            held[name] = samples
            sounds.append(LibrarySound(name, category, None, category, take, loop, **details))
    return SoundLibrary(sounds, held)


def sounds_of(file: Path, loop: bool) -> list[np.ndarray]:
    """The takes, or the one loop, in a sound file: float32 ``[N]`` each. Raises StereoSyncError as :func:`folder_library`."""
    with opened(file) as container:
        minutes = (container.duration or 0) / 6e7
    if minutes > LONGEST_FILE:
        raise StereoSyncError(
            f"Sound library: '{file}' lasts {minutes:.0f} minutes; a library holds single sounds: cut them out of it, at most "
            f"{LONGEST_FILE:g} minutes a file."
        )
    sound = read_sound(file, align_to_video=False)
    if sound is None:
        raise StereoSyncError(f"Sound library: '{file}' has no sound in it; take it out of the folder.")
    return shaped(sound, loop, f"Sound library: '{file}'")


def shaped(sound: Sound, loop: bool, name: str) -> list[np.ndarray]:
    """The takes, or the one loop, in a sound; ``name`` begins the error where there is none."""
    mono = cleaned(resample(sound, RATE).samples)
    parts = [seamless(mono)] if loop else takes_of(mono)
    parts = [levelled(part, loop) for part in parts if np.abs(part).max(initial=0) > 1e-4]
    if not parts:
        raise StereoSyncError(f"{name} is silent; give one with sound in it.")
    for part in parts:
        part.setflags(write=False)
    return parts
