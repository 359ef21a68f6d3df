"""Footsteps made from physics: a heel, then the ball of the foot, press on a floor that rings, scrapes, crunches or splashes.

A step is a force over time. Its two short contacts drive the resonances of solid floors (modal synthesis: K. van den Doel,
P. Kry, D. Pai, "FoleyAutomatic", SIGGRAPH 2001); its slow load, the two humps of a ground reaction force, drives the collisions
of loose ones (P. Cook, "Modeling Bill's gait", 2002; R. Nordahl, S. Serafin, L. Turchet, "Sound synthesis and evaluation of
interactive footsteps", IEEE VR 2010). What differs between floors and shoes stands in :mod:`.surfaces`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import PCG64, Generator
from scipy.signal import lfilter

from ..errors import StereoSyncError
from ..scratch import extremes, multiply, release, zeros
from .filters import butterworth
from .gait import Steps
from .surfaces import SHOES, SURFACES, Bubbles, Grains, Modes, Noise, Shoe, Surface

#: Peak of a step of strength 1: -6 dBFS.
PEAK = 0.5
_TAIL = 0.6  # seconds that a floor is let ring at most
_KEPT = 100  # steps that stay in memory of what lies in a file


@dataclass(frozen=True)
class _Foot:
    """One step before it meets the floor: its draw of chance, its contacts and its load."""

    generator: Generator
    rate: int
    heel: np.ndarray  # force of the heel's contact [n], n as long as the foot is at work
    ball: np.ndarray  # force of the ball's contact [n]
    contacts: np.ndarray  # envelope of both contacts' noise [n]
    load: np.ndarray  # slow load in 0..1 [n]
    tuning: float  # factor on resonances
    variation: float
    corner: float  # Hz of the sole's low-pass
    ringing: int  # samples that the floor sounds on after the load is gone

    @property
    def samples(self) -> int:
        return len(self.load)

    def vary(self, amount: float, size=None):
        """Random factors (or one) around 1, spread by ``amount`` (of the logarithm) times the variation."""
        return np.exp(amount * self.variation * np.clip(self.generator.standard_normal(size), -2.5, 2.5))


def render_footsteps(
    steps: Steps,
    surface: str,
    duration: float,
    rate: int = 48000,
    *,
    shoe: str = "sneaker",
    weight: float = 0.5,
    variation: float = 0.5,
    toe: float = 1.0,
    seed: int = 0,
) -> np.ndarray:
    """The sound of ``steps`` on a floor (a key of ``SURFACES``) in shoes (of ``SHOES``), dry and mono.

    :param duration: seconds; steps that come later are left out.
    :param rate: sampling rate in Hz, 8000 to 192000.
    :param weight: of the walker, 0 = a child, 1 = heavy.
    :param variation: 0 = nearly alike (collisions are always random), 1 = every step very different.
    :param toe: loudness of the ball's contact after the heel's, over the surface's and shoe's own.
    :param seed: the same seed gives the same samples, bit by bit.
    :return: float32 ``[1, round(duration * rate)]``; a step of strength 1 peaks near -6 dBFS.
    :raises StereoSyncError: for an unknown surface or shoe, or numbers out of range.
    """
    if surface not in SURFACES:
        raise StereoSyncError(f"Footsteps: there is no surface {surface!r}; choose one of {', '.join(SURFACES)}.")
    if shoe not in SHOES:
        raise StereoSyncError(f"Footsteps: there is no shoe {shoe!r}; choose one of {', '.join(SHOES)}.")
    if not 8000 <= rate <= 192000:
        raise StereoSyncError(f"Footsteps: the sampling rate is {rate} Hz; give 8000 to 192000.")
    if not np.isfinite(duration) or round(duration * rate) < 1:
        raise StereoSyncError(f"Footsteps: the duration is {duration} seconds; it must be above zero.")
    for name, value in (("weight", weight), ("variation", variation)):
        if not 0 <= value <= 1:
            raise StereoSyncError(f"Footsteps: {name} is {value}; give 0 to 1.")

    total = round(duration * rate)
    output = zeros((1, total))[0]
    seed = int(seed) % 2**64
    for n, (time, strength, side) in enumerate(zip(steps.times, steps.strengths, steps.feet, strict=True)):
        start = round(time * rate)
        if strength <= 0 or not 0 <= start < total:
            continue
        kind = (SURFACES[surface], SHOES[shoe])
        foot = _foot(*kind, rate, float(strength), int(side), weight, variation, toe, (seed, n))
        sound = _step(*kind, foot, rate, float(strength), weight)
        output[start : start + len(sound)] += sound[: total - start]
        if not n % _KEPT:
            release(output)
    fade = min(round(0.005 * rate), total)
    output[total - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    # steps on top of each other are no gait, but must not clip either
    low, high = extremes(output)
    peak = max(high, -low)
    if peak > 0.98:
        multiply(output, np.float32(0.98 / peak))
    return output[None]


def _step(surface: Surface, shoe: Shoe, foot: _Foot, rate: int, strength: float, weight: float) -> np.ndarray:
    thump = surface.thump + shoe.weight + 18 * (weight - 0.5)
    sound = np.zeros(foot.samples + foot.ringing)
    sound[: foot.samples] = _gain(thump) * _energy_one(_thump(surface.thump_frequency * (1.25 - 0.5 * weight), foot))
    for layer in surface.layers:
        level = layer.level
        if isinstance(layer, Modes):
            part = _ring(layer, foot)
        elif isinstance(layer, Grains):
            part = _collide(layer, foot)
        elif isinstance(layer, Bubbles):
            part = _bubble(layer, foot)
        else:
            part = _scrape(layer, foot)
            level += shoe.scuff
        sound[: len(part)] += _gain(level) * foot.vary(0.25) * _energy_one(part)
    sound = butterworth(sound, 35.0, "highpass", rate, order=2)
    fade = round(0.05 * rate)
    sound[-fade:] *= np.cos(np.linspace(0, np.pi / 2, fade)) ** 2
    peak = float(np.abs(sound).max())
    return sound * (PEAK * strength * min(foot.vary(0.15), 1.0) / max(peak, 1e-9))


def _foot(
    surface: Surface,
    shoe: Shoe,
    rate: int,
    strength: float,
    side: int,
    weight: float,
    variation: float,
    toe: float,
    seed: tuple[int, int],
) -> _Foot:
    generator = Generator(PCG64([seed[0], seed[1], side]))
    # what stays with a foot from step to step
    habit = Generator(PCG64([seed[0], 2**31 + side])).standard_normal(3).clip(-2, 2)
    chance = generator.standard_normal(5).clip(-2.5, 2.5) * variation
    gap = shoe.gap * surface.give**0.5 * np.exp(0.06 * habit[0] + 0.16 * chance[0])
    # who treads harder or in harder shoes presses shorter, which is brighter
    contact = surface.contact * shoe.softness * (1.35 - 0.5 * strength) * (0.85 + 0.3 * weight) * np.exp(0.2 * chance[1])
    toe = toe * 10 ** ((surface.toe + shoe.toe + 1.0 * habit[1] + 3.0 * chance[2]) / 20)
    ring = max((t60 for layer in surface.layers if isinstance(layer, Modes) for _, t60, _ in layer.table), default=0.0)
    length = gap + 0.26 * surface.give + 0.12
    time = np.arange(round(length * rate)) / rate

    def since(start: float, until: float = np.inf) -> tuple[slice, np.ndarray]:
        first, last = round(start * rate), int(min(until * rate, len(time)))
        return slice(first, last), time[: max(last - first, 0)]

    def press(start: float, width: float) -> np.ndarray:
        result = np.zeros(len(time))
        window, late = since(start, start + width + 1.5 / rate)
        result[window] = np.sin(np.pi * np.minimum((late + 0.5 / rate) / max(width, 1.5 / rate), 1.0)) ** 2
        return result

    def hump(start: float, rise: float, fall: float) -> np.ndarray:
        result = np.zeros(len(time))
        window, late = since(start)
        result[window] = (1 - np.exp(-late / rise)) * np.exp(-late / fall)
        return result

    def decay(start: float, fall: float) -> np.ndarray:
        result = np.zeros(len(time))
        window, late = since(start, start + 12 * fall)
        result[window] = np.minimum(late / 0.0004, 1.0) * np.exp(-late / fall)
        return result

    give = surface.give
    load = (
        hump(0.0, 0.006 * give, 0.030 * give)
        + toe * hump(gap, 0.012 * give, 0.034 * give)
        + 0.07 * hump(gap + 0.10 * give, 0.03, 0.04 * give)  # the push-off
    )
    # rough soles chatter: the ball comes down in several contacts
    second, softer = gap + 0.013 * (1 + 0.4 * chance[4]), 0.45 * np.exp(0.5 * chance[3])
    ball = press(gap, 1.6 * contact) + softer * press(second, 1.3 * contact)
    return _Foot(
        generator=generator,
        rate=rate,
        heel=press(0.0, contact),
        ball=toe * ball,
        contacts=decay(0.0, 2.5 * contact + 0.002) + 0.7 * toe * decay(gap, 3.0 * contact + 0.004),
        load=load / load.max() * np.minimum((length - time) / 0.02, 1.0),
        tuning=float(np.exp(0.015 * habit[2] + 0.03 * chance[3])),
        variation=variation,
        corner=shoe.corner,
        ringing=round(max(min(ring, _TAIL) - 0.12, 0.0) * rate),
    )


def _gain(level: float) -> float:
    return 10 ** (level / 20)


def _energy_one(signal: np.ndarray) -> np.ndarray:
    energy = float(np.sqrt((signal**2).sum()))
    return signal / energy if energy > 0 else signal


def _thump(frequency: float, foot: _Foot) -> np.ndarray:
    """The body's weight on the floor: a knock of falling pitch after each contact."""
    time = np.arange(foot.samples) / foot.rate
    knock = np.sin(2 * np.pi * frequency * foot.tuning * (time - 0.25 * time**2)) * np.exp(-time / 0.022)
    ball = int(np.argmax(foot.ball > 0))
    later = np.concatenate([np.zeros(ball), knock[: foot.samples - ball]])
    return knock + 0.8 * min(float(foot.ball.max()), 1.5) * later


