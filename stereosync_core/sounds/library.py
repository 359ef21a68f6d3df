"""Libraries of recorded sounds by category and surface: the bundled one, and a user's folder.

A sound is mono at 44.1 kHz. One-shots begin with their attack and last at most 3 s; loops repeat without a seam. Takes of one
recording have its name in common, so that what learns from some is not tested on others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ..assets import asset_path
from ..errors import StereoSyncError
from ..files import read_object
from ..media.sound import fit_length, require_sound, resample
from .shape import RATE

INDEX = "sounds/index.json"


@dataclass(frozen=True)
class LibrarySound:
    """One sound. ``surface``: of footsteps and landings. ``recording``: what its takes have in common; ``take`` counts from 1.
    ``source``: package, version and file. ``path``: of the file that holds it."""

    name: str
    category: str
    surface: str | None
    recording: str
    take: int
    loop: bool
    synthesised: bool
    author: str
    licence: str
    source: str
    path: Path


class SoundLibrary:
    """Sounds and their samples.

    :param sounds: with names that differ.
    :param held: samples ``[N]`` by name, of sounds that are not a file of their own.
    :param spans: by name, the first sample of a sound in its file, and how many there are; without, it is the whole file.
    :param load: gives the samples of a sound, in place of all that.
    """

    def __init__(
        self,
        sounds: Iterable[LibrarySound],
        held: Mapping[str, np.ndarray] | None = None,
        spans: Mapping[str, tuple[int, int]] | None = None,
        load: Callable[[LibrarySound], np.ndarray] | None = None,
    ):
        self.sounds = tuple(sounds)
        self._held, self._spans, self._lock = dict(held or {}), dict(spans or {}), threading.Lock()
        self._load = load

    @property
    def categories(self) -> tuple[str, ...]:
        """Sorted names of the categories."""
        return tuple(sorted({sound.category for sound in self.sounds}))

    def of(self, category: str, surface: str | None = None, loop: bool = False) -> tuple[LibrarySound, ...]:
        """The category's one-shots, or its loops; those of one surface where one is given. Empty where there is none."""
        return tuple(
            sound
            for sound in self.sounds
            if sound.category == category and sound.loop == loop and surface in (None, sound.surface)
        )

    def samples(self, sound: LibrarySound) -> np.ndarray:
        """Read-only float32 ``[N]`` at 44.1 kHz. Raises StereoSyncError where the sound's file cannot be read."""
        if self._load is not None:
            return self._load(sound)
        with self._lock:
            if sound.name not in self._held:
                read = resample(require_sound(sound.path, f"Sound library: {sound.name}"), RATE).samples
                start, length = self._spans.get(sound.name, (0, read.shape[1]))
                mono = fit_length(read[:1, start:], length, fade=0)[0]
                mono.setflags(write=False)
                self._held[sound.name] = mono
            return self._held[sound.name]


@cache
def bundled_library() -> SoundLibrary:
    """The sounds that the pack brings. Raises StereoSyncError where the installation lacks them."""
    return indexed_library(asset_path(INDEX).parent)


def indexed_library(folder: Path) -> SoundLibrary:
    """The sounds of a folder laid out as the bundled ones are. Raises StereoSyncError where their index cannot be read."""
    rows = read_object(folder / "index.json", "Sound library", "install the pack again")["sounds"]
    keys = ("name", "category", "surface", "recording", "take", "loop", "synthesised", "author", "licence", "source")
    sounds = [LibrarySound(**{key: row[key] for key in keys}, path=folder / row["file"]) for row in rows]
    return SoundLibrary(sounds, spans={row["name"]: (row["start"], row["samples"]) for row in rows})


def attribution(library: SoundLibrary) -> str:
    """What is in a library, by class and surface, and whose it is: a line for each source, by licence and author."""
    counts: dict[str, list[LibrarySound]] = {}
    authors: dict[str, dict[str, list[str]]] = {}
    for sound in library.sounds:
        kind = sound.category + (f" on {sound.surface}" if sound.surface else "") + (" (loop)" if sound.loop else "")
        counts.setdefault(kind, []).append(sound)
        owner = f"{sound.author} - {sound.licence}" if sound.licence else "your own"
        authors.setdefault(owner, {}).setdefault(sound.source, []).append(sound.name)
    lines = [f"{len(library.sounds)} sounds of {len(library.categories)} classes", ""]
    for kind, sounds in sorted(counts.items()):
        made = sum(sound.synthesised for sound in sounds)
        names = ", ".join(dict.fromkeys(sound.recording for sound in sounds))
        lines.append(f"{kind}: {len(sounds)}{f', {made} synthesised' if made else ''} ({names})")
    for owner, sources in sorted(authors.items(), key=lambda item: (item[0] == "your own", item[0])):
        lines += ["", owner, *(f"  {', '.join(names)}: {source}" for source, names in sorted(sources.items()))]
    return "\n".join(lines)


def require_category(library: SoundLibrary, category: str, loop: bool = False) -> tuple[LibrarySound, ...]:
    """The category's sounds. Raises StereoSyncError where the library has none."""
    found = library.of(category, loop=loop)
    if not found:
        kind = "loop" if loop else "sound"
        known = sorted({sound.category for sound in library.sounds if sound.loop == loop})
        raise StereoSyncError(
            f"Sound library: there is no {kind} of the class {category!r}; it has {', '.join(known)}. Give a "
            "folder of your own that has one of that name, or connect a sound."
        )
    return found
