"""The recipe: from a split, a seed and a number to everything about a clip, before the engine plays it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence

from stereosync_core.errors import StereoSyncError

from . import camera as cameras
from . import walkers
from .acoustics import Acoustics, draw_acoustics
from .camera import Camera
from .room import FLOORS, Lump, Room, Value, make_room, snow_flat, textmap, wad
from .sources import make_source
from .voices import PREROLL, TICS_PER_SECOND
from .walkers import Walker, make_walker

#: Raise when the same seed makes another clip.
RECIPE = 2
SPLITS = ("train", "valid", "test")
#: Part of the rooms with another source than steps, and part with such sources alone.
WITH_SOURCE, WITHOUT_WALKER = 0.4, 0.1
#: More walkers and sources than this are in no room.
MOST_ACTORS = 3
#: A walker never comes nearer to the camera than this, in units.
NEAREST_TO_CAMERA = 72.0
_FIRST_EDITOR_NUMBER = 12001


@dataclass(frozen=True)
class Plan:
    """A clip before it is played; ``tics`` are the clip's, without the pre-roll. Other sources stand after the walkers."""

    split: str
    seed: int
    number: int
    tics: int
    room: Room
    camera: Camera
    walkers: tuple[Walker, ...]
    acoustics: Acoustics

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.tics / TICS_PER_SECOND


def make_plan(split: str, seed: int, number: int, seconds: float = 4.0) -> Plan:
    """The plan of clip ``number``. Splits never share a draw: a clip's generator is seeded with the split, and a walker's sound
    seed carries it in its upper bits, whatever ``seed`` is.

    :raises StereoSyncError: for an unknown split, or numbers out of range.
    """
    if split not in SPLITS:
        raise StereoSyncError(f"Rooms: there is no split {split!r}; choose one of {', '.join(SPLITS)}.")
    if not 0.5 <= seconds <= 60 or not 0 <= seed < 2**63 or number < 0:
        raise StereoSyncError(f"Rooms: {seconds} seconds, seed {seed}, clip {number}; give 0.5 to 60 seconds, no negatives.")
    generator = Generator(PCG64(SeedSequence([SPLITS.index(split), seed, number])))
    tics = round(seconds * TICS_PER_SECOND)
    while True:
        plan = _draw(generator, split, seed, number, tics)
        if plan is not None:
            return plan


def _draw(generator: Generator, split: str, seed: int, number: int, tics: int) -> Plan | None:
    """One try; None where the room has no place for what was drawn."""
    surface = str(generator.choice(list(FLOORS)))
    room = make_room(generator, surface)
    total = tics + PREROLL
    kind = str(generator.choice(cameras.KINDS, p=[0.4, 0.3, 0.3]))
    people = int(generator.choice([1, 2, 3], p=[0.5, 0.3, 0.2]))
    chance, others = generator.random(), 0
    if chance < WITHOUT_WALKER:
        people, others = 0, 1 + int(generator.random() < 0.3)
    elif chance < WITH_SOURCE:
        people, others = min(people, MOST_ACTORS - 1), 1
    seeds = [(SPLITS.index(split) << 60) + int(generator.integers(2**60)) for _ in range(people + others)]
    makers = [make_walker] * people + [make_source] * others

    def anywhere() -> np.ndarray:
        return room.place(generator, walkers.MARGIN + 8)

    if kind == "follow":
        first = _retry(lambda: makers[0](generator, room, total, split, seeds[0], anywhere, lambda path: False))
        camera = cameras.following_camera(generator, room, first.path) if first is not None else None
        chosen = [first] if first is not None else []
    else:
        camera, chosen = cameras.standing_camera(generator, room, total, kind), []
    if camera is None:
        return None
    view = camera

    def in_sight() -> np.ndarray:
        """Mostly a place that the camera sees, anywhere in the frame: without the draw most would be in its middle."""
        if generator.random() < 0.08:
            return anywhere()
        wanted = generator.uniform(-1, 1)
        places = np.stack([anywhere() for _ in range(12)])
        when = int(generator.integers(total))
        sides = cameras.bearing(view.path[when], view.angle[when], places)
        return places[int(np.argmin(np.abs(cameras.screen_azimuth(sides) - wanted) + (np.abs(sides) > np.pi / 4)))]

    def too_near(path: np.ndarray) -> bool:
        return bool((np.linalg.norm(path - view.path, axis=1) < NEAREST_TO_CAMERA).any())

    if any(too_near(walker.path) for walker in chosen):
        return None
    for make, own in zip(makers[len(chosen) :], seeds[len(chosen) :], strict=True):
        walker = _retry(lambda make=make, own=own: make(generator, room, total, split, own, in_sight, too_near))
        if walker is None:
            return None
        chosen.append(walker)
    if not any(len(walker.step_tics) or walker.loop for walker in chosen):
        return None
    middle = total // 2
    source = np.mean([walker.path[middle] for walker in chosen], axis=0)
    seed_of_room = (SPLITS.index(split) << 60) + int(generator.integers(2**60))
    place, angle = camera.path[middle], float(camera.angle[middle])
    answer = draw_acoustics(generator, room, place, angle, source, seed_of_room)
    return Plan(split, seed, number, tics, room, camera, tuple(chosen), answer)


def _retry(make: Callable[[], Walker | None], tries: int = 12) -> Walker | None:
    for _ in range(tries):
        made = make()
        if made is not None:
            return made
    return None


def plan_sounds(plan: Plan) -> list[list[np.ndarray]]:
    """What the engine plays for each walker, float32 at 44.1 kHz."""
    return [walkers.engine_sounds(walker, plan.tics + PREROLL) for walker in plan.walkers]


def plan_archive(plan: Plan, played: list[list[np.ndarray]] | None = None) -> bytes:
    """The WAD that plays the plan; ``played`` is its :func:`plan_sounds` where they are there already."""
    definitions, lumps, sounds = [cameras.actor(plan.camera)], [], []
    things = [_thing(1, plan.camera.path[0], plan.camera.angle[0])]
    for number, (walker, own) in enumerate(zip(plan.walkers, played or plan_sounds(plan), strict=True)):
        definitions.append(walkers.actor(number, _FIRST_EDITOR_NUMBER + number, walker))
        things.append(_thing(_FIRST_EDITOR_NUMBER + number, walker.path[0], walker.heading[0]))
        own_lumps, lines = walkers.sound_lumps(number, own)
        lumps += own_lumps
        sounds += lines
    return wad(
        [
            Lump("ZMAPINFO", b'GameInfo { PlayerClasses = "RoomCamera" }\n'),
            Lump("DECORATE", "".join(definitions).encode("ascii")),
            Lump("SNDINFO", "\n".join(sounds).encode("ascii")),
            *lumps,
            Lump("FF_START"),
            Lump("SNOWFLAT", snow_flat()),
            Lump("FF_END"),
            Lump("MAP01"),
            Lump("TEXTMAP", textmap(plan.room, things)),
            Lump("ENDMAP"),
        ]
    )


def _thing(kind: int, place: np.ndarray, angle: float) -> dict[str, Value]:
    return {"type": kind, "x": float(place[0]), "y": float(place[1]), "angle": round(np.rad2deg(angle)) % 360}
