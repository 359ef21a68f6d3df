"""Sounds at events: a one-shot of a library for each, and loops for what sounds as long as it is there; a voice for each track.

The attack's first sample falls on the event to a sample. Takes change round by round without one twice in a row, each a little
other in pitch and level; a weaker event is softer and duller. One track keeps to one recording, so that a walker stays in his
shoes, and another track takes another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.signal import resample as fourier_resample

from ..errors import StereoSyncError
from ..scene import Track, Tracks
from ..scene_events import Event, Events, check_events_fit
from ..scratch import extremes, multiply, zeros
from ..sounds.library import LibrarySound
from ..sounds.selection import SoundSelection
from ..sounds.shape import RATE
from .filters import butterworth
from .lazy_voices import LazyVoices
from .loops import loop_blocks
from .surfaces import SURFACES
from .voices import by_owner

#: When loops sound: while their thing is in the picture, on and on, or never.
CONTINUOUS = ("present", "always", "off")
#: dB of a class beside a footstep's, at one loudness of the recordings; others as a hit.
_LEVELS = {"footstep": 0.0, "landing": 4.0, "clap": 2.0, "breath": -8.0, "glass": 2.0, "own": 3.0}
_OTHERS = 3.0
#: Treble of an event of strength 0 beside one of strength 1, dB above the corner in Hz.
_DULL, _CORNER = -12.0, 1800.0
#: A toe after its heel: seconds, the range of its level in dB.
_TOE_AFTER, _TOE_LEVEL = 0.1, -8.0
#: A recording with so many takes is enough for one track.
_ENOUGH = 3


@dataclass(frozen=True)
class OneShotSettings:
    """Settings of :func:`sound_voices`.

    :param surface: of footsteps and landings, a key of ``SURFACES``.
    :param pitch: semitones (standard deviation) by which takes differ in pitch, 0..6; ``gain`` in dB, 0..12.
    :param toe: level of the ball of the foot after the heel, 0 = no second contact .. 1. An event is one moment, hence 0.
    :param offset: seconds by which all events are later, or earlier below 0.
    :param continuous: of loops, one of :data:`CONTINUOUS`.
    :param doppler: whether the pitch of loops moves with their thing's approach.
    :param seed: the same seed gives the same samples.
    :raises StereoSyncError: for a value that is not known or out of range.
    """

    surface: str = "concrete"
    pitch: float = 0.4
    gain: float = 1.0
    toe: float = 0.0
    offset: float = 0.0
    continuous: str = "present"
    doppler: bool = False
    seed: int = 0
    rate: int = 48000

    def __post_init__(self):
        for name, known in (("surface", SURFACES), ("continuous", CONTINUOUS)):
            if getattr(self, name) not in known:
                raise StereoSyncError(f"Sounds at events: {name} is '{getattr(self, name)}'; choose {', '.join(known)}.")
        ranges = {"pitch": (0, 6), "gain": (0, 12), "toe": (0, 1), "offset": (-3600, 3600), "rate": (8000, 192000)}
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:  # false for NaN as well
                raise StereoSyncError(f"Sounds at events: {name} is {getattr(self, name)}; give {low} to {high}.")


def sound_voices(
    events: Events, tracks: Tracks, selection: SoundSelection, settings: OneShotSettings | None = None
) -> tuple[LazyVoices, list[list[tuple[float, str]]]]:
    """A mono voice for each track with the sounds of its events and, where its class has loops, what it sounds all along.

    Events whose track is not among ``tracks`` go to the first one; without tracks there is one voice that is nobody's.

    :return: B voices float32 ``[1, N]``, ``N = round(duration * rate)``, each made on access, and what each plays:
        seconds and sounds' names.
    :raises StereoSyncError: for events of another clip, and for a class of which the library has no sound.
    """
    settings = settings or OneShotSettings()
    check_events_fit(events, tracks.duration)
    total = round(tracks.duration * settings.rate)
    players = []
    for place, (owner, own) in enumerate(by_owner(events, tracks)):
        player = _Player(selection, settings, place, owner, total)
        for event in own:
            player.play(event)
        if owner is not None and settings.continuous != "off":
            player.sound_all_along()
        players.append(player)
    return LazyVoices(len(players), lambda place: players[place].voice(tracks)), [player.played for player in players]


@dataclass(frozen=True)
class _Hit:
    """A one-shot to be played: from which sample on, at which level in dB, raised in pitch by a factor, how hard struck."""

    start: int
    level: float
    samples: np.ndarray
    factor: float
    strength: float


class _Player:
    """One voice: which takes have been, and chance that belongs to its track."""

    def __init__(self, selection: SoundSelection, settings: OneShotSettings, place: int, owner: Track | None, total: int):
        self.selection, self.settings, self.place, self.owner, self.total = selection, settings, place, owner, total
        self.label = None if owner is None else owner.label
        self.random = np.random.default_rng([settings.seed % 2**64, place])
        self.decks: dict[str, Iterator[LibrarySound]] = {}
        self.played: list[tuple[float, str]] = []
        self.hits: list[_Hit] = []
        self.loop: tuple[np.ndarray, float] | None = None  # samples, and where in it is begun, 0..1

    def play(self, event: Event) -> None:
        """Takes the event's sound up, where it begins within the clip."""
        rate, random = self.settings.rate, self.random
        category, library, sounds = self.selection.one_shots(self.label, event.kind, self.settings.surface)
        sound = self._next(category, sounds)
        jitter = np.clip(random.standard_normal(2), -2, 2)
        start = round((event.time + self.settings.offset) * rate)
        if not 0 <= start < self.total or event.strength <= 0:
            return
        self.played.append((start / rate, sound.name))
        level = _LEVELS.get(category, _OTHERS) + self.settings.gain * jitter[0] + 20 * np.log10(event.strength)
        factor = 2 ** (self.settings.pitch * jitter[1] / 12)
        self.hits.append(_Hit(start, level, library.samples(sound), factor, event.strength))
        if self.settings.toe > 0 and event.kind == "step":
            # the ball comes down softer, on another spot
            toe = self._next(category, sounds)
            later = start + round(rate * _TOE_AFTER * np.exp(0.15 * jitter[0]))
            softer = level + _TOE_LEVEL + 20 * np.log10(self.settings.toe)
            self.hits.append(_Hit(later, softer, library.samples(toe), factor, 0.5 * event.strength))

    def sound_all_along(self) -> None:
        """Takes up what the track sounds all along: nothing where its class has no loop."""
        library, loops = self.selection.loops(self.label)
        if loops:
            loop = loops[self.place % len(loops)]
            self.played.append((0.0, loop.name))
            self.loop = (library.samples(loop), self.random.random())

    def voice(self, tracks: Tracks) -> np.ndarray:
        """All that was taken up, ``[N]``."""
        voice, rate = zeros((1, self.total))[0], self.settings.rate
        for hit in self.hits:
            add(voice, hit.start, _struck(hit.samples, rate, hit.factor, hit.strength), hit.level)
        if self.loop is not None and self.owner is not None:
            options = {"always": self.settings.continuous == "always", "doppler": self.settings.doppler}
            samples, begin = self.loop
            for start, sound in loop_blocks(self.owner, tracks, samples, rate, self.total, begin=begin, **options):
                add(voice, start, sound, 0.0)
        low, high = extremes(voice)
        peak = max(high, -low)
        if peak > 0.98:
            multiply(voice, np.float32(0.98 / peak))
        return voice

    def _next(self, category: str, sounds: tuple[LibrarySound, ...]) -> LibrarySound:
        if category not in self.decks:
            self.decks[category] = self._deck(self._own(sounds))
        return next(self.decks[category])

    def _own(self, sounds: tuple[LibrarySound, ...]) -> list[LibrarySound]:
        """The takes of this track's recording, or all where no recording has enough. The one with most takes comes first."""
        by_recording: dict[str, list[LibrarySound]] = {}
        for sound in sounds:
            by_recording.setdefault(sound.recording, []).append(sound)
        rich = sorted((takes for takes in by_recording.values() if len(takes) >= _ENOUGH), key=len, reverse=True)
        return rich[(self.place + self.settings.seed) % len(rich)] if rich else list(sounds)

    def _deck(self, takes: list[LibrarySound]) -> Iterator[LibrarySound]:
        """The takes in ever new order, none twice in a row."""
        last = None
        while True:
            order = [takes[int(n)] for n in self.random.permutation(len(takes))]
            if len(order) > 1 and order[0] is last:
                order.append(order.pop(0))
            yield from order
            last = order[-1]


def add(voice: np.ndarray, start: int, sound: np.ndarray, level: float) -> None:
    """Adds a sound to a voice from a sample on, at a level in dB; what overhangs is left out."""
    part = sound[: max(len(voice) - start, 0)]
    voice[start : start + len(part)] += 10 ** (level / 20) * part


def _struck(samples: np.ndarray, rate: int, factor: float, strength: float) -> np.ndarray:
    """A library's one-shot ``[N]`` at another rate, raised in pitch by ``factor``, as dull as its strength wants it."""
    result = samples.astype(np.float64)
    if rate != RATE or factor != 1:
        padded = np.pad(result, (0, 512))  # what rings before the attack comes round to the end, and is cut with it
        count = round(len(padded) * rate / (RATE * factor))
        result = np.asarray(fourier_resample(padded, count))[: round(len(result) * rate / (RATE * factor))]
    bass = butterworth(result, _CORNER, "lowpass", rate, order=1)
    return bass + (result - bass) * 10 ** (_DULL * (1 - strength) / 20)
