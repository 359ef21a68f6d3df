"""The walkers' mix by our own hand: dry voices placed by the law that the engine's mix obeys, at full precision.

The law was measured on single sounds at known places (docs/rooms.md) and is that of OpenAL Soft 1.19: inverse distance beyond
two metres, and a second-order stereo panner whose angles are widened by half. What the engine does besides is left out: its
Doppler shift (physical, below one per cent) and the small loss of treble in its interpolation.
"""

from __future__ import annotations

import numpy as np

from .camera import bearing
from .room import UNITS_PER_METRE
from .walkers import NEAREST, RATE, TICS_PER_SECOND

#: Level at two metres or nearer, hard to one side, over that of the dry voice; measured, so that both mixes are equally loud.
ENGINE_GAIN = 1.57
#: Samples by which the engine's limiter delays its mix (1 ms).
ENGINE_LATENCY = 43
_WIDENING = 1.5
_FRONT, _SIDE, _MIDDLE = 0.5, 0.5, 0.0956621


def engine_gains(camera: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Left and right gain ``[2, T]`` of a sound.

    :param camera: ``[T, 3]``: place in metres, and the angle in radians that it looks at.
    :param place: of the sound, ``[T, 2]`` in metres.
    """
    side = bearing(camera[:, :2], camera[:, 2], place)
    distance = np.linalg.norm(place - camera[:, :2], axis=1) * UNITS_PER_METRE
    widened = np.sign(side) * np.minimum(np.abs(side) * _WIDENING, np.pi / 2)
    wide = np.where(np.abs(side) < np.pi / 2, widened, side)
    middle, aside = _FRONT + _MIDDLE * np.cos(wide), _SIDE * np.sin(wide)
    near = NEAREST / np.maximum(distance, NEAREST)
    return near * np.maximum(np.stack([middle - aside, middle + aside]), 0.0)


def place_voices(voices: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Stereo float32 ``[2, N]`` of voices ``[W, N]`` at 44.1 kHz under gains ``[W, 2, T]``, one a tic and straight between."""
    samples = (np.arange(voices.shape[-1]) - ENGINE_LATENCY) * (TICS_PER_SECOND / RATE)
    mix = np.zeros((2, voices.shape[-1]))
    for voice, sides in zip(voices, gains, strict=True):
        late = np.concatenate([np.zeros(ENGINE_LATENCY), voice[:-ENGINE_LATENCY]])
        for channel in range(2):
            mix[channel] += late * np.interp(samples, np.arange(sides.shape[-1]), sides[channel])
    return (ENGINE_GAIN * mix).astype(np.float32)
