"""Walkers: where they go, tic by tic, when their feet come down, how they look and how their steps sound.

A walker is planned here and played by the engine as an actor whose every tic is a state: velocity, animation frame and, on the
frames where a foot comes down, a sound. So the animation, the sound and the step times are one and the same thing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from stereosync_core.rendering.footsteps import PEAK
from stereosync_core.rendering.gait import WALK_RATIO, Steps
from stereosync_core.rendering.surfaces import SHOES

from .acoustics import NEAREST
from .effects import peak_of
from .room import UNITS_PER_METRE, Lump, Room, dmx_sound
from .takes import draw_takes, sounds_for
from .voices import LOOP_TIC, PREROLL, RATE, TIC, TICS_PER_SECOND, Voice

MARGIN = 18.0  # of a walker's middle from the walls, units
_TURN = np.deg2rad(7.0)  # most a walker turns in a tic
#: Part of the walkers whose steps are recorded ones, where there are any for their surface.
RECORDED = 0.6


@dataclass(frozen=True)
class Sprite:
    """Frames of a figure of the game: ``walk`` over and over, ``act`` for an event that is no step; width and height in
    pixels; ``legs``: it stands still on its first frame."""

    walk: str
    act: str = ""
    width: int = 36
    height: int = 56
    legs: bool = True


#: People, those frames with a foot coming down first and third.
PEOPLE = {"PLAY": "BCDA", "CPOS": "BCDA", "POSS": "ABCD", "SPOS": "ABCD", "SSWV": "ABCD"}
SPRITES = {
    **{name: Sprite(walk) for name, walk in PEOPLE.items()},
    "SARG": Sprite("ABCD", "EFG", 38, 59),
    "BOS2": Sprite("ABCD", "EFG", 49, 69),
    "FATT": Sprite("ABCD", "GHI", 63, 64),
    "HEAD": Sprite("A", "BCD", 63, 66),
    "SKUL": Sprite("AB", "CD", 30, 39, legs=False),
    "PAIN": Sprite("ABC", "DEF", 74, 66, legs=False),
    "BSPI": Sprite("ABCD", "", 128, 54),
    "SPID": Sprite("ABCD", "", 256, 100),
    "CYBR": Sprite("ABCD", "EF", 89, 102),
    "BAR1": Sprite("A", "B", 23, 32),
    "BBRN": Sprite("A", "B", 55, 120),
    "FCAN": Sprite("ABC", "", 25, 63, legs=False),
    "COL1": Sprite("A", "", 35, 56),
    "COLU": Sprite("A", "", 18, 48),
    "CBRA": Sprite("A", "", 31, 61),
    "ELEC": Sprite("A", "", 26, 128),
    "TRE1": Sprite("A", "", 51, 70),
    "TLMP": Sprite("ABCD", "", 18, 80, legs=False),
    "TLP2": Sprite("ABCD", "", 16, 57, legs=False),
    "TGRN": Sprite("ABCD", "", 22, 99, legs=False),
    "TRED": Sprite("ABCD", "", 21, 90, legs=False),
    "FIRE": Sprite("ABCD", "", 39, 57, legs=False),
    "BAL1": Sprite("AB", "", 15, 15, legs=False),
    "BAL2": Sprite("AB", "", 15, 15, legs=False),
    "BAL7": Sprite("AB", "", 20, 19, legs=False),
}
#: Tics that a frame of ``act`` lasts.
_ACT = 3
#: Other clothes: the palette's greens and blues worn as other colours.
TRANSLATIONS = ("", "112:127=96:111", "112:127=64:79", "112:127=32:47", "112:127=200:207", "192:207=112:127", "192:207=176:191")


@dataclass(frozen=True, kw_only=True)
class Walker(Voice):
    """The plan of one walker, or of another source (:mod:`.sources`). T tics in all, the clip's own after a short pre-roll.

    :param path: place ``[T, 2]`` in units at each tic; ``heights`` ``[T]`` above the floor.
    :param heading: radians ``[T]``, 0 = east, counterclockwise.
    :param frames: index into the sprite's walking frames ``[T]``.
    :param step_tics: tics ``[N]`` at which a foot comes down, or of another source's events; a loop has none.
    :param strengths: ``[N]`` in 0..1.
    :param cadence: steps a second; 0 of other sources.
    :param label: of the track; ``category`` of the sounds in the library; ``kind`` of the events.
    """

    path: np.ndarray
    heights: np.ndarray
    heading: np.ndarray
    frames: np.ndarray
    step_tics: np.ndarray
    strengths: np.ndarray
    cadence: float
    sprite: str
    scale: float
    translation: str
    label: str = "person"
    category: str = "footstep"
    kind: str = "step"

    def steps(self) -> Steps:
        """The steps on the clip's own clock."""
        times = (self.step_tics - PREROLL) / TICS_PER_SECOND
        return Steps(times, self.strengths, np.arange(len(times)) % 2)


