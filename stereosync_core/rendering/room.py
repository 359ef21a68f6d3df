"""What distance and a room around source and listener do to a sound: it grows softer, air takes its treble, and the walls
answer with first reflections and a short smooth tail.

The room is a shoebox; each wall mirrors the source (J. Allen, D. Berkley, "Image method for efficiently simulating small-room
acoustics", JASA 65, 1979). The direct sound follows the distance while the room answers at nearly the same level wherever the
source stands, so the ratio of direct to reverberant sound falls with distance.
"""

from __future__ import annotations

import numpy as np
from numpy.random import PCG64, Generator
from scipy.ndimage import gaussian_filter1d
from scipy.signal import oaconvolve

from .filters import butterworth
from .panning import SPEED_OF_SOUND

#: Bounds of the distance gain in dB: nothing falls silent and nothing jumps close to the camera.
SOFTEST, LOUDEST = -12.0, 9.0
#: Hz above which air absorbs noticeably, and what it takes there in dB for each unit of relative distance.
AIR_CORNER, AIR_LOSS, AIR_LOSS_MOST = 4000.0, 3.0, 12.0
#: Metres at relative distance 1.
MEDIAN_DISTANCE = 3.0
SIDE_WALL, FRONT_WALL, CEILING = 4.5, 9.0, 1.6  # metres from the listener's head
REFLECTION = 0.7  # of the pressure, at one wall
WALL_CORNER = 5000.0  # Hz above which walls absorb
PRE_DELAY = 0.012
#: Energy of the tail over that of the direct sound at relative distance 1 in the liveliest room.
TAIL_ENERGY = 0.5
#: How much of a channel's tail comes from the other channel: little, since a tail that filled both sides evenly would pull
#: the level difference to nothing whenever the direct sound pauses.
CROSSFEED = 0.15
#: Hz below which the tail is the same in both channels: in a diffuse field two points 17 cm apart, the ears, are in phase up to
#: 1 kHz, where the sinc of their distance in wavelengths first vanishes.
COHERENT_BELOW = 900.0
#: Hz that part the bands whose loudness is made even, and the seconds (standard deviation) over which it is.
EVEN_BANDS, EVEN_OVER = (300.0, 600.0), 0.003
#: The longest way round of a reflection in seconds; an upper bound for those who buffer.
LONGEST_DELAY = 2.5 * FRONT_WALL / SPEED_OF_SOUND


def distance_gain(distance: np.ndarray, amount: float = 1.0) -> np.ndarray:
    """Gain ``[N]`` of a point source, 1 / distance (inverse distance law, 6 dB a doubling), gently bounded to -12..+9 dB.

    :param distance: relative ``[N]``, above zero, 1 = the clip's median.
    :param amount: exponent of the law: 0 = distance changes no level, 1 = physical.
    """
    level = -20 * amount * np.log10(np.maximum(distance, 1e-3))
    return 10 ** (np.where(level > 0, LOUDEST * np.tanh(level / LOUDEST), -SOFTEST * np.tanh(level / -SOFTEST)) / 20)


def air_gain(distance: np.ndarray, amount: float = 1.0) -> np.ndarray:
    """Gain ``[N]`` of the treble after the way through the air."""
    return 10 ** (-np.minimum(AIR_LOSS * amount * distance, AIR_LOSS_MOST) / 20)


def early_reflections(angle: np.ndarray, distance: np.ndarray, room: float) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Reflections off left wall, right wall, front wall and ceiling of a source at ``angle`` radians ``[N]`` to the right and
    relative ``distance`` ``[N]``. ``room`` in 0..1 scales their energy.

    :return: for each, ``delay [N]`` in seconds after the direct sound, ``gain [N]``, and ``azimuth [N]`` in -1..1 where 1 = a
        quarter turn to the right.
    """
    metres = np.clip(MEDIAN_DISTANCE * distance, 0.5, FRONT_WALL - 0.5)
    x = np.clip(metres * np.sin(angle), 0.3 - SIDE_WALL, SIDE_WALL - 0.3)
    z = metres * np.cos(angle)
    direct = np.hypot(x, z)
    images = [(-2 * SIDE_WALL - x, z, 0.0), (2 * SIDE_WALL - x, z, 0.0), (x, 2 * FRONT_WALL - z, 0.0), (x, z, 2 * CEILING)]
    result = []
    for image_x, image_z, height in images:
        way = np.sqrt(image_x**2 + image_z**2 + height**2)
        delay = (way - direct) / SPEED_OF_SOUND
        gain = np.sqrt(room) * REFLECTION * MEDIAN_DISTANCE / np.maximum(way, MEDIAN_DISTANCE)
        result.append((delay, gain, np.clip(np.arctan2(image_x, image_z) / (np.pi / 2), -1.0, 1.0)))
    return result


def reverberation_time(room: float) -> float:
    """Seconds in which the tail falls by 60 dB: 0.2 (a closet) to 1.1 (a hall)."""
    return 0.2 + 0.9 * room


class LateTail:
    """The late tail: stereo noise that dies away exponentially, its treble in half the time; deterministic from ``seed``.

    The loudness of noise wavers, and a wave 0.1 s after a step would pass for another step, so the bass is made even.
    """

    def __init__(self, room: float, rate: int, seed: int):
        decay = reverberation_time(room)
        time = np.arange(int(decay * rate)) / rate
        generator = Generator(PCG64([int(seed) % 2**64, 0x7A11]))
        noise = generator.standard_normal((2, len(time)))
        # long waves reach both ears alike, in a diffuse field too
        common = _even(butterworth(noise.sum(0) * np.sqrt(0.5), COHERENT_BELOW, "lowpass", rate, order=2), rate)
        noise = common + butterworth(noise, COHERENT_BELOW, "highpass", rate, order=2)
        bass = butterworth(noise, 2500.0, "lowpass", rate, order=1)
        response = bass * 10 ** (-3 * time / decay) + 0.7 * (noise - bass) * 10 ** (-6 * time / decay)
        response *= np.minimum(time / 0.015, 1.0)
        # nothing of a tail belongs below the lowest modes of a room this size
        response = butterworth(response, 80.0, "highpass", rate, order=1)
        response *= np.sqrt(room * TAIL_ENERGY / (response**2).sum(-1, keepdims=True))
        self.response = np.pad(response, ((0, 0), (int(PRE_DELAY * rate), 0))).astype(np.float32)

    def __call__(self, send: np.ndarray) -> np.ndarray:
        """The tail ``[2, M + length - 1]`` of the panned sound ``send [2, M]``."""
        crossed = (1 - CROSSFEED) * send + CROSSFEED * send[::-1]
        return oaconvolve(crossed, self.response, axes=-1)


def _even(noise: np.ndarray, rate: int) -> np.ndarray:
    """The noise with the same power at every moment, in each of a few bands."""
    low, high = EVEN_BANDS
    bands = [
        butterworth(noise, low, "lowpass", rate, order=2),
        butterworth(noise, (low, high), "bandpass", rate, order=2),
        butterworth(noise, high, "highpass", rate, order=2),
    ]
    powers = [np.maximum(gaussian_filter1d(band**2, EVEN_OVER * rate), 1e-12) for band in bands]
    return np.sum([band * np.sqrt((band**2).mean() / power) for band, power in zip(bands, powers, strict=True)], axis=0)
