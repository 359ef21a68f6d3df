"""What a room adds to the sounds in it: early reflections, a tail, and a bed of noise. Added to the engine's mix and to our own
alike, for the engine's own effects are off.

The reflections are those of the image sources of a box as large as the room (J. Allen, D. Berkley, "Image method for
efficiently simulating small-room acoustics", 1979), from the sounds' mean place to the camera's; the tail is noise that decays,
another one on either side. Reflected sound falls with distance by half as many decibels as the direct sound.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import PCG64, Generator
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import fftconvolve

from stereosync_core.rendering.filters import butterworth

from .camera import bearing
from .room import SKY, UNITS_PER_METRE, Room
from .voices import RATE, TICS_PER_SECOND

#: Distance in units up to which a sound is at its loudest; beyond, its level falls by 6 dB a doubling.
NEAREST = 64.0
#: Level at two metres or nearer, hard to one side, over that of the dry voice; measured, so that both mixes are equally loud.
ENGINE_GAIN = 1.57
#: It resamples what moves, for the Doppler shift, and that takes treble: these three taps leave what was measured, 0.2 dB less
#: at 4.3 kHz, 0.9 at 8.6, 3.2 at 20.7.
ENGINE_TREBLE = (0.0777, 0.8446, 0.0777)
#: Samples by which the engine's limiter delays its mix (1 ms).
ENGINE_LATENCY = 44
_WIDENING = 1.5
_FRONT, _SIDE, _MIDDLE = 0.5, 0.5, 0.0956621
_SPEED_OF_SOUND = 343.0
_REFERENCE = 3.0  # metres at which the level of what is reflected is given
_CAMERA_HEIGHT, _SOURCE_HEIGHT = 1.6, 0.3


@dataclass(frozen=True)
class Acoustics:
    """A room's answer.

    :param reflections: ``(seconds after the direct sound, gain left, gain right)`` of each early one, relative to each other.
    :param t60: seconds in which the tail falls by 60 dB; above 4 kHz it takes ``damping`` of them.
    :param wet: level of all that is reflected over the direct sound at 3 m, dB.
    :param early: part of its energy that the early reflections have.
    :param bed: level of the noise (root mean square) below the clip's peak, dB; ``bed_slope`` in dB an octave.
    """

    reflections: tuple[tuple[float, float, float], ...]
    t60: float
    damping: float
    wet: float
    early: float
    bed: float
    bed_slope: float
    seed: int


def draw_acoustics(
    generator: Generator, room: Room, camera_place: np.ndarray, camera_angle: float, source: np.ndarray, seed: int
) -> Acoustics:
    """The answer of a room, by its size, to a ``source`` ``[2]`` where the camera ``[2]`` looks along an angle in radians."""
    open_air = room.ceiling == SKY
    span = np.ptp(room.outline, axis=0) / UNITS_PER_METRE
    # 7 to 23 metres a side; larger rooms ring longer
    size = float(np.clip((np.sqrt(span.prod()) - 7) / 16, 0, 1))
    t60 = 0.15 + 0.75 * (0.5 * size + 0.5 * generator.random()) * (0.5 if open_air else 1.0)
    nearly_dry = generator.random() < 0.25
    return Acoustics(
        reflections=_image_sources(generator, room, camera_place, camera_angle, source),
        t60=round(float(t60), 4),
        damping=round(float(generator.uniform(0.35, 0.8)), 4),
        wet=round(float(generator.uniform(-50, -36) if nearly_dry else generator.uniform(-30, -14)), 3),
        early=round(float(generator.uniform(0.4, 0.8)), 4),
        bed=round(float(generator.uniform(-60, -45)), 3),
        bed_slope=round(float(generator.uniform(-6, -1)), 3),
        seed=seed,
    )


def _image_sources(
    generator: Generator, room: Room, camera_place: np.ndarray, camera_angle: float, source: np.ndarray
) -> tuple[tuple[float, float, float], ...]:
    """Walls and floor once, the ceiling where there is one, and three of the corners, each with an absorption of its own."""
    low, high = room.outline.min(0), room.outline.max(0)
    x, y = source
    sides = [(2 * low[0] - x, y), (2 * high[0] - x, y), (x, 2 * low[1] - y), (x, 2 * high[1] - y)]
    corners = [(a[0], b[1]) for a in sides[:2] for b in sides[2:]]
    up = _CAMERA_HEIGHT - _SOURCE_HEIGHT
    images = [(*side, up, 1) for side in sides] + [(x, y, _CAMERA_HEIGHT + _SOURCE_HEIGHT, 1)]
    if room.ceiling != SKY:
        images.append((x, y, 2 * room.height / UNITS_PER_METRE - _CAMERA_HEIGHT - _SOURCE_HEIGHT, 1))
    images += [(*corners[n], up, 2) for n in generator.permutation(4)[:3]]
    direct = np.hypot(np.linalg.norm(source - camera_place) / UNITS_PER_METRE, up)
    rows = []
    for ix, iy, height, order in images:
        place = np.array([[ix, iy]])
        distance = float(np.hypot(np.linalg.norm(place[0] - camera_place) / UNITS_PER_METRE, height))
        gain = float(generator.uniform(0.45, 0.85)) ** order * direct / distance
        left, right = panned(bearing(camera_place, camera_angle, place))[:, 0]
        delay = max(distance - direct, 0.1) / _SPEED_OF_SOUND
        rows.append((round(delay, 6), round(gain * float(left), 5), round(gain * float(right), 5)))
    return tuple(sorted(rows))


def panned(side: np.ndarray) -> np.ndarray:
    """Left and right gain ``[2, T]`` of a sound by its bearing in radians ``[T]``, by the engine's law."""
    widened = np.sign(side) * np.minimum(np.abs(side) * _WIDENING, np.pi / 2)
    wide = np.where(np.abs(side) < np.pi / 2, widened, side)
    middle, aside = _FRONT + _MIDDLE * np.cos(wide), _SIDE * np.sin(wide)
    return np.maximum(np.stack([middle - aside, middle + aside]), 0.0)


