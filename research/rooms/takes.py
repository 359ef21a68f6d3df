"""Which recorded sounds belong to which split, and draws from them.

A recording is in one split alone. Where a class (on a surface) has fewer recordings than splits, its takes are dealt instead;
with fewer takes than splits, training comes first, then the test.
"""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.random import Generator

from stereosync_core.assets import asset_path
from stereosync_core.errors import StereoSyncError
from stereosync_core.sounds.library import INDEX, LibrarySound, SoundLibrary, bundled_library, indexed_library
from stereosync_core.sounds.shape import RATE

#: Parts of a class's recordings for validation and test; the rest is for training.
VALID, TEST = 0.1, 0.2


@dataclass(frozen=True)
class Take:
    """A recorded sound and what is done to it.

    :param sound: its name in the library.
    :param semitones: change of pitch; ``low``, ``middle`` (Hz, dB) and ``high`` as in :func:`.effects.equalise`.
    :param level: dB of its peak over that of its event's strength.
    :param layer: dB at which a synthesised step is laid under it; None = none is.
    """

    sound: str
    semitones: float = 0.0
    low: float = 0.0
    middle: tuple[float, float] = (1000.0, 0.0)
    high: float = 0.0
    level: float = 0.0
    layer: float | None = None


def deal(sounds: Sequence[LibrarySound]) -> dict[str, str]:
    """The split of each sound, by its name; the same in any order of the sounds."""
    groups: dict[tuple, list[LibrarySound]] = {}
    first: dict[str, tuple] = {}
    for sound in sorted(sounds, key=lambda one: (one.category, one.surface or "", one.loop, one.name)):
        # a recording that serves several classes is dealt with the first of them
        group = first.setdefault(sound.recording, (sound.category, sound.surface, sound.loop, sound.synthesised))
        groups.setdefault(group, []).append(sound)
    splits = {}
    for members in groups.values():
        recordings = {sound.recording for sound in members}
        by_take = len(recordings) < 3
        keys = sorted({_key(sound, by_take) for sound in members}, key=_order)
        count = len(keys)
        test = max(round(TEST * count), 1) if count > 1 else 0
        valid = max(round(VALID * count), 1) if count > 2 else 0
        split_of = {key: "test" if n < test else "valid" if n < test + valid else "train" for n, key in enumerate(keys)}
        splits |= {sound.name: split_of[_key(sound, by_take)] for sound in members}
    return splits


def _key(sound: LibrarySound, by_take: bool) -> str:
    return f"{sound.recording}\n{sound.take}" if by_take else sound.recording


def _order(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@lru_cache(1)
def _dealt() -> dict[str, str]:
    return deal(bundled_library().sounds)


@lru_cache(1)
def _by_name() -> dict[str, LibrarySound]:
    return {sound.name: sound for sound in bundled_library().sounds}


def sounds_for(split: str, category: str, surface: str | None = None, loop: bool = False) -> tuple[LibrarySound, ...]:
    """A split's sounds of a class, on a surface where one is given, in the order of their names."""
    dealt = _dealt()
    found = (sound for sound in bundled_library().sounds if dealt[sound.name] == split)
    kind = (category, loop)
    return tuple(
        sorted(
            (one for one in found if (one.category, one.loop) == kind and surface in (None, one.surface)),
            key=lambda one: one.name,
        )
    )


class Samples:
    """Samples by a sound's name, out of a library: the bundled one, or the one that a set of rooms was made with."""

    def __init__(self, library: SoundLibrary | None = None):
        self.library = library or bundled_library()
        self._by_name = {sound.name: sound for sound in self.library.sounds}

    def __getitem__(self, name: str) -> np.ndarray:
        """Mono float32 ``[N]`` at 44.1 kHz. Raises StereoSyncError where the library has no sound of that name."""
        if name not in self._by_name:
            raise StereoSyncError(f"Rooms: the library has no sound {name!r} any more; make the rooms again with make-rooms.")
        return self.library.samples(self._by_name[name])

    @lru_cache(512)  # noqa: B019 - libraries are few, and live as long as the process
    def lasts(self, name: str) -> float:
        """Seconds in which a sound gives off all but a hundredth of its energy."""
        energy = np.cumsum(self[name].astype(np.float64) ** 2)
        return float(np.searchsorted(energy, 0.99 * energy[-1]) / RATE)


@lru_cache(8)
def samples_in(folder: Path | None = None) -> Samples:
    """The samples of the library in a folder, or of the bundled one where there is none."""
    return Samples(indexed_library(folder) if folder is not None and folder.is_dir() else None)


def keep_library(folder: Path) -> None:
    """Copy the bundled library, so that what was made with it can be read when it has changed."""
    if not folder.exists():
        half = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(asset_path(INDEX).parent, half)
        half.replace(folder)


def library_version() -> str:
    """Short checksum of the names, recordings and splits of all sounds: rooms of another library are another set."""
    rows = sorted(f"{name} {_by_name()[name].recording} {split}" for name, split in _dealt().items())
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:12]


def draw_takes(
    generator: Generator, sounds: Sequence[LibrarySound], strengths: np.ndarray, *, layers: bool = False
) -> tuple[Take, ...]:
    """A take for each of the events ``[N]``, of one recording among ``sounds``, in turn, with a voice of its own.

    The voice: up to three semitones and 6 dB of equaliser; an event differs from it by up to a semitone and 2 dB, and is
    brighter where it is stronger. ``layers``: a third of the voices has a synthesised step 6 to 14 dB under each.
    """
    recordings = sorted({sound.recording for sound in sounds})
    recording = recordings[int(generator.integers(len(recordings)))]
    own = [sound for sound in sounds if sound.recording == recording]
    pitch, low, bell, high = generator.uniform(-3, 3), *generator.uniform(-6, 6, 3)
    centre = float(400 * 8 ** generator.random())
    layer = float(generator.uniform(-14, -6)) if layers and generator.random() < 1 / 3 else None
    turn = int(generator.integers(len(own)))
    takes = []
    for n, strength in enumerate(strengths):
        bend, dark, light, soft = generator.uniform(-1, 1, 4)
        takes.append(
            Take(
                sound=own[(turn + n) % len(own)].name,
                semitones=round(float(pitch + bend), 4),
                low=round(float(low + 1.5 * dark), 3),
                middle=(round(centre, 1), round(float(bell), 3)),
                high=round(float(high + 1.5 * light + 8 * (strength - 0.8)), 3),
                level=round(float(soft - 1), 3),
                layer=None if layer is None else round(layer, 3),
            )
        )
    return tuple(takes)
