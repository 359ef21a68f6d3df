"""Sound in more than two channels, placed where things are: loudspeakers around, ambisonics, and binaural out of these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import numpy as np
from scipy.signal import oaconvolve

from ..errors import StereoSyncError
from ..scene import DepthSequence, Tracks, check_depth_fits
from ..scratch import multiply, release, zeros
from .filters import LowPass
from .hrtf import hrirs
from .layouts import Ambisonics, SpeakerLayout, layout_of
from .panning import MovingDelay, pan_gains
from .room import AIR_CORNER, LONGEST_DELAY, WALL_CORNER, LateTail, air_gain, distance_gain, early_reflections
from .spatialize import SpatializeSettings, checked_voices, headroom
from .trajectory import Trajectory, assigned, follow

_BLOCK = 0.5  # seconds rendered at a time
_EDGE = 96  # samples that the delay needs around a block
#: Azimuth (degrees to either side) and elevation of the pairs of the tail, which reaches from all around.
_TAILS = ((45.0, 0.0), (135.0, 0.0), (70.0, 45.0))
#: Hz times the order up to which ambisonics at the head are exact; beyond, magnitudes are fitted without phases.
_EXACT = 650.0
_DIRECTIONS, _TAPS = 400, 512


def spatialize_surround(
    voices: np.ndarray | Sequence[np.ndarray],
    rate: int,
    tracks: Tracks | None,
    layout: str,
    settings: SpatializeSettings | None = None,
    *,
    duration: float,
    depth: DepthSequence | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Voices that move with tracked objects, in a layout of loudspeakers or as ambisonics.

    As :func:`~.spatialize.spatialize`, with elevation from the picture's height. The frame spans the field of view of the
    settings, 60 degrees by default: its edges are at the front loudspeakers. ``mode`` and ``time_difference`` have no meaning
    here. The LFE stays silent. A voice without a track stays ahead, and the two channels of a stereo one at 30 degrees to
    either side.

    :param layout: a key of :data:`~.layouts.LAYOUTS`.
    :return: float32 ``[C, round(duration * rate)]``, channels as in the layout.
    :raises StereoSyncError: as :func:`~.spatialize.spatialize`, or the layout is not known.
    """
    settings, place = settings or SpatializeSettings(), layout_of(layout)
    voices = checked_voices(voices, rate, duration)
    if depth is not None:
        check_depth_fits(depth, duration)
    total, block = round(duration * rate), round(_BLOCK * rate)
    output = zeros((place.channels, total))
    placed = assigned(len(voices), tracks)
    sends = zeros((2, total)) if settings.room > 0 and placed else None
    blocks = range(0, total, block)
    for n, voice in enumerate(voices):
        if n >= len(placed):
            sides = np.array([0.0] if len(voice) == 1 else [-30.0, 30.0])
            voice = np.asarray(voice[:, :total], np.float32)
            output[:, : voice.shape[1]] += place.gains(sides, 0 * sides).astype(np.float32) @ voice
            continue
        assert tracks is not None
        way = follow(tracks, placed[n], duration, depth, settings.offscreen, settings.distance_from)
        moving = _MovingSource(voice, way, rate, settings, place)
        for k, start in enumerate(blocks):
            stop = min(start + block, total)
            rendered = moving.render(start, stop - start)
            if rendered is not None:
                output[:, start:stop] += rendered[0]
                if sends is not None:
                    sends[:, start:stop] += rendered[1]
            for array in (voice, output, *([] if sends is None else [sends])):
                release(array)
            if progress is not None:
                progress(n * len(blocks) + k + 1, len(placed) * len(blocks))
    if sends is not None:
        _add_tails(output, sends, place, settings.room, rate, seed, block)
    multiply(output, headroom(output))
    return output


def _add_tails(
    output: np.ndarray, sends: np.ndarray, place: SpeakerLayout | Ambisonics, room: float, rate: int, seed: int, block: int
) -> None:
    share = np.float32(len(_TAILS) ** -0.5)
    for number, (side, height) in enumerate(_TAILS):
        tail = LateTail(room, rate, seed + 7919 * number)
        gains = share * place.gains(np.array([-side, side]), np.full(2, height)).astype(np.float32)
        for start in range(0, sends.shape[1], block):
            send = sends[:, start : start + block]
            if send.any():
                sound = tail(send)
                part = output[:, start : start + sound.shape[1]]
                part += gains @ sound[:, : part.shape[1]]
            release(sends)
            release(output)


