"""Sound in and out, exact to the sample, and the few changes to it that have nothing to do with taste."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from pathlib import Path

import av
import numpy as np
from scipy.signal import resample_poly

from ..errors import StereoSyncError
from ..scene import freeze
from ..scratch import extremes, multiply, release, zeros
from .encode import CODECS, SoundTrack, codec_for
from .output import Rehearsed, replacing, written
from .source import Source, as_clip, decoded_sound, moving_pictures, opened

logger = logging.getLogger(__name__)

#: Jumps in a file's sound times below this are rounding (a Matroska tick is a millisecond) and not gaps.
_GAP = 0.005

#: Samples that are worked on at a time.
_STEP = 1 << 20

#: What a cut end fades out over, in seconds, so that it does not click.
_FADE = 0.005


@dataclass(frozen=True)
class Sound:
    """Samples and their rate. The samples are read-only.

    :param samples: float32 ``[C, N]``, full scale at 1; channels in WAVE's order (front left, front right, centre, LFE, ...).
    :param rate: samples a second.
    :raises StereoSyncError: the samples are empty, have another shape, or hold NaN or infinite values.
    """

    samples: np.ndarray
    rate: int

    def __post_init__(self):
        samples = np.asarray(self.samples, dtype=np.float32)
        if samples.ndim != 2:
            raise StereoSyncError(f"Sound: samples must be [channels, samples], got an array of shape {samples.shape}.")
        if 0 in samples.shape:
            raise StereoSyncError(f"Sound: it is empty (shape {samples.shape}); connect a sound that has samples.")
        if int(self.rate) != self.rate or self.rate < 1:
            raise StereoSyncError(f"Sound: the sample rate is {self.rate}; it must be a whole number above zero.")
        if not np.isfinite(extremes(samples)).all():
            bad = int((~np.isfinite(samples)).sum())
            raise StereoSyncError(
                f"Sound: {bad} of {samples.size} samples are NaN or infinite; the node that made the sound failed: run it "
                "again with other settings or at full precision (fp32)."
            )
        freeze(self, samples=samples, rate=int(self.rate))

    @property
    def channels(self) -> int:
        return self.samples.shape[0]

    @property
    def length(self) -> int:
        """Samples a channel."""
        return self.samples.shape[1]

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.length / self.rate


def read_sound(source: Source, *, align_to_video: bool = True, note: Callable[[str], None] = logger.warning) -> Sound | None:
    """The main sound of a file or clip with all its channels, or None where there is none that can be decoded. Gaps are filled
    with silence; what an encoder put before the first sample is left out.

    :param align_to_video: sample 0 is at the clip's first video frame (silence is put before a sound that starts later, the
        beginning of one that starts earlier is cut) and the sound is exactly as long as the video. A file without video, or
        with False: sample 0 is the file's first sample.
    :param note: called with a sentence where a sound track cannot be decoded.
    :raises StereoSyncError: the source cannot be read.
    """
    clip, start, duration = as_clip(source), None, None
    if clip.main_sound.note:
        note(clip.main_sound.note)
    if clip.main_sound.index is None:
        return None
    with opened(clip) as container:
        align_to_video = align_to_video and bool(moving_pictures(container))
    if align_to_video:
        start, duration = clip.timeline.start * clip.timeline.tick, clip.timeline.duration
    found = sound_between(clip, start, duration)
    return None if found is None else Sound(*found)


def sound_between(source: Source, start: Fraction | None, duration: Fraction | None) -> tuple[np.ndarray, int] | None:
    """Samples float32 ``[C, N]`` and rate of the main sound, silent where there is none; None where nothing can be decoded.

    :param start: seconds on the container's timeline of sample 0 (None: the first sample), and ``duration`` in seconds (None:
        to the end).
    """
    blocks = _blocks(source, start)
    if duration is not None:
        return _filled(blocks, float(duration))
    pieces = list(blocks)
    if not pieces:
        return None
    rate, at, samples = pieces[-1]
    result = np.zeros((len(samples), at + samples.shape[1]), np.float32)
    while pieces:  # each freed as soon as it is in its place
        _, at, samples = pieces.pop()
        result[:, at : at + samples.shape[1]] = samples
    return result, rate


def _filled(blocks: Iterator[tuple[int, int, np.ndarray]], duration: float) -> tuple[np.ndarray, int] | None:
    """Blocks as one sound of that length, which may be more than fits into memory."""
    result, rate, seen = None, 0, 0
    for rate, at, samples in blocks:
        if result is None:
            result = zeros((len(samples), round(duration * rate)))
        if at >= result.shape[1]:
            break
        samples = samples[:, : result.shape[1] - at]
        result[:, at : at + samples.shape[1]] = samples
        if at - seen > _STEP:
            release(result)
            seen = at
    return None if result is None else (result, rate)


def _blocks(source: Source, start: Fraction | None) -> Iterator[tuple[int, int, np.ndarray]]:
    """The main sound as ``(rate, place, float32 [C, n])``: blocks in order that do not overlap (some may be empty), places in
    samples from 0, what lies before left out."""
    index = as_clip(source).main_sound.index
    if index is None:
        return
    with opened(source) as container:
        stream = container.streams[index]
        assert isinstance(stream, av.AudioStream)
        convert, cursor, rate = _ToFloat(), None, 0
        for frame in decoded_sound(container, stream):
            rate = rate or frame.sample_rate
            samples = convert(frame)
            place = None
            if frame.pts is not None and frame.time_base is not None:
                seconds = frame.pts * frame.time_base
                start = seconds if start is None else start
                place = round((seconds - start) * rate)
            if cursor is None:
                cursor = place or 0
                # A start off by less than a tick of a coarse clock is no offset.
                if place is not None and frame.time_base is not None and abs(cursor) < frame.time_base * rate > 1:
                    cursor = 0
            elif place is not None and abs(place - cursor) > _GAP * rate:
                # a gap stays silent, of what comes twice the second is left out
                samples = samples[:, max(0, cursor - place) :]
                cursor = max(cursor, place)
            if cursor < 0:
                cut = min(-cursor, samples.shape[1])
                samples = samples[:, cut:]
                cursor += cut
            yield rate, max(cursor, 0), samples
            cursor += samples.shape[1]


class _ToFloat:
    first: tuple[int, str] | None = None
    current: tuple[int, str] | None = None

    def __call__(self, frame: av.AudioFrame) -> np.ndarray:
        kind = (frame.sample_rate, frame.layout.name)
        self.first = self.first or kind
        # PyAV reads past the end of a planar frame's eight plane pointers where all of them are in use
        if kind == self.first and not (frame.format.is_planar and frame.layout.nb_channels >= 8):
            return _as_float(frame)
        rate, layout = self.first
        if kind != self.current:  # broadcasts change between stereo and surround
            self.current, self.resampler = kind, av.AudioResampler(format="flt", layout=layout, rate=rate)
        nothing = np.zeros((av.AudioLayout(layout).nb_channels, 0), np.float32)
        return np.concatenate([nothing, *map(_as_float, self.resampler.resample(frame))], axis=1)


def _as_float(frame: av.AudioFrame) -> np.ndarray:
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype.kind == "f":
        return samples.astype(np.float32)
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    return (samples / float(-np.iinfo(samples.dtype).min)).astype(np.float32)


def resample(sound: Sound, rate: int) -> Sound:
    """The same sound at another rate, ``round(length * rate / old)`` samples; polyphase, aliases below -80 dB."""
    if rate == sound.rate:
        return sound
    if int(rate) != rate or rate < 1:
        raise StereoSyncError(f"Sound: cannot resample to {rate} samples a second; give a whole number above zero.")
    common = gcd(int(rate), sound.rate)
    up, down = int(rate) // common, sound.rate // common
    slower = max(up, down)
    taps = np.arange(-32 * slower, 32 * slower + 1)
    window = np.sinc(taps * 0.95 / slower) * np.kaiser(len(taps), 9.0)
    window = (window / window.sum()).astype(np.float32)
    result = zeros((sound.channels, max(1, round(sound.length * up / down))))
    edge, step = -(-33 * slower // up // down) * down, max(1, _STEP // down) * down
    for at in range(0, sound.length, step):  # in blocks that begin where both rates have a sample
        first = max(0, at - edge)
        block = resample_poly(sound.samples[:, first : at + step + edge], up, down, axis=1, window=window)
        place = at // down * up
        block = block[:, place - first // down * up :][:, : min(step // down * up, result.shape[1] - place)]
        result[:, place : place + block.shape[1]] = block
        release(sound.samples)
        release(result)
    return Sound(result, int(rate))


def fit_length(samples: np.ndarray, n: int, rate: int = 48000, *, fade: float = _FADE) -> np.ndarray:
    """float32 ``[C, n]``: silence appended, or cut with a fade of ``fade`` seconds before the cut."""
    have = samples.shape[1]
    if have == n:
        return samples
    result = zeros((len(samples), n))
    multiply(samples[:, :n], 1.0, result[:, :have])
    faded = min(round(fade * rate), n)
    if faded and have > n:
        result[:, n - faded :] *= np.linspace(1, 0, faded, dtype=np.float32)
    return result


#: Left and right share of each channel, in WAVE's order; ITU-R BS.775: centre and surrounds at -3 dB, no LFE.
_H = 0.5**0.5
_DOWNMIX = {
    1: [(1, 1)],
    2: [(1, 0), (0, 1)],
    3: [(1, 0), (0, 1), (0, 0)],  # 2.1
    4: [(1, 0), (0, 1), (_H, _H), (0.5, 0.5)],  # front, centre, one back channel
    5: [(1, 0), (0, 1), (_H, _H), (_H, 0), (0, _H)],
    6: [(1, 0), (0, 1), (_H, _H), (0, 0), (_H, 0), (0, _H)],  # 5.1
    7: [(1, 0), (0, 1), (_H, _H), (0, 0), (0.5, 0.5), (_H, 0), (0, _H)],  # 6.1
    8: [(1, 0), (0, 1), (_H, _H), (0, 0), (_H, 0), (0, _H), (_H, 0), (0, _H)],  # 7.1
    12: [(1, 0), (0, 1), (_H, _H), (0, 0), *[(_H, 0), (0, _H)] * 4],  # 7.1.4
}


def to_stereo(samples: np.ndarray) -> np.ndarray:
    """float32 ``[2, N]`` of ``[C, N]``: mono is doubled, surround mixed by ITU-R BS.775 (not scaled down, so loud sound
    may pass full scale), other numbers of channels are dealt to left and right in turn."""
    channels = samples.shape[0]
    if channels == 2:
        return samples
    if channels in _DOWNMIX:
        matrix = np.array(_DOWNMIX[channels], np.float32)
    else:
        matrix = np.zeros((channels, 2), np.float32)
        matrix[::2, 0] = matrix[1::2, 1] = (2 / channels) ** 0.5
    return matrix.T @ samples


#: What a file name's ending means for a sound file.
SOUND_FILES = {
    ".wav": "float32",
    ".flac": "flac",
    ".mp3": "mp3",
    ".ogg": "opus",
    ".opus": "opus",
    ".m4a": "aac",
    ".mka": "flac",
}


def require_sound(path: str | Path, name: str) -> Sound:
    """The sound of a file that is given for its sound; ``name`` is the option or input that it was given as. Raises
    StereoSyncError as :func:`read_sound`, or the file has no sound."""
    sound = read_sound(path, align_to_video=False)
    if sound is None:
        raise StereoSyncError(f"{name}: {path} has no sound that can be decoded; give a file with an audio track.")
    return sound


def write_sound(
    path: str | os.PathLike[str], sound: Sound, *, codec: str = "auto", metadata: dict[str, str] | None = None, layout: str = ""
) -> Path:
    """Writes a sound file of the kind of the path's ending, and returns the path; wav and flac are exact to the sample.

    :param codec: ``auto``, or one of ``float32``, ``pcm16``, ``pcm24`` (wav), ``flac``, ``mp3``, ``opus``, ``aac``. ``auto``
        takes float32 for wav. FLAC holds 24 bits. Codecs that do not take the sound's rate get it resampled.
    :param metadata: tags to write into the file.
    :param layout: libav's name of what the channels are, for example ``ambisonic 1``; by default the usual one of so many.
    :raises StereoSyncError: the ending or the codec is unknown, the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    kind = CODECS[codec_for(codec, path, SOUND_FILES, sound.channels, layout)]
    sound = resample(sound, kind.rate_for(sound.rate))
    with replacing(path) as temporary, written(temporary) as container:
        container.metadata.update(metadata or {})
        SoundTrack(container, kind, sound.samples, sound.rate, layout=layout).finish()
    return path