def _ring(modes: Modes, foot: _Foot) -> np.ndarray:
    """Resonators driven by the force; each contact meets the floor at another place, hence with other gains."""
    result = np.zeros(foot.samples + foot.ringing)
    gains = foot.vary(0.35, (2, len(modes.table)))
    detune = foot.tuning * foot.vary(0.02, len(modes.table))
    pressed = int(np.flatnonzero(foot.ball)[-1]) + 1
    roughness = 1 + 0.5 * foot.generator.standard_normal(pressed)  # of the sole, felt through the contact
    contacts = np.stack([foot.heel[:pressed], foot.ball[:pressed]]) * roughness
    for (frequency, t60, level), gain, tune in zip(modes.table, gains.T, detune, strict=True):
        frequency = frequency * tune
        if frequency > 0.45 * foot.rate:
            continue
        radius, angle = 10 ** (-3 / (t60 * foot.rate)), 2 * np.pi * frequency / foot.rate
        force = np.zeros(min(pressed + int(1.3 * t60 * foot.rate), len(result)))
        force[:pressed] = gain @ contacts
        # the velocity of the floor radiates, not its place: no answer to a steady force, hence the zeros at 0 and Nyquist
        ringing = lfilter([0.5, 0, -0.5], [1, -2 * radius * np.cos(angle), radius**2], force)
        result[: len(force)] += _gain(level) * np.asarray(ringing)
    return result