class _MovingSource:
    """A voice on its way: mono, near or far, with its first reflections, each in its direction."""

    def __init__(
        self, voice: np.ndarray, way: Trajectory, rate: int, settings: SpatializeSettings, place: SpeakerLayout | Ambisonics
    ):
        self.voice, self.way, self.rate, self.settings, self.place = voice, way, rate, settings, place
        self.air, self.walls = LowPass(AIR_CORNER, rate), LowPass(WALL_CORNER, rate)

    def render(self, start: int, count: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Sound ``[C, count]`` from sample ``start`` on, and what goes to the tail ``[2, count]``; None where it is silent."""
        settings, rate = self.settings, self.rate
        before = (int(LONGEST_DELAY * rate) if settings.room > 0 else 0) + _EDGE
        mono = np.zeros(before + count + _EDGE, np.float32)
        first, last = max(start - before, 0), min(start + count + _EDGE, self.voice.shape[1])
        if first < last:
            way, at = self.way.around(first, last - first, rate)
            mono[first - start + before : last - start + before] = self.voice[:, first:last].mean(0) * at(way.presence)
        if not mono.any():
            return None
        way, at = self.way.around(start, count, rate)
        azimuth, elevation = way.degrees(settings.width, settings.field_of_view)
        angle = np.deg2rad(azimuth)

        def interpolated(gains: Iterable[np.ndarray]) -> np.ndarray:
            """Gains ``[C, count]`` of those on the way's grid ``[C, n]``."""
            return np.stack([at(gain) for gain in gains]).astype(np.float32)

        here = mono[before : before + count]
        direct = here * at(distance_gain(way.distance, settings.distance)).astype(np.float32)
        if settings.air:
            bass = self.air(direct)
            direct = bass + (direct - bass) * at(air_gain(way.distance, settings.distance)).astype(np.float32)
        sound = direct * interpolated(self.place.gains(azimuth, elevation))
        if settings.room > 0:
            delayed, where = MovingDelay(mono), before + np.arange(count, dtype=np.float64)
            echoes = np.zeros_like(sound)
            for delay, gain, turn in early_reflections(angle, way.distance, settings.room):
                echo = delayed.read(where - at(delay) * rate) * at(gain).astype(np.float32)
                echoes += echo * interpolated(self.place.gains(90 * turn, 0 * turn))
            sound += self.walls(echoes)
        return sound, here * interpolated(pan_gains(np.sin(angle)))


def ambisonics_to_binaural(samples: np.ndarray, rate: int) -> np.ndarray:
    """Ambisonics ``[4 or 16, N]`` as float32 ``[2, N]`` for headphones, by the bundled responses of a manikin.

    The filters fit the responses of all directions in phase and magnitude up to 650 Hz times the order, and beyond in
    magnitude alone (C. Schoerkhuber, M. Zaunschirm, R. Hoeldrich, "Binaural rendering of ambisonic signals via magnitude least
    squares", DAGA 2018).

    :raises StereoSyncError: for another number of channels.
    """
    order = round(len(samples) ** 0.5) - 1
    if len(samples) not in (4, 16):
        raise StereoSyncError(
            f"Binaural: the sound has {len(samples)} channels; give ambisonics of the first (4) or third order (16)."
        )
    filters = _binaural_filters(order, rate).astype(np.float32)
    lag, length = _TAPS // 4, samples.shape[1]
    result = np.zeros((2, length), np.float32)
    for channel, sound in enumerate(np.asarray(samples, np.float32)):
        result += oaconvolve(np.stack([sound, sound]), filters[:, channel], axes=-1)[:, lag : lag + length]
    return result


@lru_cache(maxsize=4)
def _binaural_filters(order: int, rate: int) -> np.ndarray:
    """Filters ``[2, C, taps]``, late by a quarter of their taps."""
    n = np.arange(_DIRECTIONS) + 0.5
    elevation = np.rad2deg(np.arcsin(1 - 2 * n / _DIRECTIONS))
    azimuth = np.mod(360 * n * (np.sqrt(5) - 1) / 2, 360)  # evenly over the sphere
    left, right, lag = hrirs(azimuth, elevation, rate)
    frequencies = np.fft.rfftfreq(_TAPS, 1 / rate)
    turn = 2j * np.pi * frequencies[:, None]
    late = _TAPS / 4 / rate
    inverse = np.linalg.pinv(Ambisonics(order).gains(azimuth, elevation).T)  # [C, D]
    harmonics = Ambisonics(order).gains(azimuth, elevation)
    result = []
    for responses, delay in ((left, lag / 2), (right, -lag / 2)):
        wanted = np.fft.rfft(responses, _TAPS, axis=-1).T * np.exp(-turn * delay)  # [F, D]
        fitted = np.zeros((len(frequencies), len(inverse)), complex)
        for k, frequency in enumerate(frequencies):
            target = wanted[k]
            if frequency > _EXACT * order:
                before = fitted[k - 1] @ harmonics
                target = np.abs(target) * np.exp(1j * np.angle(before))
            fitted[k] = inverse @ target
        result.append(np.fft.irfft(fitted * np.exp(-turn * late), _TAPS, axis=0).T)
    filters = np.stack(result)
    fade = _TAPS // 8
    filters[..., -fade:] *= np.cos(np.linspace(0, np.pi / 2, fade)) ** 2
    return filters