def nearness(metres: np.ndarray) -> np.ndarray:
    """Gain of a direct sound by its distance, by the engine's law: 1 up to two metres."""
    return NEAREST / np.maximum(metres * UNITS_PER_METRE, NEAREST)


def impulse_response(acoustics: Acoustics) -> np.ndarray:
    """What a room answers to a voice at 3 m, without the direct sound, float64 ``[2, M]`` at 44.1 kHz."""
    generator = Generator(PCG64([acoustics.seed, 1]))
    length = ENGINE_LATENCY + round((0.02 + acoustics.t60) * RATE)
    early, tail = np.zeros((2, length)), generator.standard_normal((2, length))
    for delay, left, right in acoustics.reflections:
        place = ENGINE_LATENCY + round(delay * RATE)
        if place < length:
            early[:, place] += left, right
    # walls take the treble
    early = butterworth(early, 7000.0, "lowpass", RATE, order=1)
    time = np.arange(length) / RATE
    start = acoustics.reflections[0][0] + ENGINE_LATENCY / RATE
    since = time - start
    bright = tail - butterworth(tail, 4000.0, "lowpass", RATE, order=1)
    fall = [np.exp(-np.log(1000) * np.maximum(since, 0) / (acoustics.t60 * part)) for part in (1, acoustics.damping)]
    tail = (tail - bright) * fall[0] + bright * fall[1]
    tail *= np.clip(since / 0.015, 0, 1)
    tail = butterworth(tail, 120.0, "highpass", RATE, order=1)
    answer = np.sqrt(acoustics.early) * _energy_one(early) + np.sqrt(1 - acoustics.early) * _energy_one(tail)
    direct = ENGINE_GAIN * nearness(np.array(_REFERENCE)) * np.sqrt(2) * (_FRONT + _MIDDLE)
    return answer * (direct * 10 ** (acoustics.wet / 20))


def _energy_one(signal: np.ndarray) -> np.ndarray:
    return signal / max(float(np.sqrt((signal**2).sum())), 1e-12)


def reflected(voices: np.ndarray, distance: np.ndarray, acoustics: Acoustics) -> np.ndarray:
    """All that the room reflects, float32 ``[2, N]``, of voices ``[W, N]`` at 44.1 kHz in metres ``[W, T]``, one a tic."""
    samples = np.arange(voices.shape[-1]) * (TICS_PER_SECOND / RATE)
    mono = np.zeros(voices.shape[-1])
    for voice, metres in zip(voices, distance, strict=True):
        send = np.sqrt(nearness(metres) / nearness(np.array(_REFERENCE)))
        mono += voice * np.interp(samples, np.arange(len(send)), send)
    wet = fftconvolve(mono[None], impulse_response(acoustics), axes=1)
    return wet[:, : len(mono)].astype(np.float32)


def bed(acoustics: Acoustics, length: int, peak: float) -> np.ndarray:
    """The room's noise float32 ``[2, length]`` at 44.1 kHz, for a clip whose peak is ``peak``: its level swells slowly by some
    3 dB, half of it is alike on both sides."""
    generator = Generator(PCG64([acoustics.seed, 2]))
    padded = int(next_fast_len(length, real=True) or length)
    spectrum = rfft(generator.standard_normal((3, padded), dtype=np.float32), axis=1)
    hertz = np.fft.rfftfreq(padded, 1 / RATE)
    colour = np.maximum(hertz, 40.0) / 1000
    spectrum *= (colour ** (acoustics.bed_slope / 20 / np.log10(2)) * (hertz > 20)).astype(np.float32)
    shared, left, right = np.asarray(irfft(spectrum, padded, axis=1))[:, :length]
    noise = np.stack([shared + left, shared + right])
    points = generator.standard_normal(max(length // RATE, 1) + 3)
    swell = 10 ** (3 * np.interp(np.arange(length) / RATE, np.arange(len(points)), points) / 20)
    noise *= swell
    level = np.sqrt((noise**2).mean())
    return (noise * (peak * 10 ** (acoustics.bed / 20) / max(level, 1e-12))).astype(np.float32)


def in_room(mix: np.ndarray, voices: np.ndarray, distance: np.ndarray, acoustics: Acoustics, peak: float) -> np.ndarray:
    """A dry stereo mix ``[2, N]`` of the voices with all that the room adds, float32; ``peak`` is that of the engine's dry mix,
    which the bed is below."""
    return mix + reflected(voices, distance, acoustics) + bed(acoustics, mix.shape[-1], peak)
