"""Which sound an event has: by what its track is and what happens to it, by a user's own words, by a user's own sound."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import StereoSyncError
from ..media.sound import Sound
from .folder import SURFACED, folder_library, library_of_sound
from .library import LibrarySound, SoundLibrary, bundled_library, require_category

_VEHICLES = ("car", "truck", "bus", "train", "motorcycle")
#: Class of what is hit, by the track's label; anything else sounds like a dull hit.
_STRUCK = {
    **dict.fromkeys(("bottle", "wine glass", "cup", "vase", "bowl"), "glass"),
    **dict.fromkeys(("fork", "knife", "spoon", "scissors", "bicycle", "fire hydrant"), "metal_hit"),
    **dict.fromkeys(("chair", "bench", "dining table", "skateboard", "baseball bat", "skis", "surfboard"), "wood_hit"),
    **dict.fromkeys(_VEHICLES, "crash"),
}
#: What a kind of event is where its track's label has no sound of its own.
_USUAL = {"step": "footstep", "landing": "landing", "impact": "hit", "clap": "clap", "onset": "hit"}
#: Whose class is its voice, and not what it sounds like when it is struck.
_VOICED = {"person", "dog", "cat", "horse", "sheep", "cow", "bird", "elephant", "bear", *_VEHICLES, "boat", "airplane"}
_EVERYTHING = "*"


@dataclass(frozen=True)
class _Choice:
    library: SoundLibrary
    category: str
    recording: str | None = None


class SoundSelection:
    """A library and what a user prefers to it.

    :param classes: text such as ``impact = door, dog = cat, car loop = truck``: left what happens - a track's label, a kind of
        event, both, or a label and ``loop`` - and right the class, with ``/`` and a recording's name behind it where one alone
        is meant. The more words on the left, the more it counts.
    :param own: a sound that goes before the library, for ``own_for``: words as on the left above, parted by commas; all
        events where that is empty.
    :raises StereoSyncError: the text is not of that form, a class or recording is in no library, or the sound is silent.
    """

    def __init__(self, library: SoundLibrary, classes: str = "", own: Sound | None = None, own_for: str = ""):
        self.library = library
        self._choices: dict[str, _Choice] = {}
        for word, value in check_classes(classes):
            category, _, recording = (piece.strip() for piece in value.partition("/"))
            found = {sound.recording for sound in require_category(library, category, loop=word.endswith(" loop"))}
            if recording and recording not in found:
                names = ", ".join(sorted(found))
                raise StereoSyncError(f"Classes of sounds: {category} has no recording '{recording}'; it has {names}.")
            self._choices[word] = _Choice(library, category, recording or None)
        if own is not None:
            self._choices |= dict.fromkeys(_parts(own_for) or [_EVERYTHING], _Choice(library_of_sound(own), "own"))

    def one_shots(self, label: str | None, kind: str, surface: str) -> tuple[str, SoundLibrary, tuple[LibrarySound, ...]]:
        """The class, library and sounds of an event of ``kind`` on a track; recorded ones alone where there are any. Raises
        StereoSyncError where the library has none."""
        choice = self._chosen(f"{label} {kind}", label, kind, _EVERYTHING) or self._usual(label, kind)
        sounds = choice.library.of(choice.category, surface if choice.category in SURFACED else None)
        if not sounds and choice.category == "landing":
            choice = replace(choice, category="footstep")
            sounds = choice.library.of(choice.category, surface)
        sounds = sounds or require_category(choice.library, choice.category)
        if choice.recording:
            sounds = tuple(sound for sound in sounds if sound.recording == choice.recording) or sounds
        return choice.category, choice.library, tuple(sound for sound in sounds if not sound.synthesised) or sounds

    def loops(self, label: str | None) -> tuple[SoundLibrary, tuple[LibrarySound, ...]]:
        """The library and the loops that sound as long as a thing is there: none for most. Recorded ones go first."""
        choice = self._chosen(f"{label} loop") or _Choice(self.library, label or "")
        sounds = choice.library.of(choice.category, loop=True)
        if choice.recording:
            sounds = tuple(sound for sound in sounds if sound.recording == choice.recording) or sounds
        return choice.library, tuple(sorted(sounds, key=lambda sound: sound.synthesised))

    def _chosen(self, *words: str | None) -> _Choice | None:
        return next((self._choices[word] for word in words if word in self._choices), None)

    def _usual(self, label: str | None, kind: str) -> _Choice:
        own_class = label if label is not None and self.library.of(label) else None
        category = _USUAL[kind]
        if kind == "impact":
            category = (None if label in _VOICED else own_class) or _STRUCK.get(label or "", category)
        elif kind == "onset" and label != "person":
            category = own_class or category
        return _Choice(self.library, category)


def check_classes(text: str) -> list[tuple[str, str]]:
    """What happens, and the class of each part; see :class:`SoundSelection`. Raises StereoSyncError for another form."""
    pairs = []
    for part in _parts(text):
        word, equals, value = (piece.strip() for piece in part.partition("="))
        if not (word and equals and value):
            raise StereoSyncError(f"Classes of sounds: '{part}' is not of the form 'impact = door'; parts end in a comma.")
        pairs.append((word, value))
    return pairs


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.replace("\n", ",").split(",") if part.strip()]


def chosen_library(folder: str | Path = "") -> SoundLibrary:
    """The bundled library; with a folder, that one's classes before the bundled ones. Raises StereoSyncError as
    :func:`folder_library`."""
    return joined(folder_library(folder)) if str(folder) else bundled_library()


def joined(first: SoundLibrary, second: SoundLibrary | None = None) -> SoundLibrary:
    """One library of two: the classes of the first, and what it lacks from the second (None: the bundled one). Of footsteps
    and landings each surface counts for itself, and loops apart from one-shots."""

    def place(sound: LibrarySound) -> tuple:
        return sound.category, sound.surface, sound.loop

    second = bundled_library() if second is None else second
    there, names = {place(sound) for sound in first.sounds}, {sound.name for sound in first.sounds}
    rest = [sound for sound in second.sounds if place(sound) not in there]
    return SoundLibrary([*first.sounds, *rest], load=lambda one: (first if one.name in names else second).samples(one))
