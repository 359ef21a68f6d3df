"""Sound placed where things are: each voice goes along a track, near or far, left or right, on screen or off."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ..errors import StereoSyncError
from ..scene import DISTANCE_CUES, DepthSequence, Track, Tracks, check_depth_fits
from ..scratch import zeros
from .filters import LowPass
from .hrtf import time_differences
from .panning import MovingDelay, filter_binaural, interaural_time_difference, pan_gains
from .room import AIR_CORNER, LONGEST_DELAY, WALL_CORNER, LateTail, air_gain, distance_gain, early_reflections

log = logging.getLogger(__name__)

MODES = ("pan", "binaural")
OFFSCREEN = ("fade", "hold", "mute")

#: Hz of the trajectories. Boxes come 10 to 30 a second; this is far above what a body does and far below the sampling rate.
CONTROL_RATE = 200.0
SMOOTHING = 0.06  # seconds (standard deviation) over which a detector's jitter is averaged out
FADE, DECLICK = 0.15, 0.01  # seconds to fade in and out: audibly, and to avoid a click only
_DISTANCE_RATE = 12.0  # Hz; depth under a box changes slowly and is dear to look up

_BLOCK = 0.5  # seconds rendered at a time: what bounds the memory beyond input and output
_HOPS = 32  # crossfades of head-related responses in a block
_CENTRE = np.sqrt(0.5)  # gain of either channel for what stays in the middle
_VERTICAL = 9 / 16  # height of the frame over its width, for the angle of elevation


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
    settings = settings or SpatializeSettings()
    if not 8000 <= rate <= 192000:
        raise StereoSyncError(f"Spatialize: the sampling rate is {rate} Hz; resample the sound to 8000..192000 Hz.")
    if not np.isfinite(duration) or round(duration * rate) < 1:
        raise StereoSyncError(f"Spatialize: the duration is {duration} seconds; give the video's length, above zero.")
    if isinstance(voices, np.ndarray):
        voices = [_checked(voice, voices.shape) for voice in voices] if voices.size else [_checked(voices, voices.shape)]
    if depth is not None:
        check_depth_fits(depth, duration)
    placed = _assigned(len(voices), tracks)
    if not placed:
        log.warning("Spatialize: there are no tracks, so the sound stays in the middle.")
    total = round(duration * rate)
    output = zeros((2, total))
    tail = LateTail(settings.room, rate, seed) if settings.room > 0 and placed else None
    sends = zeros((2, total)) if tail else None
    block = max(round(_BLOCK * rate / _HOPS), 1) * _HOPS
    blocks = range(0, total, block)
    for n, voice in enumerate(voices):
        voice = _checked(voice, voice.shape)
        if n >= len(placed):
            voice = voice[:, :total]
            output[:, : voice.shape[1]] += np.float32(_CENTRE) * voice
            continue
        assert tracks is not None
        trajectory = _follow(tracks, placed[n], duration, depth, settings.offscreen, settings.distance_from)
        moving = _MovingVoice(voice, trajectory, rate, settings)
        for k, start in enumerate(blocks):
            rendered = moving.render(start, block)
            if rendered is not None:
                direct, send = rendered
                _add(output, start, direct)
                if sends is not None:
                    _add(sends, start, send)
            if progress is not None:
                progress(n * len(blocks) + k + 1, len(placed) * len(blocks))
    if tail is not None and sends is not None:  # the room is the same for all: its tail is made once, of their sum
        for start in blocks:
            send = sends[:, start : start + block]
            if send.any():
                _add(output, start, tail(send))

    peak = max(float(output.max()), -float(output.min()))
    if peak > 1.0:
        log.info("Spatialize: the sum peaks at %.1f dB over full scale; the whole is turned down by that.", 20 * np.log10(peak))
        output *= np.float32(1.0 / (peak * (1 + 1e-6)))
    return output


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
    # min and max see NaN as well, without a temporary array of the sound's size
    if not (np.isfinite(voice.min()) and np.isfinite(voice.max())):
        raise StereoSyncError("Spatialize: voices contain NaN or infinite samples; repair the sound before giving it here.")
    return voice


def _assigned(count: int, tracks: Tracks | None) -> list[Track]:
    if tracks is None or count > 1:
        return list(tracks or ())[:count]
    return [tracks.in_turn()] if len(tracks) else []


@dataclass(frozen=True)
class _Trajectory:
    """An object's way, all ``[N]`` at ``arange(N) / CONTROL_RATE`` seconds."""

    azimuth: np.ndarray  # -1 (left edge) to 1 (right edge)
    elevation: np.ndarray  # -1 (lower edge) to 1 (upper edge)
    distance: np.ndarray  # relative, 1 = the clip's median
    presence: np.ndarray  # gain 0..1 that takes the sound away while the object is off screen

    def __len__(self) -> int:
        return len(self.azimuth)


