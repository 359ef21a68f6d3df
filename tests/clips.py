"""Tiny clips for the tests, made with PyAV.

Each frame is dark with one red square whose cell in an 8-pixel grid is the frame's number, so that :func:`frame_number` tells
from a picture which frame it is, whatever the codec did to it.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stereosync_core import Sound, frames, read_sound
from stereosync_core.media.matroska import ROOM
from stereosync_core.media.source import Source, find_video, opened

CELL = 8
#: Seconds of the frames of a clip with a variable rate, and of clicks in a second of sound.
VFR = [0, 0.1, 0.15, 0.4, 0.45, 1.0]
CLICKS = [0.2, 0.5, 0.9]


class Interrupted(Exception):
    """What a host raises in a progress callback when the user presses stop."""


def picture(number: int, width: int = 96, height: int = 64) -> np.ndarray:
    """uint8 RGB ``[H, W, 3]`` of frame ``number``."""
    y, x = divmod(number, width // CELL)
    assert (y + 1) * CELL <= height, "more frames than cells; make the picture larger"
    image = np.full((height, width, 3), 16, np.uint8)
    image[y * CELL : (y + 1) * CELL, x * CELL : (x + 1) * CELL] = (235, 30, 30)
    return image


def grain(number: int, width: int = 96, height: int = 64) -> np.ndarray:
    """uint8 RGB ``[H, W, 3]`` that differs from frame to frame everywhere, so that packets are not tiny."""
    return np.random.default_rng(number).integers(0, 255, (height, width, 3), dtype=np.uint8)


def frame_number(image: np.ndarray, width: int = 96, height: int = 64) -> int:
    """The number of the frame that a picture of any size shows; ``width`` and ``height`` are those it was made with."""
    red = image[..., 0].astype(float) - image[..., 1]
    ys, xs = np.nonzero(red > red.max() * 0.6)
    x = (xs.mean() + 0.5) * width / image.shape[1]
    y = (ys.mean() + 0.5) * height / image.shape[0]
    return int(y // CELL) * (width // CELL) + int(x // CELL)


def numbers(images) -> list[int]:
    """Frame numbers of ``(time, picture)`` pairs."""
    return [frame_number(image) for _, image in images]


def clicks(times: Sequence[float], duration: float, rate: int = 48000, channels: int = 2) -> np.ndarray:
    """float32 ``[C, N]``: silence with a short decaying 3 kHz burst starting at each time, the same in all channels."""
    sound = np.zeros(round(duration * rate), np.float32)
    burst = np.arange(round(0.01 * rate)) / rate
    burst = (0.8 * np.cos(2 * np.pi * 3000 * burst) * np.exp(-burst * 500)).astype(np.float32)
    for time in times:
        at = round(time * rate)
        part = burst[: max(0, len(sound) - at)]
        sound[at : at + len(part)] += part
    return np.tile(sound, (channels, 1))


def click_sound(seconds: float = 1.0, rate: int = 48000, channels: int = 2) -> Sound:
    """Clicks at :data:`CLICKS`."""
    return Sound(clicks(CLICKS, seconds, rate, channels), rate)


def noise(duration: float, rate: int = 48000, channels: int = 2, level: float = 0.1, seed: int = 0) -> np.ndarray:
    """float32 ``[C, N]`` of smooth noise, channel ``c`` at ``level / (c + 1)``; what lossy codecs keep well."""
    generator = np.random.default_rng(seed)
    white = generator.standard_normal((channels, round(duration * rate) + 64))
    kernel = np.hanning(34)[1:-1]
    smooth = np.stack([np.convolve(row, kernel / kernel.sum(), "valid") for row in white])[:, : round(duration * rate)]
    gains = level / smooth.std(axis=1, keepdims=True) / np.arange(1, channels + 1)[:, None]
    return (smooth * gains).astype(np.float32)


def make_clip(
    path: Path,
    *,
    count: int = 30,
    rate: Fraction | int = 30,
    times: Sequence[float] | None = None,
    last_duration: float | None = None,
    start: float = 0.0,
    size: tuple[int, int] = (96, 64),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    bframes: int = 0,
    group: int = 12,
    options: dict[str, str] | None = None,
    paint: Callable[[int, int, int], np.ndarray] = picture,
    colours: dict[str, int] | None = None,
    sound: np.ndarray | None = None,
    sound_rate: int = 48000,
    sound_start: float = 0.0,
    sound_codec: str | None = None,
    container_options: dict[str, str] | None = None,
    pixels: Fraction | None = None,
) -> Path:
    """Writes a clip and returns its path.

    :param count: number of frames, evenly spaced at ``rate``, unless ``times`` gives each frame's seconds.
    :param last_duration: seconds of the last frame; 1 / rate when left out.
    :param start: seconds of the first frame on the container's timeline.
    :param bframes: B-frames between two reference frames.
    :param colours: ``src_colorspace``-style arguments for the conversion of the painted RGB plus ``tag_matrix`` and
        ``tag_range``, which are written into the stream.
    :param pixels: width over height of a pixel; Matroska and WebM get room for it, see :mod:`stereosync_core.media.matroska`.
    :param sound: float32 ``[C, N]``; ``sound_start`` is the place of its first sample on the container's timeline.
    """
    rate = Fraction(rate)
    tick = 1 / rate if path.suffix in (".avi", ".mpg") else Fraction(1, 90000)  # AVI knows frame numbers only
    moments = [Fraction(n) / rate for n in range(count)] if times is None else [Fraction(t) for t in times]
    pts = [round((moment + Fraction(start)) / tick) for moment in moments]
    end = pts[-1] + round((Fraction(last_duration) if last_duration else 1 / rate) / tick)
    colours = dict(colours or {})
    tag_matrix, tag_range = colours.pop("tag_matrix", None), colours.pop("tag_range", None)
    crc = {"write_crc32": "0"} if pixels and path.suffix in (".mkv", ".webm") else {}
    with av.open(str(path), "w", container_options=crc | (container_options or {})) as container:
        stream = container.add_stream(codec, rate=rate, options=options or _options(codec, bframes, group))
        stream.width, stream.height, stream.pix_fmt = *size, pixel_format
        stream.codec_context.time_base = tick
        if pixels is not None:
            stream.codec_context.sample_aspect_ratio = pixels
            stream.metadata["title"] = "A track" + ROOM
        if tag_matrix is not None:
            stream.codec_context.colorspace = tag_matrix
        if tag_range is not None:
            stream.codec_context.color_range = tag_range
        track = None if sound is None else _add_track(container, path, sound, sound_rate, sound_codec)
        lengths = dict(zip(pts, np.diff([*pts, end]).tolist(), strict=True))
        for number, ticks in enumerate(pts):
            frame = av.VideoFrame.from_ndarray(paint(number, *size), format="rgb24")
            frame = frame.reformat(format=pixel_format, **colours)
            frame.pts, frame.time_base = ticks, tick
            _write(container, stream.encode(frame), lengths)
        _write(container, stream.encode(None), lengths)
        if track is not None and sound is not None:
            encode_sound(container, track, sound, sound_rate, sound_start)
            container.mux(track.encode(None))
    return path


def _add_track(container, path: Path, sound: np.ndarray, rate: int, codec: str | None):
    default = {".webm": "libopus", ".mkv": "flac", ".mka": "flac", ".avi": "pcm_s16le"}.get(path.suffix, "aac")
    track = container.add_stream(codec or default, rate=rate)
    track.codec_context.layout = _LAYOUTS[len(sound)]
    if track.codec_context.name == "libopus" and len(sound) > 2:
        track.codec_context.options = {"mapping_family": "1"}
    track.codec_context.time_base = Fraction(1, rate)
    return track


_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


def _options(codec: str, bframes: int, group: int) -> dict[str, str]:
    if codec == "libx264":
        return {"preset": "ultrafast", "crf": "10", "bf": str(bframes), "g": str(group), "b_strategy": "0", "sc_threshold": "0"}
    if codec == "libvpx-vp9":
        return {"deadline": "realtime", "cpu-used": "8", "g": str(group)}
    return {"g": str(group)}


def _write(container, packets, lengths: dict[int, int]) -> None:
    for packet in packets:
        # Encoders take the nominal rate for a packet's length; a variable rate needs the true one.
        packet.duration = lengths.get(packet.pts, packet.duration)
        container.mux(packet)


def encode_sound(container, track, sound: np.ndarray, rate: int, start: float) -> None:
    """Encodes float32 ``[C, N]`` so that its first sample is at ``start`` seconds."""
    container.mux(sound_packets(track, sound, rate, start))


def sound_packets(track, sound: np.ndarray, rate: int, start: float) -> Iterator[av.Packet]:
    for at in range(0, sound.shape[1], 4800):
        # packed, because PyAV cannot make planar frames of eight channels
        block = np.ascontiguousarray(sound[:, at : at + 4800].T.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(block, format="flt", layout=_LAYOUTS[len(sound)])
        frame.sample_rate, frame.pts, frame.time_base = rate, round(start * rate) + at, Fraction(1, rate)
        yield from track.encode(frame)


def rotated(path: Path, degrees: int) -> Path:
    """Writes into an MP4/MOV that its picture has to be turned clockwise by 90, 180 or 270 degrees to stand upright."""
    return set_matrix(path, *{90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[degrees])


def set_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    one = 1 << 16
    data = bytearray(path.read_bytes())
    # The first track is the video; its header ends with a 3 x 3 matrix, width and height.
    at = data.index(b"tkhd") - 4
    end = at + struct.unpack_from(">I", data, at)[0]
    struct.pack_into(">9i", data, end - 44, a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


#: RGB of the frames of :func:`colour_clip`.
COLOURS = [(235, 235, 235), (16, 16, 16), (200, 40, 40), (40, 180, 60), (40, 60, 200), (128, 128, 128)]

#: Luma weights of red and blue by the number of the matrix in H.273.
_LUMA = {6: (0.299, 0.114), 1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}


def colour_clip(path: Path, colours: Sequence[tuple[int, int, int]], *, matrix: int, full: bool, bits: int) -> Path:
    """A clip of plain colours, turned into YUV by the standards' own formulas and not by the library under test."""
    kr, kb = _LUMA[matrix]
    peak = (1 << bits) - 1
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast", "crf": "1", "g": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p" if bits == 8 else "yuv420p10le"
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 2 if full else 1
        for number, (r, g, b) in enumerate(colours):
            luma = (kr * r + (1 - kr - kb) * g + kb * b) / 255
            chroma = (b / 255 - luma) / (2 - 2 * kb), (r / 255 - luma) / (2 - 2 * kr)
            unit = 1 << (bits - 8)
            if full:
                values = [luma * peak, *(c * peak + 128 * unit for c in chroma)]
            else:
                values = [(16 + 219 * luma) * unit, *((128 + 224 * c) * unit for c in chroma)]
            frame = av.VideoFrame(64, 48, stream.pix_fmt)
            for plane, value in zip(frame.planes, values, strict=True):
                kind = np.dtype("u1" if bits == 8 else "<u2")
                plane.update(np.full(plane.buffer_size // kind.itemsize, round(value), kind).tobytes())
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """Real failing writes: the process may not make files beyond ``limit`` bytes for a moment."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def assert_colours(path: Path, colours: Sequence[tuple[int, int, int]], **options) -> None:
    """The pictures of a clip have these colours, one each."""
    for (_, image), colour in zip(frames(path, **options), colours, strict=True):
        assert np.abs(image.astype(int) - colour).max() <= 4


def hidden_start(source: Path, path: Path, seconds: float) -> Path:
    """Copies a clip so that an edit list hides its first seconds, as a phone's or an editor's lossless cut does."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream, opaque=True)
        for packet in old.demux(stream):
            if packet.size and packet.pts is not None and packet.dts is not None:
                packet.pts -= round(seconds / packet.time_base)
                packet.dts -= round(seconds / packet.time_base)
                packet.stream = copy
                new.mux(packet)
    return path


def sound_file(
    path: Path, sound: np.ndarray, rate: int = 48000, codec: str | None = None, starts: Sequence[float] = (0.0,)
) -> Path:
    """Writes a file with sound alone, once at each of the starts."""
    with av.open(str(path), "w") as container:
        track = _add_track(container, path, sound, rate, codec)
        for start in starts:
            encode_sound(container, track, sound, rate, start)
        container.mux(track.encode(None))
    return path


def with_subtitles(source: Path, path: Path, lines: Sequence[str]) -> Path:
    """Copies a clip and adds a line of subtitles for every 0.2 seconds (SubRip)."""
    text = path.with_suffix(".srt")
    times = [f"00:00:00,{200 * n:03d} --> 00:00:00,{200 * n + 150:03d}" for n in range(len(lines))]
    text.write_text("".join(f"{n}\n{time}\n{line}\n\n" for n, (time, line) in enumerate(zip(times, lines, strict=True), 1)))
    with av.open(str(source)) as old, av.open(str(text)) as words, av.open(str(path), "w") as new:
        streams = (old.streams.video[0], words.streams[0])
        for stream, copy in [(stream, new.add_stream_from_template(stream, opaque=True)) for stream in streams]:
            for packet in stream.container.demux(stream):
                if packet.size:
                    packet.stream = copy
                    new.mux(packet)
    text.unlink()
    return path


def with_cover(sound: Path) -> Path:
    """Puts an ID3 tag with a cover picture in front of an MP3."""
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 96, 64, "rgb24", Fraction(1, 25)
    png = b"".join(bytes(packet) for packet in encoder.encode(av.VideoFrame.from_ndarray(picture(0), format="rgb24")))
    body = b"\0image/png\0\3\0" + (png or bytes(next(iter(encoder.encode(None)))))
    frame = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body
    size = bytes((len(frame) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    sound.write_bytes(b"ID3\3\0\0" + size + frame + sound.read_bytes())
    return sound


def native_reading(path: Path) -> tuple[int, int, float, int]:
    """Frames in the header, frames decoded, seconds, and samples, as the host's own nodes read them."""
    with av.open(str(path)) as container:
        header, seconds = container.streams.video[0].frames, (container.duration or 0) / 1e6
        decoded = sum(1 for _ in container.decode(video=0))
    with av.open(str(path)) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0)) if container.streams.audio else 0
    return header, decoded, seconds, samples


def sound_in(source: Source, **options) -> Sound:
    """The sound of a clip or file that has some."""
    sound = read_sound(source, **options)
    assert sound is not None
    return sound


def video_packet_digest(source: Source) -> str:
    """SHA-256, as hex, of the payloads of all video packets in order: equal digests are the same pictures, bit for bit.

    :raises StereoSyncError: the source cannot be read.
    """
    digest = hashlib.sha256()
    with opened(source) as container:
        for packet in container.demux(find_video(container)):
            if packet.size:
                digest.update(memoryview(packet))
    return digest.hexdigest()


def with_sounds(path: Path, *sounds: np.ndarray, unknown: Sequence[int] = (), empty: Sequence[int] = ()) -> Path:
    """Writes a clip of one second with several sound tracks.

    :param unknown: which of the tracks get a codec that nobody decodes (MP4 and MOV).
    :param empty: which have packets of a known codec with nothing sensible in them.
    """
    with av.open(str(make_clip(path.with_stem("pictures")))) as old, av.open(str(path), "w") as new:
        video = old.streams.video[0]
        copy = new.add_stream_from_template(video, opaque=True)
        tracks = [_add_track(new, path, sound, 48000, None) for sound in sounds]
        for packet in old.demux(video):
            if packet.size:
                packet.stream = copy
                new.mux(packet)
        for number, (track, sound) in enumerate(zip(tracks, sounds, strict=True)):
            for packet in [*sound_packets(track, sound, 48000, 0.0), *track.encode(None)]:
                if number in empty:
                    filling = av.Packet(b"\x55" * packet.size)
                    filling.pts, filling.dts, filling.time_base = packet.pts, packet.dts, packet.time_base
                    filling.duration, filling.stream = packet.duration, track
                    packet = filling
                new.mux(packet)
    data, at = bytearray(path.read_bytes()), 0
    for number in range(len(sounds) if unknown else 0):
        at = data.index(b"mp4a", data.index(b"stsd", at + 1))
        if number in unknown:
            data[at : at + 4] = b"apac"
            setup = data.index(b"esds", at)
            data[setup : setup + 4] = b"dapa"  # else libav reads on as AAC
    path.write_bytes(data)
    return path