def check_sound_file(
    path: str | os.PathLike[str],
    *,
    codec: str = "auto",
    endings: dict[str, str] = SOUND_FILES,
    channels: int = 2,
    layout: str = "",
) -> None:
    """Raise what :func:`write_sound` would, before there is a sound of so many channels: silence is written, and removed.
    ``endings`` that are allowed, each with its usual codec."""
    path = Path(path)
    kind = CODECS[codec_for(codec, path, endings, channels, layout)]
    with suppress(Rehearsed), replacing(path) as temporary:
        with written(temporary) as container:
            SoundTrack(container, kind, np.zeros((channels, 4800), np.float32), kind.rate_for(48000), layout=layout).finish()
        raise Rehearsed


def mono_samples(sound: np.ndarray, name: str = "sound") -> np.ndarray:
    """float64 ``[N]``: the mean of the channels of ``[C, N]``, or ``[N]`` as it is. Raises StereoSyncError for other shapes, an
    empty sound, NaN or infinite samples."""
    sound = np.asarray(sound, dtype=np.float64)
    if sound.ndim not in (1, 2) or 0 in sound.shape:
        raise StereoSyncError(f"Metrics: the {name} has shape {sound.shape}, but [channels, samples] is expected.")
    finite_samples(sound, name)
    return sound.mean(0) if sound.ndim == 2 else sound


def finite_samples(sound: np.ndarray, name: str) -> np.ndarray:
    """The same samples. Raises StereoSyncError for NaN or infinite ones."""
    if not np.isfinite(sound).all():
        raise StereoSyncError(f"Metrics: the {name} contains NaN or infinite samples; make it again.")
    return sound