def _follow(
    tracks: Tracks, track: Track, duration: float, depth: DepthSequence | None, offscreen: str, cue: str
) -> _Trajectory:
    """The way of ``track`` from 0 to ``duration`` seconds. Between two boxes the object moves in a straight line, however long
    the gap: a sound that is held or fades while its object is hidden glides on rather than jumps."""
    times = np.arange(int(np.ceil(duration * CONTROL_RATE)) + 2) / CONTROL_RATE
    gliding = replace(tracks, max_gap=max(tracks.duration, duration, track.end) + 1.0)

    def smooth(values: np.ndarray) -> np.ndarray:
        return gaussian_filter1d(values, SMOOTHING * CONTROL_RATE, mode="nearest")

    coarse = np.append(np.arange(0.0, times[-1], 1 / _DISTANCE_RATE), times[-1])
    distance = np.interp(times, coarse, np.log(np.maximum(gliding.distance(track, coarse, depth, cue), 1e-3)))
    presence = np.ones(len(times))
    if offscreen != "hold":
        _, visible = track.at(times, tracks.max_gap)
        length = max(round((FADE if offscreen == "fade" else DECLICK) * CONTROL_RATE), 1)
        ramp = np.hanning(length + 2)[1:-1]
        padded = np.pad(visible.astype(float), length, mode="edge")
        presence = np.convolve(padded, ramp / ramp.sum(), mode="same")[length:-length]
    return _Trajectory(
        azimuth=smooth(track.azimuth(times, gliding.max_gap)),
        elevation=smooth(track.elevation(times, gliding.max_gap)),
        distance=np.exp(smooth(distance)),
        presence=np.clip(presence, 0.0, 1.0),
    )


class _MovingVoice:
    def __init__(self, voice: np.ndarray, trajectory: _Trajectory, rate: int, settings: SpatializeSettings):
        self.voice, self.trajectory, self.rate, self.settings = voice, trajectory, rate, settings
        self.air = LowPass(AIR_CORNER, rate)
        self.walls = LowPass(WALL_CORNER, rate)
        pan = trajectory.azimuth * settings.width
        if settings.mode == "pan":
            self.angle = pan * np.pi / 4
            lag = interaural_time_difference(pan * np.pi / 2)
        else:
            half = settings.field_of_view / 2
            self.degrees = pan * half
            self.rise = trajectory.elevation * half * _VERTICAL
            self.angle = np.deg2rad(self.degrees)
            lag = time_differences(self.degrees, self.rise, rate)
        # Everything below is on the trajectory's grid; a block interpolates it to its samples.
        self.lag = lag * rate / 2 if settings.time_difference else np.zeros(len(trajectory))
        # the tail of a binaural sound is placed like the sound, as far as a gain can do what a head does
        self.sides = pan_gains(pan if settings.mode == "pan" else np.sin(self.angle))
        self.near = distance_gain(trajectory.distance, settings.distance)
        self.treble = air_gain(trajectory.distance, settings.distance)
        images = early_reflections(self.angle, trajectory.distance, settings.room) if settings.room > 0 else []
        # delay in samples, gain left, gain right
        self.images = [(delay * rate, *(gain * side for side in pan_gains(place))) for delay, gain, place in images]

    def render(self, start: int, block: int) -> tuple[np.ndarray, np.ndarray] | None:
        """A block from sample ``start`` on: the sound ``[2, at least block]``, of which what overhangs belongs on top of the
        next ones, and what goes to the tail ``[2, block]``. None where the voice is silent: a silent stretch stays exactly
        silent, and costs nothing."""
        before = int(LONGEST_DELAY * self.rate) + 32 if self.images else 96
        mono = self._mono(start - before, start + block + 96 + int(0.001 * self.rate))
        return self._render(mono, start, block, before) if mono.any() else None

    def _mono(self, start: int, stop: int) -> np.ndarray:
        """The voice folded to mono, faded where its object is off screen, silent beyond its ends."""
        result = np.zeros(stop - start, dtype=np.float32)
        first, last = max(start, 0), min(stop, self.voice.shape[1])
        if first < last:
            part = self.voice[:, first:last].mean(0)
            result[first - start : last - start] = part * self._grid(first, last - first)(self.trajectory.presence)
        return result

    def _grid(self, start: int, count: int) -> Callable[[np.ndarray], np.ndarray]:
        """Linear interpolation from the trajectory's grid to ``count`` samples from ``start`` on."""
        position = (start + np.arange(count)) * (CONTROL_RATE / self.rate)
        whole = np.minimum(position.astype(np.intp), len(self.trajectory) - 2)
        part = np.clip(position - whole, 0.0, 1.0)
        first, end = whole[0], whole[-1] + 2
        whole -= first

        def interpolate(values: np.ndarray) -> np.ndarray:
            known = values[first:end]
            result = np.diff(known)[whole]
            result *= part
            result += known[whole]
            return result

        return interpolate

    def _render(self, mono: np.ndarray, start: int, block: int, before: int) -> tuple[np.ndarray, np.ndarray]:
        at = self._grid(start, block)
        delay = MovingDelay(mono)
        place = before + np.arange(block, dtype=np.float64)
        lag = at(self.lag)
        channels = np.stack([delay.read(place - lag), delay.read(place + lag)])
        sides = np.stack([at(side) for side in self.sides]).astype(np.float32)

        direct = channels * at(self.near).astype(np.float32)
        if self.settings.air:
            bass = self.air(direct)
            direct = bass + (direct - bass) * at(self.treble).astype(np.float32)
        if self.settings.mode == "pan":
            layers = [direct * sides]
        else:
            hop = block // _HOPS
            centres = self._grid(start, block + 1)
            azimuth, elevation = centres(self.degrees)[::hop], centres(self.rise)[::hop]
            layers = [np.float32(_CENTRE) * filter_binaural(direct, azimuth, elevation, self.rate, hop)]
        if self.images:
            echoes = np.zeros_like(direct)
            for image, left, right in self.images:
                echo = delay.read(place - at(image))
                echoes[0] += echo * at(left)
                echoes[1] += echo * at(right)
            layers.append(self.walls(echoes))
        sound = np.zeros((2, max(layer.shape[1] for layer in layers)), dtype=np.float32)
        for layer in layers:
            sound[:, : layer.shape[1]] += layer
        return sound, channels * sides