def _scrape(noise: Noise, foot: _Foot) -> np.ndarray:
    """Noise under the contacts or under the load, duller under soft soles."""
    envelope = foot.contacts if noise.sharp else foot.load
    signal = foot.generator.standard_normal(foot.samples)
    if noise.tremble > 0:
        slow = _lowpassed_noise(foot, noise.flutter)
        envelope = envelope * np.exp(1.2 * noise.tremble * slow)
    signal = butterworth(signal * envelope, noise.band, "bandpass", foot.rate, order=2)
    return butterworth(signal, foot.corner, "lowpass", foot.rate, order=1) if noise.sharp else signal


def _lowpassed_noise(foot: _Foot, corner: float) -> np.ndarray:
    """Slow noise of unit variance: points at twice the corner frequency, joined by lines."""
    points = foot.generator.standard_normal(int(foot.samples / foot.rate * 2 * corner) + 3)
    return np.interp(np.arange(foot.samples) * (2 * corner / foot.rate), np.arange(len(points)), points)


def _moments(density: np.ndarray, count: int, foot: _Foot) -> np.ndarray:
    """Random samples ``[count]`` with the probability density ``[n]``."""
    total = np.cumsum(density)
    return np.searchsorted(total, np.sort(foot.generator.random(count)) * total[-1]).clip(0, len(density) - 1)


