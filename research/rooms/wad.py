"""Files that the game engine reads: archives of lumps (WAD), maps as text (UDMF) and sounds.

Formats: "The Unofficial Doom Specs" (M. Fell, 1994) for WAD and DMX, "Universal Doom Map Format 1.1" for maps.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from stereosync_core.errors import StereoSyncError

Value = bool | int | float | str


@dataclass(frozen=True)
class Lump:
    """A named piece of a WAD. ``name``: at most eight characters; order matters (a map's lumps follow its marker)."""

    name: str
    data: bytes = b""


def wad(lumps: Iterable[Lump]) -> bytes:
    """A patch archive (PWAD) of ``lumps`` in their order.

    :raises StereoSyncError: for a name that the format cannot hold.
    """
    body, directory = bytearray(), bytearray()
    count = 0
    for lump in lumps:
        name = lump.name.encode("ascii", "replace")
        if not 1 <= len(name) <= 8 or b"?" in name:
            raise StereoSyncError(f"WAD: '{lump.name}' is no lump name; give one to eight ASCII characters.")
        directory += struct.pack("<ii8s", 12 + len(body), len(lump.data), name.upper())
        body += lump.data
        count += 1
    return struct.pack("<4sii", b"PWAD", count, 12 + len(body)) + bytes(body) + bytes(directory)


def udmf(blocks: Iterable[tuple[str, Mapping[str, Value]]]) -> bytes:
    """A map's TEXTMAP lump: ``(kind, fields)`` for each vertex, linedef, sidedef, sector and thing, indices in order."""
    rows = ['namespace = "zdoom";']
    for kind, fields in blocks:
        inside = " ".join(f"{key} = {_literal(value)};" for key, value in fields.items())
        rows.append(f"{kind} {{ {inside} }}")
    return "\n".join(rows).encode("ascii")


def _literal(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def dmx_sound(samples: np.ndarray, rate: int) -> bytes:
    """Mono ``[N]`` in -1..1 as the engine's own lump of eight bits; ``rate`` in Hz, at most 65535.

    The format has sixteen bytes of padding on either side, which this engine plays like the rest: there is none here.
    """
    data = np.clip(np.rint(samples * 127.0) + 128, 0, 255).astype(np.uint8).tobytes()
    return struct.pack("<HHI", 3, rate, len(data)) + data
