"""What no package has a free recording of: footsteps on such floors, landings, a bouncing ball, engines. All from physics."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.signal import lfilter

from stereosync_core.rendering.filters import butterworth
from stereosync_core.rendering.footsteps import render_footsteps
from stereosync_core.rendering.gait import Steps
from stereosync_core.rendering.surfaces import SURFACES
from stereosync_core.sounds.shape import RATE, seamless

#: Footsteps: so many takes of a walker; landings.
TAKES = 4
LANDINGS = 3
#: Of a ball: frequency over its cavity's, seconds in which it falls to 1/e, level. The first is the ball on its own spring.
_CAVITY = ((0.12, 0.05, 1.5), (1.0, 0.07, 0.6), (1.47, 0.05, 0.4), (2.09, 0.035, 0.3), (3.3, 0.02, 0.2))


def footstep_takes(surface: str, shoe: str, seed: int) -> list[np.ndarray]:
    """:data:`TAKES` steps ``[N]`` of one walker."""
    steps = Steps(np.arange(TAKES) * 2.0 + 0.01, np.linspace(0.7, 0.9, TAKES), np.arange(TAKES) % 2)
    voice = render_footsteps(steps, surface, 2.0 * TAKES, RATE, shoe=shoe, variation=0.6, seed=seed)[0]
    return [voice[round(time * RATE) : round((time + 1.6) * RATE)] for time in steps.times]


def landing_takes(surface: str, seed: int) -> list[np.ndarray]:
    """:data:`LANDINGS` landings ``[N]``: both feet of a heavy body, a few milliseconds apart."""
    takes = []
    for number in range(LANDINGS):
        steps = Steps(np.array([0.0, 0.004 + 0.006 * number]), np.ones(2), np.arange(2))
        options = {"shoe": "sneaker", "weight": 0.9, "variation": 0.4, "toe": 0.3, "seed": seed + number}
        takes.append(render_footsteps(steps, surface, 1.6, RATE, **options)[0])
    return takes


def bounce(cavity: float, stiffness: float, seed: int) -> np.ndarray:
    """A ball on a floor ``[N]``: a contact of milliseconds drives the ball's air (``cavity`` Hz and above) and the floor."""
    random = np.random.default_rng(seed)
    contact = round(RATE * 0.012 / stiffness * random.uniform(0.9, 1.1))
    force = np.zeros(round(0.5 * RATE))
    force[:contact] = np.sin(np.pi * (np.arange(contact) + 0.5) / contact) ** 1.5
    force[:contact] += 0.15 * random.standard_normal(contact) * force[:contact]
    result = 0.7 * np.diff(force, prepend=0.0) * contact
    for order, (ratio, fall, level) in enumerate(_CAVITY):
        angle = 2 * np.pi * cavity * ratio * random.uniform(0.98, 1.02) / RATE
        radius = np.exp(-1 / (fall * RATE))
        ringing = np.asarray(lfilter([0.5, 0, -0.5], [1, -2 * radius * np.cos(angle), radius**2], force))
        result += level * ringing / max(np.abs(ringing).max(), 1e-9) * (1 if order else 0.8)
    return (0.5 * result / np.abs(result).max()).astype(np.float32)


def engine(firing: float, cylinders: int, seed: int, seconds: float = 5.0) -> np.ndarray:
    """A running engine ``[N]``: exhaust pulses, each cylinder its own, through the resonances of a pipe, and its noise."""
    random = np.random.default_rng(seed)
    size = round(seconds * RATE)
    speed = firing * (1 + 0.01 * np.cumsum(random.standard_normal(size)) / np.sqrt(size))
    phase = np.cumsum(speed) / RATE
    firings = np.flatnonzero(np.diff(np.floor(phase), prepend=-1) > 0)
    strength = 1 + 0.2 * random.standard_normal(cylinders)
    pulses = np.zeros(size)
    pulses[firings] = strength[np.arange(len(firings)) % cylinders] * random.uniform(0.85, 1.15, len(firings))
    length = round(0.004 * RATE)
    pulse = np.convolve(pulses, np.hanning(length) ** 2)[:size]
    gust = butterworth(
        random.standard_normal(size) * np.convolve(pulses, np.exp(-np.arange(length * 3) / length))[:size],
        (300, 5000),
        "bandpass",
        RATE,
        2,
    )
    exhaust = pulse + 0.12 * gust
    delay = round(RATE * random.uniform(0.007, 0.011))  # of the pipe, open at one end
    back = np.zeros(delay + 1)
    back[0], back[delay] = 1, 0.6
    exhaust = np.asarray(lfilter([1], back, exhaust))
    noise = butterworth(random.standard_normal(size), (150, 2500), "bandpass", RATE, 1)
    result = butterworth(exhaust, 3500.0, "lowpass", RATE, 1) + 0.015 * np.abs(exhaust).max() * noise
    return (0.3 * result / np.abs(result).max()).astype(np.float32)


def breathing(pace: float, seed: int) -> np.ndarray:
    """Two breaths ``[N]``, each in and out in ``pace`` seconds: air through a mouth that opens wider to let it out."""
    random = np.random.default_rng(seed)
    time = np.arange(round(2 * pace * RATE)) / RATE
    place = time / pace % 1
    breath_in = np.sin(np.pi * np.clip(place / 0.38, 0, 1)) ** 2
    breath_out = np.clip((place - 0.45) / 0.06, 0, 1) * np.exp(-np.clip(place - 0.51, 0, 1) / 0.12) * (place > 0.45)
    air = random.standard_normal((2, len(time)))
    sound = 0.5 * breath_in * butterworth(air[0], (900, 5200), "bandpass", RATE, 2)
    sound = sound + breath_out * butterworth(air[1], (350, 2600), "bandpass", RATE, 2)
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


def synthesised(recorded: dict[str, int]) -> Iterator[tuple[str, str, str | None, bool, list[np.ndarray]]]:
    """``(recording, category, surface, loop, takes)`` of everything synthesised.

    :param recorded: how many recordings of footsteps each surface has: with two or more it needs no synthesised walker.
    """
    for place, surface in enumerate(SURFACES):
        walkers = ("sneaker", "boot", "heel") if not recorded.get(surface) else ("sneaker", "boot")[: 2 - recorded[surface]]
        for shoe in walkers:
            yield f"{shoe} on {surface}", "footstep", surface, False, footstep_takes(surface, shoe, 100 * place + len(shoe))
        yield f"landing on {surface}", "landing", surface, False, landing_takes(surface, 5000 + 100 * place)
    for name, cavity, stiffness in (("basketball", 640.0, 1.6), ("football", 520.0, 1.0), ("tennis ball", 1500.0, 2.8)):
        yield name, "sports ball", None, False, [bounce(cavity, stiffness, 7000 + take) for take in range(TAKES)]
    for name, pace in (("calm breathing", 3.0), ("panting", 0.8)):
        yield name, "breath", None, True, [breathing(pace, round(pace * 10))]
    for name, category, firing, cylinders in (
        ("small car idling", "car", 27.0, 4),
        ("car driving", "car", 70.0, 4),
        ("motorcycle idling", "motorcycle", 18.0, 2),
        ("motorcycle driving", "motorcycle", 62.0, 2),
        ("outboard", "boat", 45.0, 2),
    ):
        yield name, category, None, True, [seamless(engine(firing, cylinders, round(firing * 10)), 5.0)]