def make_walker(
    generator: Generator,
    room: Room,
    tics: int,
    split: str,
    sound_seed: int,
    target: Callable[[], np.ndarray],
    keep_out: Callable[[np.ndarray], bool],
) -> Walker | None:
    """A random walker, or None where the path drawn does not fit the room (draw again).

    :param split: its recorded steps are used.
    :param target: gives a place to walk to.
    :param keep_out: whether a path ``[T, 2]`` goes where it may not, for example into the camera.
    """
    step_tics = int(generator.integers(12, 23))
    cadence = TICS_PER_SECOND / step_tics
    # steps grow longer with the cadence, hence the square; see WALK_RATIO
    speed = WALK_RATIO * 60 * cadence**2 * generator.uniform(0.85, 1.15) * UNITS_PER_METRE / TICS_PER_SECOND
    moving = np.ones(tics, dtype=bool)
    if generator.random() < 0.3:
        pause = int(generator.integers(0, tics))
        moving[pause : pause + int(generator.integers(20, 60))] = False
    path = walk(generator, room, speed, moving, target)
    if path is None or keep_out(path):
        return None
    ahead = np.diff(path, axis=0, append=path[-1:] * 2 - path[-2:-1])
    heading = np.arctan2(ahead[:, 1], ahead[:, 0])
    for n in np.flatnonzero(~moving):  # who stands looks where they went
        heading[n] = heading[n - 1] if n else 0.0
    # the gait's clock stands still with its walker; a foot comes down at each half of the four-frame cycle
    clock = np.cumsum(moving) - 1 + int(generator.integers(2 * step_tics))
    frames = np.where(moving, (clock * 2 // step_tics) % 4, 1)
    lands = moving & (clock % step_tics == 0)
    lands[:PREROLL] = False
    count = int(lands.sum())
    manner = generator.uniform(0.6, 0.95)
    strengths = np.clip(manner * generator.uniform(0.85, 1.1, count), 0.3, 1.0)
    recorded = [sound for sound in sounds_for(split, "footstep", room.surface) if not sound.synthesised]
    takes = draw_takes(generator, recorded, strengths, layers=True) if recorded and generator.random() < RECORDED else ()
    return Walker(
        takes=takes,
        path=path,
        heights=np.zeros(tics),
        heading=heading,
        frames=frames,
        step_tics=np.flatnonzero(lands),
        strengths=strengths,
        cadence=cadence,
        surface=room.surface,
        shoe=str(generator.choice(list(SHOES))),
        weight=float(generator.uniform(0.2, 0.8)),
        sound_seed=sound_seed,
        sprite=str(generator.choice(list(PEOPLE))),
        scale=float(generator.uniform(0.9, 1.15)),
        translation=str(generator.choice(TRANSLATIONS)),
    )


def walk(
    generator: Generator, room: Room, speed: float, moving: np.ndarray, target: Callable[[], np.ndarray]
) -> np.ndarray | None:
    """A path ``[T, 2]`` from place to place in sight of each other, turning no faster than people do."""
    place = room.place(generator, MARGIN + 8)
    goal, heading = place, generator.uniform(-np.pi, np.pi)
    path = np.empty((len(moving), 2))
    for n, going in enumerate(moving):
        path[n] = place
        if not going:
            continue
        if np.linalg.norm(goal - place) < max(4 * speed, 20):
            for _ in range(12):
                goal = target()
                if np.linalg.norm(goal - place) > 80 and room.clear_line(place, goal, MARGIN):
                    break
            else:
                return None
            if n == 0:
                heading = np.arctan2(*(goal - place)[::-1])
        wanted = np.arctan2(*(goal - place)[::-1])
        turn = (wanted - heading + np.pi) % (2 * np.pi) - np.pi
        heading += np.clip(turn, -_TURN, _TURN)
        place = place + speed * np.array([np.cos(heading), np.sin(heading)])
    return path if room.clear(path, MARGIN).all() else None


def engine_sounds(walker: Walker, tics: int) -> list[np.ndarray]:
    """What the engine plays for a walker, a sound for each of their events, or the loop of a plan of so many tics in all."""
    if walker.loop:
        return [walker.looped((tics - LOOP_TIC) * TIC)]
    return walker.single_sounds(walker.strengths)


def sound_lumps(number: int, sounds: list[np.ndarray]) -> tuple[list[Lump], list[str]]:
    """A walker's sounds as lumps, and their lines of SNDINFO.

    The engine's lumps have eight bits. A second lump, played with the first at 1/254 of its level, holds what the first one's
    rounding lost: together they have sixteen. Each pair fills the eight bits; the line's volume gives the sound its own level.
    """
    lumps, lines = [], []
    for n, sound in enumerate(sounds):
        peak = max(peak_of(sound), 1e-6)
        full = sound / peak
        coarse = np.rint(full * 127) / 127
        for layer, samples, part in (("A", full, 1.0), ("B", (full - coarse) * 254, 1 / 254)):
            lump = Lump(f"W{number}{layer}{n:03d}", dmx_sound(samples, RATE))
            name = f"step/{number}/{n}/{layer}"
            lumps.append(lump)
            lines += [f"{name} {lump.name}", f"$rolloff {name} log {NEAREST:g} 1", f"$volume {name} {peak / PEAK * part:.9f}"]
            lines.append(f"$limit {name} 0")
    return lumps, lines


def actor(number: int, editor_number: int, walker: Walker) -> str:
    """The walker's DECORATE definition; its class is ``Walker<number>``."""
    sprite = SPRITES[walker.sprite]
    letters = [sprite.walk[frame % len(sprite.walk)] for frame in walker.frames]
    if walker.kind != "step" and sprite.act:
        for tic in walker.step_tics:
            for n, letter in enumerate(sprite.act):
                letters[tic + n * _ACT : tic + (n + 1) * _ACT] = [letter] * len(letters[tic + n * _ACT : tic + (n + 1) * _ACT])
    places = np.concatenate([walker.path, walker.heights[:, None]], 1)
    velocity = np.diff(places, axis=0, append=places[-1:])
    angle = np.rad2deg(walker.heading) % 360
    sound_of = {LOOP_TIC: 0} if walker.loop else {int(tic): n for n, tic in enumerate(walker.step_tics)}
    states = []
    for n, (vx, vy, vz) in enumerate(velocity):
        frame = f"{walker.sprite} {letters[n]}"
        states.append(f"{frame} 0 A_SetAngle({angle[n]:.4f})")
        if n in sound_of:
            sounds = [f'{frame} 0 A_PlaySound("step/{number}/{sound_of[n]}/{layer}", CHAN_AUTO)' for layer in "AB"]
            states += sounds
        states.append(f"{frame} 1 A_ChangeVelocity({vx:.5f}, {vy:.5f}, {vz:.5f}, CVF_REPLACE)")
    colours = f'Translation "{walker.translation}"' if walker.translation else ""
    return f"""actor Walker{number} {editor_number} {{
Radius 16
Height 56
Scale {walker.scale:.4f}
{colours}
+NOCLIP +NOBLOCKMAP +NOGRAVITY +DONTSPLASH
States {{
Spawn:
{walker.sprite} A 1
{chr(10).join(states)}
{walker.sprite} A -1
Stop
}}
}}
"""
