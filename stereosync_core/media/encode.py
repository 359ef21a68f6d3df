"""Sound encoders and what each container takes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer

from ..errors import StereoSyncError, explained
from ..scratch import release

#: What libav calls the layout of so many channels; the order of the channels is WAVE's.
LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1", 12: "7.1.4"}


@dataclass(frozen=True)
class SoundCodec:
    """Settings of a sound codec."""

    encoder: str  # libav's name
    format: str  # packed sample format that it is given; libav makes it planar where the encoder wants that
    rates: tuple[int, ...] = ()  # samples a second that it takes, highest last; empty for any
    channels: int = 8  # most that it takes
    bit_rate: int = 0  # bits a second and channel, 0 where that means nothing

    @property
    def clips(self) -> bool:
        """Whether samples beyond full scale are lost."""
        return self.encoder != "pcm_f32le"

    def rate_for(self, rate: int) -> int:
        """The sample rate to encode sound of ``rate`` at: the same, else the next higher one, else the highest."""
        if not self.rates or rate in self.rates:
            return rate
        return min((known for known in self.rates if known > rate), default=self.rates[-1])


_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

CODECS = {
    "aac": SoundCodec("aac", "flt", _AAC_RATES, bit_rate=128_000),
    "flac": SoundCodec("flac", "s32"),
    "opus": SoundCodec("libopus", "flt", (48000,), bit_rate=96_000),
    "mp3": SoundCodec("libmp3lame", "flt", _MP3_RATES, channels=2, bit_rate=128_000),
    "pcm16": SoundCodec("pcm_s16le", "s16", channels=16),
    "pcm24": SoundCodec("pcm_s24le", "s32", channels=16),
    "float32": SoundCodec("pcm_f32le", "flt", channels=16),
}


def encode_samples(samples: np.ndarray, format: str) -> np.ndarray:
    """float32 ``[C, N]`` as ``[1, N * C]`` in the type of a packed sample format. Integers clip at full scale."""
    packed = samples.T.reshape(1, -1)
    if format == "flt":
        return np.ascontiguousarray(packed, dtype=np.float32)
    if format == "s16":
        return np.clip(np.rint(packed * 32768.0), -32768, 32767).astype(np.int16)
    # 24 bits, in the upper part of 32: what FLAC and 24-bit PCM keep
    return np.clip(np.rint(packed.astype(np.float64) * 8388608.0), -8388608, 8388607).astype(np.int32) << 8


#: What tells that channels are ambisonics, or takes more channels, in files whose usual codec does not.
_AMBISONIC = {".mp4": "opus", ".mkv": "opus", ".mka": "opus", ".mov": "pcm24"}
_MORE = {".mp4": "pcm24", ".mkv": "pcm24", ".mka": "pcm24", ".mov": "pcm24"}


def codec_for(name: str, path: Path, automatic: dict[str, str], channels: int = 2, layout: str = "") -> str:
    """The key in :data:`CODECS` for a codec that a user chose, where ``auto`` goes by the file's ending, and by the channels
    where the usual codec does not take them. Raises StereoSyncError where the ending or the codec is unknown."""
    suffix = path.suffix.lower()
    if suffix not in automatic:
        raise StereoSyncError(f"Output: '{path.name}' cannot be written; use one of the endings {', '.join(automatic)}.")
    if name not in ("auto", *CODECS):
        raise StereoSyncError(f"Output: there is no sound codec {name!r}; use one of auto, {', '.join(CODECS)}.")
    if name != "auto":
        return name
    usual = automatic[suffix]
    if layout.startswith("ambisonic"):
        return _AMBISONIC.get(suffix, usual)
    return _MORE.get(suffix, usual) if channels > CODECS[usual].channels else usual


class SoundTrack:
    """A sound stream of an output container, for float32 ``[C, N]`` whose first sample is at time 0, with a name where one is
    given; ``layout`` is libav's name of what the channels are, by default the usual one of so many. Raises StereoSyncError
    where the codec does not take that many channels or that rate, or the container not that codec."""

    def __init__(
        self, container: OutputContainer, codec: SoundCodec, samples: np.ndarray, rate: int, name: str = "", layout: str = ""
    ):
        channels = len(samples)
        self.layout = layout or LAYOUTS.get(channels, f"{channels} channels")
        ambisonic = layout.startswith("ambisonic")
        if channels > (16 if ambisonic and codec.encoder == "libopus" else codec.channels):
            raise StereoSyncError(
                f"Sound: {channels} channels do not fit into {codec.encoder}, which takes {codec.channels}; mix it to stereo, "
                "or write .mkv, .mka or .wav with codec auto."
            )
        self.container, self.codec, self.samples, self.rate, self.position = container, codec, samples, rate, 0
        # RFC 8486: family 2 tells players that the channels are ambisonics
        family = {"mapping_family": "2" if ambisonic else "1"}
        options = family if codec.encoder == "libopus" and channels > 2 else {}
        held = f"{Path(container.name).suffix} files cannot hold {codec.encoder} sound"
        with explained(f"Sound: {held}; use codec auto, or for video .mkv, which holds all.", ValueError):
            self.stream = container.add_stream(codec.encoder, rate=rate, options=options)
        if ambisonic and Path(container.name).suffix.lower() in (".mp4", ".m4v", ".m4a"):
            self.stream.metadata["SA3D"] = layout  # libav's box of that name, which readers of MP4 know ambisonics by
        if name:  # MP4 and MOV keep the one, Matroska the other
            self.stream.metadata.update({"handler_name": name, "title": name})
        context = self.stream.codec_context
        context.layout, context.time_base = self.layout, Fraction(1, rate)
        if not context.format.is_planar:
            context.format = codec.format
        if codec.bit_rate:
            # mono needs more than half of what stereo needs, and low rates hold less to encode
            per_channel = codec.bit_rate * (1.0 if channels > 1 else 1.25) * min(1.0, rate / 44100)
            context.bit_rate = int(per_channel * channels)
        wanted = f"{codec.encoder} cannot encode {channels} channels at {rate} samples a second"
        with explained(f"Sound: {wanted}; mix it to stereo, resample it, or write .mkv.", av.error.FFmpegError):
            context.open()

    def write_until(self, seconds: float) -> None:
        """Encodes the samples before that time, in blocks of a second: every call has its price."""
        total = self.samples.shape[1]
        while self.position < total and min(self.position + self.rate, total) <= seconds * self.rate:
            block = self.samples[:, self.position : self.position + self.rate]
            data = encode_samples(block, self.codec.format)
            frame = av.AudioFrame.from_ndarray(data, format=self.codec.format, layout=self.layout)
            frame.sample_rate, frame.pts, frame.time_base = self.rate, self.position, Fraction(1, self.rate)
            self.container.mux(self.stream.encode(frame))
            self.position += block.shape[1]
            release(self.samples)

    def finish(self) -> None:
        """Encodes the rest and hands the last packets to the container."""
        self.write_until(float("inf"))
        self.container.mux(self.stream.encode(None))