def _collide(grains: Grains, foot: _Foot) -> np.ndarray:
    density = foot.load
    if grains.bursts > 0:
        # stick and slip: the load is let go in jolts, ever slower, and the collisions gather there
        count = max(int(grains.bursts * foot.load.sum() / foot.rate * 2.2), 3)
        places = np.linspace(0, 1, count + 1)[:-1] ** 1.15 * 0.8 * foot.samples
        places = places + foot.generator.normal(0, 0.25 * foot.samples / count, count)
        release = np.exp(-np.arange(round(0.05 * foot.rate)) / (0.006 * foot.rate))
        jolts = np.zeros(foot.samples + len(release))
        for place, size in zip(places.astype(int).clip(0, foot.samples), foot.generator.lognormal(0, 0.7, count), strict=True):
            jolts[place : place + len(release)] += size * release
        jolts = jolts[: foot.samples]
        density = density * (0.06 + jolts)
    count = int(foot.generator.poisson(grains.rate * foot.load.sum() / foot.rate)) + 1
    starts = _moments(density, count, foot)
    low, high = grains.band[0], min(grains.band[1], 0.45 * foot.rate)
    octaves = foot.generator.random(count) * max(np.log2(high / low), 0.1)
    frequency = low * 2 ** (octaves - grains.glide * starts / foot.samples) * foot.tuning
    size = np.exp(grains.spread * foot.generator.standard_normal(count).clip(-2.5, 2.5)) * 10 ** (grains.tilt * octaves / 20)
    # a resonance of few cycles holds the less energy the higher it is; take that back so that tilt alone shapes the spectrum
    size *= np.sqrt(frequency / low) * (0.08 + foot.load[starts])
    return _sum_of_decays(starts, frequency, grains.cycles / frequency, size, np.zeros(count), foot)


def _bubble(bubbles: Bubbles, foot: _Foot) -> np.ndarray:
    count = int(foot.generator.poisson(bubbles.count)) + 2
    low, high = bubbles.band[0], min(bubbles.band[1], 0.45 * foot.rate)
    frequency = low * (high / low) ** foot.generator.random(count)
    # the cavity behind the foot closes after the splash: bubbles come late and one by one
    late = np.concatenate([np.zeros(round(0.03 * foot.rate)), foot.load])[: foot.samples]
    starts = _moments(late + 0.05 * late.max(), count, foot)
    # radiation and heat damp a bubble; small ones faster (van den Doel: damping = 0.13 / radius + 0.0072 / radius^1.5)
    radius = 3.0 / frequency
    damping = 0.13 / radius + 0.0072 * radius**-1.5
    size = radius**0.3 * foot.generator.lognormal(0, 0.6, count)
    return _sum_of_decays(starts, frequency, 1 / damping, size, bubbles.rise * damping, foot)


def _sum_of_decays(
    starts: np.ndarray, frequency: np.ndarray, decay: np.ndarray, size: np.ndarray, rise: np.ndarray, foot: _Foot
) -> np.ndarray:
    """Sum of sinusoids ``[K]`` that begin at ``starts``, die away in ``decay`` seconds (to 1/e) and rise by ``rise`` parts of
    their frequency a second. Done in groups of similar length, so that a short one costs little."""
    result = np.zeros(foot.samples)
    lengths = np.minimum(np.ceil(6 * decay * foot.rate), foot.samples)
    for group in np.array_split(np.argsort(lengths), min(6, len(lengths))):
        time = np.arange(int(lengths[group].max()), dtype=np.float32) / np.float32(foot.rate)
        f, d, a, r = (value[group, None].astype(np.float32) for value in (frequency, decay, size, rise))
        waves = a * np.exp(-time / d) * np.sin(np.float32(2 * np.pi) * f * time * (1 + np.float32(0.5) * r * time))
        places = starts[group, None] + np.arange(len(time))
        result += np.bincount(places.ravel(), waves.ravel(), foot.samples + len(time))[: foot.samples]
    return result
