"""ADM in a BW64 file (ITU-R BS.2076, BS.2088): each voice as an object with its dry sound and its positions over time."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree as xml

import numpy as np

from ..errors import StereoSyncError
from ..media.encode import encode_samples
from ..media.output import replacing
from ..media.sound import Sound, fit_length, resample
from ..rendering.room import distance_gain
from ..rendering.spatialize import SpatializeSettings, checked_voices
from ..rendering.stems import stem_names
from ..rendering.trajectory import CONTROL_RATE, assigned, follow
from ..scene import DepthSequence, Tracks
from .session import bends

RATE = 48000
#: Positions a second, and most objects of a file.
_POSITIONS, _MOST = 25, 64
_BYTES = 3  # of a sample
_LARGEST = 2**32 - 2**20  # bytes of a RIFF; beyond, sizes are of 64 bits
_PIECE = 1 << 18  # samples written at a time


def save_adm(
    path: Path,
    voices: np.ndarray | Sequence[np.ndarray],
    rate: int,
    tracks: Tracks,
    settings: SpatializeSettings | None = None,
    *,
    duration: float,
    depth: DepthSequence | None = None,
    name: str = "StereoSync",
) -> Path:
    """Write voices as objects: 24 bits at 48 kHz, folded to mono, with azimuth, elevation and gain 25 times a second.

    A voice without a track stays ahead. Where a voice passes full scale, all are turned down by one gain. Room and air are
    the renderer's matter.

    :param voices: as for :func:`~stereosync_core.rendering.spatialize.spatialize`; at most 64.
    :raises StereoSyncError: for voices that cannot be used, and where the file cannot be written.
    """
    check_adm(path)
    settings = settings or SpatializeSettings()
    voices = checked_voices(voices, rate, duration)
    if not 0 < len(voices) <= _MOST:
        raise StereoSyncError(f"ADM: there are {len(voices)} voices; give 1 to {_MOST}.")
    total = round(duration * RATE)
    sounds = [resample(Sound(np.asarray(voice).mean(0, keepdims=True), rate), RATE) for voice in voices]
    gain = min(1.0, 1 / max(max(float(np.abs(sound.samples).max()) for sound in sounds), 1e-9))
    samples = np.concatenate([fit_length(sound.samples, total, RATE) for sound in sounds]) * np.float32(gain)
    ways = [_positions(tracks, track, settings, duration, depth) for track in assigned(len(voices), tracks)]
    ways += [np.array([[0.0, duration], [0, 0], [0, 0], [1, 1]])] * (len(voices) - len(ways))
    with replacing(path) as temporary, open(temporary, "wb") as file:
        _write(file, samples, _axml(name, stem_names(len(voices), tracks), ways, duration))
    return path


def check_adm(path: Path) -> None:
    """Raises StereoSyncError for a name that does not end in ``.wav``."""
    if path.suffix.lower() != ".wav":
        raise StereoSyncError(f"ADM: '{path.name}' cannot be written; ADM goes into a file that ends in .wav.")


def _positions(tracks: Tracks, track, settings: SpatializeSettings, duration: float, depth: DepthSequence | None) -> np.ndarray:
    """Times, azimuth and elevation in degrees (right and up above 0), gain: ``[4, N]``, where lines between are not enough."""
    way = follow(tracks, track, duration, depth, settings.offscreen, settings.distance_from)
    azimuth, elevation = way.degrees(settings.width, settings.field_of_view)
    near = distance_gain(way.distance, settings.distance) * way.presence
    times = np.append(np.arange(0, duration - 1e-4, 1 / _POSITIONS), duration)
    grid = np.arange(len(way)) / CONTROL_RATE
    columns = np.stack([np.interp(times, grid, values) for values in (azimuth, elevation, near)])
    kept = bends(columns)
    return np.vstack([times[kept], columns[:, kept]])


def _axml(name: str, names: Sequence[str], ways: Sequence[np.ndarray], duration: float) -> bytes:
    root = xml.Element("ebuCoreMain", {"xmlns": "urn:ebu:metadata-schema:ebuCore_2014", "xml:lang": "en"})
    core = xml.SubElement(xml.SubElement(root, "coreMetadata"), "format")
    extended = xml.SubElement(core, "audioFormatExtended", version="ITU-R_BS.2076-1")

    def add(parent: xml.Element, tag: str, text: str = "", **attributes: str) -> xml.Element:
        child = xml.SubElement(parent, tag, attributes)
        child.text = text or None
        return child

    whole = {"start": _time(0), "end": _time(duration)}
    programme = add(extended, "audioProgramme", audioProgrammeID="APR_1001", audioProgrammeName=name, **whole)
    add(programme, "audioContentIDRef", "ACO_1001")
    content = add(extended, "audioContent", audioContentID="ACO_1001", audioContentName=name)
    for place, (label, way) in enumerate(zip(names, ways, strict=True), 1):
        number = f"{0x1000 + place:04x}"
        add(content, "audioObjectIDRef", f"AO_{number}")
        thing = add(
            extended,
            "audioObject",
            audioObjectID=f"AO_{number}",
            audioObjectName=label,
            start=_time(0),
            duration=_time(duration),
        )
        add(thing, "audioPackFormatIDRef", f"AP_0003{number}")
        add(thing, "audioTrackUIDRef", f"ATU_{place:08x}")
        kind = {"typeLabel": "0003", "typeDefinition": "Objects"}
        pack = add(extended, "audioPackFormat", audioPackFormatID=f"AP_0003{number}", audioPackFormatName=label, **kind)
        add(pack, "audioChannelFormatIDRef", f"AC_0003{number}")
        channel = add(
            extended, "audioChannelFormat", audioChannelFormatID=f"AC_0003{number}", audioChannelFormatName=label, **kind
        )
        for block, (begin, end) in enumerate(zip(way.T[:-1], way.T[1:], strict=True), 1):
            # a renderer glides through a block to the block's own position, so that is the one at its end
            first = end if block > 1 else begin
            span = {"rtime": _time(begin[0]), "duration": _time(round(end[0], 5) - round(begin[0], 5))}
            entry = add(channel, "audioBlockFormat", audioBlockFormatID=f"AB_0003{number}_{block:08x}", **span)
            for coordinate, value in (("azimuth", -first[1]), ("elevation", first[2]), ("distance", 1.0)):
                add(entry, "position", f"{value:.4f}", coordinate=coordinate)
            add(entry, "gain", f"{first[3]:.6f}")
            add(entry, "jumpPosition", "0")
        stream = {"formatLabel": "0001", "formatDefinition": "PCM"}
        flow = add(extended, "audioStreamFormat", audioStreamFormatID=f"AS_0003{number}", audioStreamFormatName=label, **stream)
        add(flow, "audioChannelFormatIDRef", f"AC_0003{number}")
        add(flow, "audioTrackFormatIDRef", f"AT_0003{number}_01")
        track = add(
            extended, "audioTrackFormat", audioTrackFormatID=f"AT_0003{number}_01", audioTrackFormatName=label, **stream
        )
        add(track, "audioStreamFormatIDRef", f"AS_0003{number}")
        uid = add(extended, "audioTrackUID", UID=f"ATU_{place:08x}", sampleRate=str(RATE), bitDepth=str(8 * _BYTES))
        add(uid, "audioTrackFormatIDRef", f"AT_0003{number}_01")
        add(uid, "audioPackFormatIDRef", f"AP_0003{number}")
    return xml.tostring(root, encoding="utf-8", xml_declaration=True)


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds * 1e5), 6_000_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 100_000:02d}.{rest % 100_000:05d}"


def _write(file: BinaryIO, samples: np.ndarray, axml: bytes) -> None:
    """A RIFF with the samples ``[C, N]``, or a BW64 where sizes need 64 bits."""
    channels, length = samples.shape
    form = struct.pack("<HHIIHH", 1, channels, RATE, RATE * channels * _BYTES, channels * _BYTES, 8 * _BYTES)
    chna = struct.pack("<HH", channels, channels)
    for place in range(1, channels + 1):
        number = f"{0x1000 + place:04x}"
        names = (f"ATU_{place:08x}", f"AT_0003{number}_01", f"AP_0003{number}")
        chna += struct.pack("<H12s14s11sx", place, *(text.encode() for text in names))
    size = channels * length * _BYTES
    chunks = b"".join(
        tag + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
        for tag, data in ((b"fmt ", form), (b"chna", chna), (b"axml", axml))
    )
    whole = 4 + len(chunks) + 8 + size + size % 2
    if whole > _LARGEST:
        sizes = struct.pack("<QQQI", whole + 36, size, length, 0)
        file.write(b"BW64\xff\xff\xff\xffWAVEds64" + struct.pack("<I", len(sizes)) + sizes + chunks + b"data\xff\xff\xff\xff")
    else:
        file.write(b"RIFF" + struct.pack("<I", whole) + b"WAVE" + chunks + b"data" + struct.pack("<I", size))
    for start in range(0, length, _PIECE):
        wide = encode_samples(samples[:, start : start + _PIECE], "s32").ravel()
        file.write(wide.astype("<i4").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes())
    file.write(b"\0" * (size % 2))
