"""Other sources than steps: animals, vehicles, balls, doors, water and fire, people who jump; with one-shots at events of their
own, or a loop that goes on. They are played, tracked and stored as walkers are, by sprites that look roughly like them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.random import Generator

from stereosync_core.sounds.library import bundled_library

from .room import UNITS_PER_METRE, Room
from .takes import draw_takes, sounds_for
from .voices import PREROLL, TICS_PER_SECOND
from .walkers import MARGIN, SPRITES, Walker, walk


@dataclass(frozen=True)
class SourceKind:
    """How a class of sounds looks and moves.

    :param sprites: one of them is drawn; see :data:`.walkers.SPRITES`.
    :param event: kind of its events.
    :param gaps: seconds between events, least and most.
    :param moves: part of the sources that move, at ``speed`` in metres a second, least and most.
    :param rise: metres that it leaves the floor between two events (balls, jumps), at most.
    :param label: of its tracks; the class where it is empty.
    """

    sprites: tuple[str, ...]
    event: str = "onset"
    gaps: tuple[float, float] = (0.5, 1.6)
    moves: float = 0.0
    speed: tuple[float, float] = (0.5, 1.6)
    rise: float = 0.0
    label: str = ""


_FOUR_LEGS = SourceKind(("SARG", "BOS2", "FATT"), moves=0.6)
_HOOVES = SourceKind(("SARG", "BOS2"), gaps=(0.8, 2.0), moves=0.9, speed=(1.5, 3.5))
_FLIES = SourceKind(("SKUL", "HEAD", "PAIN"), gaps=(0.3, 1.2), moves=0.7)
_DRIVES = SourceKind(("BSPI", "SPID", "CYBR"), gaps=(1.0, 2.5), moves=0.8, speed=(1.0, 3.5))
_BALL = SourceKind(("BAL1", "BAL2", "BAL7"), "impact", (0.35, 0.8), 0.8, (0.8, 2.5), 0.9)
_THING = SourceKind(("BAR1", "FCAN", "COL1", "COLU", "BBRN"), "impact", (0.4, 1.4))
_FLAME = SourceKind(("FIRE", "TRED", "CBRA"))
_WATER = SourceKind(("TLP2", "TGRN", "COL1"))
_STANDS = SourceKind(("TLMP", "ELEC", "TRE1", "CBRA", "FCAN"))
_CROWD = SourceKind(("PLAY", "POSS", "SPOS"), gaps=(0.4, 1.2), moves=0.2)
_JUMPS = SourceKind(("PLAY", "CPOS", "POSS"), "landing", (0.8, 1.6), 0.0, (0.5, 1.0), 0.5, "person")

#: What a class of the library looks like; others stand as lamps and trees.
KINDS: dict[str, SourceKind] = {
    **dict.fromkeys(("dog", "cat", "horse", "sheep", "cow", "pig", "elephant", "bear", "lion", "monkey"), _FOUR_LEGS),
    **dict.fromkeys(("bird", "frog"), _FLIES),
    **dict.fromkeys(("car", "truck", "bus", "train", "motorcycle", "boat", "airplane", "helicopter", "siren"), _DRIVES),
    **dict.fromkeys(("door", "hit", "metal_hit", "wood_hit", "glass", "bell", "dig", "crash", "pop"), _THING),
    **dict.fromkeys(("fire", "spark"), _FLAME),
    **dict.fromkeys(("water", "stream", "splash"), _WATER),
    **dict.fromkeys(("clap", "applause", "crowd", "breath"), _CROWD),
    "person": replace(_CROWD, gaps=(1.0, 2.5)),
    "hooves": _HOOVES,
    "sports ball": _BALL,
    "landing": _JUMPS,
}
#: Classes that come from no place in a room: the weather; footsteps are the walkers'.
PLACELESS = ("footstep", "rain", "thunder", "wind", "heartbeat")


def source_classes(split: str, surface: str) -> list[tuple[str, bool]]:
    """``(class, loop)`` of all that a split has sounds for, in order; landings on this surface alone."""
    found = []
    for category, loop in _classes():
        on = surface if category == "landing" else None
        if sounds_for(split, category, on, loop):
            found.append((category, loop))
    return found


def _classes() -> list[tuple[str, bool]]:
    return sorted({(one.category, one.loop) for one in bundled_library().sounds if one.category not in PLACELESS})


def make_source(
    generator: Generator,
    room: Room,
    tics: int,
    split: str,
    sound_seed: int,
    target: Callable[[], np.ndarray],
    keep_out: Callable[[np.ndarray], bool],
) -> Walker | None:
    """A random source, or None where the path drawn does not fit the room, or the split has no sounds. A third are loops,
    where there are any; classes are drawn evenly."""
    classes = source_classes(split, room.surface)
    wanted = generator.random() < 1 / 3
    chosen = [one for one in classes if one[1] == wanted] or classes
    if not chosen:
        return None
    category, loop = chosen[int(generator.integers(len(chosen)))]
    kind = KINDS.get(category, _STANDS)
    path, moving = _path(generator, room, kind, tics, target)
    if path is None or keep_out(path):
        return None
    sprite = str(generator.choice(kind.sprites))
    events = np.zeros(0, dtype=int) if loop else _events(generator, kind, tics)
    strengths = np.clip(generator.uniform(0.5, 0.95) * generator.uniform(0.75, 1.1, len(events)), 0.2, 1.0)
    sounds = sounds_for(split, category, room.surface if category == "landing" else None, loop)
    ahead = np.diff(path, axis=0, append=path[-1:])
    heading = np.full(tics, generator.uniform(-np.pi, np.pi))
    if moving.any():
        heading = np.arctan2(ahead[:, 1], ahead[:, 0])
        for n in range(1, tics):
            if not moving[n]:
                heading[n] = heading[n - 1]
    frames = np.arange(tics) // 5 % len(SPRITES[sprite].walk)
    return Walker(
        surface=room.surface,
        shoe="sneaker",
        weight=0.5,
        sound_seed=sound_seed,
        takes=draw_takes(generator, sounds, np.full(1, 0.8) if loop else strengths),
        loop=loop,
        loop_strength=round(float(generator.uniform(0.25, 0.8)), 4) if loop else 0.0,
        longest=_longest(events),
        path=path,
        heights=_heights(generator, kind, events, tics),
        heading=heading,
        frames=frames if moving.any() or not SPRITES[sprite].legs else np.zeros(tics, dtype=int),
        step_tics=events,
        strengths=strengths,
        cadence=0.0,
        sprite=sprite,
        scale=float(generator.uniform(0.85, 1.15)) * (1.6 if kind is _BALL else 1.0),
        translation="",
        label=kind.label or category,
        category=category,
        kind=kind.event,
    )


def _path(
    generator: Generator, room: Room, kind: SourceKind, tics: int, target: Callable[[], np.ndarray]
) -> tuple[np.ndarray | None, np.ndarray]:
    moving = np.zeros(tics, dtype=bool)
    if generator.random() >= kind.moves:
        place = target()
        return (np.tile(place, (tics, 1)) if room.clear(place, MARGIN + 8).all() else None), moving
    moving[:] = True
    if generator.random() < 0.3:
        pause = int(generator.integers(0, tics))
        moving[pause : pause + int(generator.integers(20, 60))] = False
    speed = generator.uniform(*kind.speed) * UNITS_PER_METRE / TICS_PER_SECOND
    return walk(generator, room, speed, moving, target), moving


def _events(generator: Generator, kind: SourceKind, tics: int) -> np.ndarray:
    """Tics of the events, in the clip; a source's gaps are alike, those of balls and jumps nearly so."""
    low, high = kind.gaps
    mean, spread = generator.uniform(low, high), 0.08 if kind.rise else 0.35
    found, at = [], PREROLL + generator.uniform(0.05, 1.0) * mean * TICS_PER_SECOND
    while at < tics - 3:
        found.append(int(at))
        at += max(mean * generator.uniform(1 - spread, 1 + spread) * TICS_PER_SECOND, 6)
    return np.array(found, dtype=int)


def _heights(generator: Generator, kind: SourceKind, events: np.ndarray, tics: int) -> np.ndarray:
    """Units above the floor ``[tics]``: a parabola from each event to the next."""
    heights = np.zeros(tics)
    if not kind.rise or len(events) < 2:
        return heights
    top = generator.uniform(0.4, 1.0) * kind.rise * UNITS_PER_METRE
    jumps = kind.event == "landing"
    for start, end in pairwise(events):
        # who jumps stands for a while first
        start = max(start, end - 18) if jumps else start
        part = np.linspace(0, 1, end - start + 1)
        heights[start : end + 1] = 4 * top * part * (1 - part)
    return heights


def _longest(events: np.ndarray) -> float:
    """Seconds that each sound may last where no more than four are to sound at once."""
    return round(float(min(2.5, 3.5 * np.diff(events).min(initial=999) / TICS_PER_SECOND)), 4)
