"""The boxes of MP4 and MOV files, to be found, replaced and spoilt."""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path


def boxes(data: bytes, begin: int, end: int) -> Iterator[tuple[int, int, bytes]]:
    """Place, size and kind of the boxes of an MP4/MOV between two places."""
    while begin + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, begin)
        yield begin, size, kind
        begin += size


def inner_box(data: bytes, *path: bytes) -> list[tuple[int, int]]:
    """Places and sizes of the first boxes on the way to a box, from outside to inside."""
    places, begin, end = [], 0, len(data)
    for kind in path:
        begin, size = next((at, size) for at, size, found in boxes(data, begin, end) if found == kind)
        places.append((begin, size))
        begin, end = begin + 8, begin + size
    return places


def put_box(data: bytearray, outer: list[tuple[int, int]], at: int, box: bytes, instead_of: int = 0) -> None:
    """Puts a box into others (places of :func:`inner_box`) in place of as many bytes; the index stands behind the data."""
    data[at : at + instead_of] = box
    for begin, size in outer:
        struct.pack_into(">I", data, begin, size + len(box) - instead_of)


def with_edits(source: Path, path: Path, edits: Sequence[tuple[float, float | None]], rate: float = 1.0) -> Path:
    """Copies a clip of :func:`make_clip` and gives its pictures an edit list: seconds that are shown, and from where in the
    pictures (None: nothing). ``rate`` is what the list says of its last part."""
    data = bytearray(source.read_bytes())
    places = inner_box(data, b"moov", b"trak", b"edts", b"elst")
    elst, size = places[-1]
    first = max(0, struct.unpack_from(">i", data, elst + 20)[0])
    ((header, _),) = inner_box(data, b"moov", b"mvhd")[-1:]
    ticks = struct.unpack_from(">I", data, header + 20)[0]
    rows = [(round(ticks * s), -1 if at is None else first + round(90000 * at), 1 << 16) for s, at in edits]
    rows[-1] = (*rows[-1][:2], round(rate * (1 << 16)))
    body = struct.pack(">II", 0, len(rows)) + b"".join(struct.pack(">IiI", *row) for row in rows)
    put_box(data, places[:-1], elst, struct.pack(">I4s", 8 + len(body), b"elst") + body, size)
    path.write_bytes(data)
    return path
