"""Sound placed where things are: each voice goes along a track, near or far, left or right, on screen or off."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import StereoSyncError
from ..scene import DISTANCE_CUES, DepthSequence, Tracks, check_depth_fits
from ..scratch import extremes, multiply, release, zeros
from .filters import LowPass
from .hrtf import time_differences
from .panning import MovingDelay, filter_binaural, interaural_time_difference, pan_gains
from .room import AIR_CORNER, LONGEST_DELAY, WALL_CORNER, LateTail, air_gain, distance_gain, early_reflections
from .stems import ROOM, Stem, stem_names
from .trajectory import OFFSCREEN, Trajectory, assigned, follow

log = logging.getLogger(__name__)

MODES = ("pan", "binaural")

_BLOCK = 0.5  # seconds rendered at a time: what bounds the memory beyond input and output
_HOPS = 32  # crossfades of head-related responses in a block
_KEPT = 64  # blocks that stay in memory of what lies in a file
_CENTRE = np.sqrt(0.5)  # gain of either channel for what stays in the middle


@dataclass(frozen=True)
class SpatializeSettings:
    """Settings of :func:`spatialize`.

    :param mode: ``pan`` for loudspeakers and headphones alike (level and time difference, the frame's edges are hard left and
        right), ``binaural`` for headphones (responses of the KEMAR manikin; the frame's edges are at half the field of view).
    :param width: 0..1, 1 = the whole stereo width, 0 = all in the middle.
    :param field_of_view: horizontal, in degrees; binaural only.
    :param time_difference: whether the sound reaches the far ear later (up to 0.66 ms).
    :param distance_from: with depth given, ``both``, ``boxes`` or ``depth``, as :meth:`Tracks.distance` has it.
    :param distance: exponent of the inverse distance law, 0 = distance changes nothing, 1 = physical.
    :param air: whether distance takes treble away.
    :param room: 0 = dry .. 1 = a hall; first reflections and tail.
    :param offscreen: ``fade`` out in 150 ms when the object leaves, ``mute`` at once, or ``hold`` the last place.
    :raises StereoSyncError: for a value that is not known or out of range.
    """

    mode: str = "pan"
    width: float = 1.0
    field_of_view: float = 60.0
    time_difference: bool = True
    distance_from: str = "both"
    distance: float = 1.0
    air: bool = True
    room: float = 0.2
    offscreen: str = "fade"

    def __post_init__(self):
        for name, allowed in (("mode", MODES), ("offscreen", OFFSCREEN), ("distance_from", DISTANCE_CUES)):
            if getattr(self, name) not in allowed:
                raise StereoSyncError(f"Spatialize: {name} is {getattr(self, name)!r}; choose one of {', '.join(allowed)}.")
        ranges = {"width": (0.0, 1.0), "field_of_view": (1.0, 180.0), "distance": (0.0, 2.0), "room": (0.0, 1.0)}
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:  # false for NaN as well
                raise StereoSyncError(f"Spatialize: {name} is {getattr(self, name)}; give {low:g} to {high:g}.")


def spatialize(
    voices: np.ndarray | Sequence[np.ndarray],
    rate: int,
    tracks: Tracks | None,
    settings: SpatializeSettings | None = None,
    *,
    duration: float,
    depth: DepthSequence | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Stereo sound of voices that move with tracked objects.

    Voice b goes along track b, a single voice along the most prominent track of each moment. A placed voice is folded to mono:
    an image of its own would fight with the place it is given. Voices left without a track stay in the middle, dry, and keep
    their stereo.
    Silence gives silence. The output never clips: if its peak would exceed 1, one static gain brings the whole down to 1, and
    the log has a line on it.

    :param voices: float32 ``[B, C, N]`` or B times ``[C, N]``, one or two channels; cut or padded with silence to ``duration``.
        One after the other is taken, so that voices which are made on access need not be in memory at once.
    :param rate: sampling rate in Hz, 8000 to 192000.
    :param tracks: where things are; none at all leaves every voice in the middle, with a warning in the log.
    :param duration: seconds of the output, the video's length.
    :param depth: distance comes from it where given, else from the height of the boxes.
    :param seed: of the room's tail.
    :return: float32 ``[2, round(duration * rate)]``; a long clip's lie in a temporary file (:mod:`~stereosync_core.scratch`).
    :raises StereoSyncError: for inputs of wrong shape, out of range, or with NaN, and for depth of another clip.
    """
    voices = checked_voices(voices, rate, duration)
    output = zeros((2, round(duration * rate)))
    _render(
        voices, rate, tracks, settings or SpatializeSettings(), [output] * len(voices), output, duration, depth, seed, progress
    )
    multiply(output, headroom(output))
    return output


def spatialize_stems(
    voices: np.ndarray | Sequence[np.ndarray],
    rate: int,
    tracks: Tracks | None,
    settings: SpatializeSettings | None = None,
    *,
    duration: float,
    depth: DepthSequence | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Stem]:
    """What :func:`spatialize` mixes, apart: each voice as it is placed, without the room, and then the room's share of all.

    Their sum is the mix of :func:`spatialize` to the rounding of single precision, whose gain against clipping they share.

    :return: a stem a voice, in order, and the room's last, which a dry setting leaves out.
    :raises StereoSyncError: as :func:`spatialize`.
    """
    settings, voices = settings or SpatializeSettings(), checked_voices(voices, rate, duration)
    shape = (2, round(duration * rate))
    outputs = [zeros(shape) for _ in range(len(voices) + (settings.room > 0))]
    _render(voices, rate, tracks, settings, outputs[: len(voices)], outputs[-1], duration, depth, seed, progress)
    mix = zeros(shape)
    for output in outputs:
        mix += output
    gain = headroom(mix)
    for output in outputs:
        multiply(output, gain)
    names = [*stem_names(len(voices), tracks), ROOM]
    return [Stem(name, output, rate) for name, output in zip(names, outputs, strict=False)]


def _render(
    voices: Sequence[np.ndarray],
    rate: int,
    tracks: Tracks | None,
    settings: SpatializeSettings,
    outputs: Sequence[np.ndarray],
    room: np.ndarray,
    duration: float,
    depth: DepthSequence | None,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Adds each placed voice to its one of ``outputs [2, N]``, and the room's share of all to ``room [2, N]``."""
    if depth is not None:
        check_depth_fits(depth, duration)
    placed = assigned(len(voices), tracks)
    if not placed:
        log.warning("Spatialize: there are no tracks, so the sound stays in the middle.")
    total = round(duration * rate)
    tail = LateTail(settings.room, rate, seed) if settings.room > 0 and placed else None
    sends = zeros((2, total)) if tail else None
    block = max(round(_BLOCK * rate / _HOPS), 1) * _HOPS
    blocks = range(0, total, block)
    for n, (voice, output) in enumerate(zip(voices, outputs, strict=True)):
        voice = _checked(voice, voice.shape)
        if n >= len(placed):
            voice = voice[:, :total]
            output[:, : voice.shape[1]] += np.float32(_CENTRE) * voice
            continue
        assert tracks is not None
        trajectory = follow(tracks, placed[n], duration, depth, settings.offscreen, settings.distance_from)
        moving = _MovingVoice(voice, trajectory, rate, settings)
        for k, start in enumerate(blocks):
            rendered = moving.render(start, block)
            if rendered is not None:
                direct, echoes, send = rendered
                _add(output, start, direct)
                _add(room, start, echoes)
                if sends is not None:
                    _add(sends, start, send)
            if not k % _KEPT:
                for array in (voice, output, room) if sends is None else (voice, output, room, sends):
                    release(array)
            if progress is not None:
                progress(n * len(blocks) + k + 1, len(placed) * len(blocks))
    if tail is not None and sends is not None:  # the room is the same for all: its tail is made once, of their sum
        for start in blocks:
            send = sends[:, start : start + block]
            if send.any():
                _add(room, start, tail(send))
            release(sends)
            release(room)


def headroom(mix: np.ndarray) -> np.float32:
    """The gain that brings a mix ``[C, N]`` down to full scale, 1 where it does not pass it; the log has a line on it."""
    low, high = extremes(mix)
    peak = max(high, -low)
    if peak <= 1.0:
        return np.float32(1.0)
    log.info("Spatialize: the sum peaks at %.1f dB over full scale; the whole is turned down by that.", 20 * np.log10(peak))
    return np.float32(1.0 / (peak * (1 + 1e-6)))


def checked_voices(voices: np.ndarray | Sequence[np.ndarray], rate: int, duration: float) -> Sequence[np.ndarray]:
    """Voices as a sequence. Raises StereoSyncError for a rate, a duration or an array that cannot be rendered."""
    if not 8000 <= rate <= 192000:
        raise StereoSyncError(f"Spatialize: the sampling rate is {rate} Hz; resample the sound to 8000..192000 Hz.")
    if not np.isfinite(duration) or round(duration * rate) < 1:
        raise StereoSyncError(f"Spatialize: the duration is {duration} seconds; give the video's length, above zero.")
    if isinstance(voices, np.ndarray):
        return [_checked(voice, voices.shape) for voice in voices] if voices.size else [_checked(voices, voices.shape)]
    return voices


def _add(output: np.ndarray, start: int, sound: np.ndarray) -> None:
    """Adds ``sound [2, n]`` to ``output [2, N]`` from a sample on; what overhangs is left out."""
    part = output[:, start : start + sound.shape[1]]
    part += sound[:, : part.shape[1]]


def _checked(voice: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The voice as float32 ``[C, N]``; ``shape`` is that of what it came in."""
    voice = np.asarray(voice, dtype=np.float32)
    if voice.ndim != 2 or 0 in voice.shape:
        raise StereoSyncError(f"Spatialize: the audio must be [voices, channels, samples] and not empty; got {shape}.")
    if len(voice) > 2:
        raise StereoSyncError(
            f"Spatialize: the audio has {len(voice)} channels; only mono and stereo can be placed. Mix it to stereo."
        )
    if not np.isfinite(extremes(voice)).all():
        raise StereoSyncError("Spatialize: voices contain NaN or infinite samples; repair the sound before giving it here.")
    return voice


class _MovingVoice:
    def __init__(self, voice: np.ndarray, trajectory: Trajectory, rate: int, settings: SpatializeSettings):
        self.voice, self.trajectory, self.rate, self.settings = voice, trajectory, rate, settings
        self.air = LowPass(AIR_CORNER, rate)
        self.walls = LowPass(WALL_CORNER, rate)

    def render(self, start: int, block: int) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """A block from sample ``start`` on: the direct sound ``[2, at least block]``, of which what overhangs belongs on top of
        the next ones, its first reflections ``[2, block]``, and what goes to the tail ``[2, block]``. None where the voice is
        silent: a silent stretch stays exactly silent, and costs nothing."""
        before = int(LONGEST_DELAY * self.rate) + 32 if self.settings.room > 0 else 96
        mono = self._mono(start - before, start + block + 96 + int(0.001 * self.rate))
        return self._render(mono, start, block, before) if mono.any() else None

    def _mono(self, start: int, stop: int) -> np.ndarray:
        """The voice folded to mono, faded where its object is off screen, silent beyond its ends."""
        result = np.zeros(stop - start, dtype=np.float32)
        first, last = max(start, 0), min(stop, self.voice.shape[1])
        if first < last:
            way, at = self.trajectory.around(first, last - first, self.rate)
            result[first - start : last - start] = self.voice[:, first:last].mean(0) * at(way.presence)
        return result

    def _render(self, mono: np.ndarray, start: int, block: int, before: int):
        # what is made of the way is on the way's grid, and interpolated to the samples
        settings, rate = self.settings, self.rate
        way, at = self.trajectory.around(start, block, rate)
        pan = way.azimuth * settings.width
        if settings.mode == "pan":
            angle, sides, difference = pan * np.pi / 4, pan_gains(pan), interaural_time_difference(pan * np.pi / 2)
        else:
            degrees, rise = way.degrees(settings.width, settings.field_of_view)
            angle = np.deg2rad(degrees)
            # the tail of a binaural sound is placed like the sound, as far as a gain can do what a head does
            sides, difference = pan_gains(np.sin(angle)), time_differences(degrees, rise, rate)
        delay = MovingDelay(mono)
        place = before + np.arange(block, dtype=np.float64)
        lag = at(difference * rate / 2) if settings.time_difference else np.zeros(block)
        channels = np.stack([delay.read(place - lag), delay.read(place + lag)])
        sides = np.stack([at(side) for side in sides]).astype(np.float32)

        direct = channels * at(distance_gain(way.distance, settings.distance)).astype(np.float32)
        if settings.air:
            bass = self.air(direct)
            direct = bass + (direct - bass) * at(air_gain(way.distance, settings.distance)).astype(np.float32)
        if settings.mode == "pan":
            sound = direct * sides
        else:
            hop = block // _HOPS
            longer, centres = self.trajectory.around(start, block + 1, rate)
            azimuth, elevation = (centres(turn)[::hop] for turn in longer.degrees(settings.width, settings.field_of_view))
            sound = np.float32(_CENTRE) * filter_binaural(direct, azimuth, elevation, rate, hop)
        echoes = np.zeros_like(direct)
        if settings.room > 0:
            for late, gain, where in early_reflections(angle, way.distance, settings.room):
                echo = delay.read(place - at(late * rate))
                for channel, side in zip(echoes, pan_gains(where), strict=True):
                    channel += echo * at(gain * side)
            echoes = self.walls(echoes)
        return sound, echoes, channels * sides
