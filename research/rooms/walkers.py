"""Walkers: where they go, tic by tic, when their feet come down, how they look and how their steps sound.

A walker is planned here and played by the engine as an actor whose every tic is a state: velocity, animation frame and, on the
frames where a foot comes down, a sound. So the animation, the sound and the step times are one and the same thing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from stereosync_core.rendering.footsteps import PEAK, render_footsteps
from stereosync_core.rendering.gait import WALK_RATIO, Steps
from stereosync_core.rendering.surfaces import SHOES

from .room import UNITS_PER_METRE, Lump, Room, dmx_sound

TICS_PER_SECOND = 35
RATE = 44100
#: Distance in units up to which a step is at its loudest; beyond, its level falls by 6 dB a doubling.
NEAREST = 64.0
MARGIN = 18.0  # of a walker's middle from the walls, units
_TURN = np.deg2rad(7.0)  # most a walker turns in a tic
_STEP_SPACING = 1.2  # seconds, more than any step rings

#: Sprites of people with their walking frames, those with a foot coming down first and third.
SPRITES = {"PLAY": "BCDA", "CPOS": "BCDA", "POSS": "ABCD", "SPOS": "ABCD", "SSWV": "ABCD"}
#: Other clothes: the palette's greens and blues worn as other colours.
TRANSLATIONS = ("", "112:127=96:111", "112:127=64:79", "112:127=32:47", "112:127=200:207", "192:207=112:127", "192:207=176:191")


@dataclass(frozen=True)
class Walker:
    """One walker's plan. T tics in all, the clip's own after a short pre-roll.

    :param path: place ``[T, 2]`` in units at each tic.
    :param heading: radians ``[T]``, 0 = east, counterclockwise.
    :param frames: index into the sprite's four walking frames ``[T]``.
    :param step_tics: tics ``[N]`` at which a foot comes down.
    :param strengths: ``[N]`` in 0..1.
    :param cadence: steps a second.
    :param sound_seed: of the footstep synthesizer: with ``surface``, ``shoe``, ``weight`` and the steps it gives the same
        samples anywhere.
    """

    path: np.ndarray
    heading: np.ndarray
    frames: np.ndarray
    step_tics: np.ndarray
    strengths: np.ndarray
    cadence: float
    surface: str
    shoe: str
    weight: float
    sound_seed: int
    sprite: str
    scale: float
    translation: str

    def steps(self, preroll: int) -> Steps:
        """The steps on the clip's own clock."""
        times = (self.step_tics - preroll) / TICS_PER_SECOND
        return Steps(times, self.strengths, np.arange(len(times)) % 2)


def make_walker(
    generator: Generator,
    room: Room,
    tics: int,
    preroll: int,
    sound_seed: int,
    target: Callable[[], np.ndarray],
    keep_out: Callable[[np.ndarray], bool],
) -> Walker | None:
    """A random walker, or None where the path drawn does not fit the room (draw again).

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
    path = _walk(generator, room, speed, moving, target)
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
    lands[:preroll] = False
    count = int(lands.sum())
    manner = generator.uniform(0.6, 0.95)
    return Walker(
        path=path,
        heading=heading,
        frames=frames,
        step_tics=np.flatnonzero(lands),
        strengths=np.clip(manner * generator.uniform(0.85, 1.1, count), 0.3, 1.0),
        cadence=cadence,
        surface=room.surface,
        shoe=str(generator.choice(list(SHOES))),
        weight=float(generator.uniform(0.2, 0.8)),
        sound_seed=sound_seed,
        sprite=str(generator.choice(list(SPRITES))),
        scale=float(generator.uniform(0.9, 1.15)),
        translation=str(generator.choice(TRANSLATIONS)),
    )


def _walk(
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


def single_steps(walker: Walker, preroll: int) -> list[np.ndarray]:
    """Each step's sound alone, mono float32 at 44.1 kHz, exactly as it stands in the walker's whole voice."""
    steps = walker.steps(preroll)
    if not len(steps):
        return []
    apart = Steps(np.arange(len(steps)) * _STEP_SPACING, steps.strengths, steps.feet)
    voice = render_voice(walker, apart, len(steps) * _STEP_SPACING)
    sounds = np.split(voice, len(steps))
    return [sound[: int(np.flatnonzero(sound)[-1]) + 1] for sound in sounds]


def render_voice(walker: Walker, steps: Steps, duration: float) -> np.ndarray:
    """The walker's dry voice, float32 ``[N]`` at 44.1 kHz."""
    return render_footsteps(
        steps, walker.surface, duration, RATE, shoe=walker.shoe, weight=walker.weight, seed=walker.sound_seed
    )[0]


def sound_lumps(number: int, walker: Walker, preroll: int) -> tuple[list[Lump], list[str]]:
    """The walker's steps as lumps, and their lines of SNDINFO.

    The engine's lumps have eight bits. A second lump, played with the first at 1/254 of its level, holds what the first one's
    rounding lost: together they have sixteen. Each pair fills the eight bits; the line's volume gives the step its own level.
    """
    lumps, lines = [], []
    for n, sound in enumerate(single_steps(walker, preroll)):
        peak = float(np.abs(sound).max())
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
    frames = SPRITES[walker.sprite]
    velocity = np.diff(walker.path, axis=0, append=walker.path[-1:])
    angle = np.rad2deg(walker.heading) % 360
    step_of = {int(tic): n for n, tic in enumerate(walker.step_tics)}
    states = []
    for n, (vx, vy) in enumerate(velocity):
        frame = f"{walker.sprite} {frames[walker.frames[n]]}"
        states.append(f"{frame} 0 A_SetAngle({angle[n]:.4f})")
        if n in step_of:
            sounds = [f'{frame} 0 A_PlaySound("step/{number}/{step_of[n]}/{layer}", CHAN_AUTO)' for layer in "AB"]
            states += sounds
        states.append(f"{frame} 1 A_ChangeVelocity({vx:.5f}, {vy:.5f}, 0, CVF_REPLACE)")
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
