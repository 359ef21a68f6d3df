"""The shape of pixels in Matroska and WebM, which PyAV cannot hand to libav's muxer: it is put into the finished file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

SUFFIXES = (".mkv", ".webm")
#: Put behind the name of the video's track, it makes room for the two elements below.
ROOM = "\u00b7" * 7
#: Bytes from the beginning in which the tracks are described.
_HEAD = 1 << 18
_SEGMENT, _TRACKS, _ENTRY, _NAME, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0x536E, 0xE0
_DISPLAY_UNIT = 0x54B2


def put_display_size(path: Path, width: int, height: int) -> bool:
    """Write at which size a player shows the pictures, where the first track that is named has :data:`ROOM` for that.

    :return: whether it could be written; the file is unchanged if not.
    """
    with path.open("r+b") as file:
        data = bytearray(file.read(_HEAD))
        try:
            entry = _inner(data, _SEGMENT, _TRACKS, _ENTRY)
            (_, name, name_end), (video_at, video, video_end) = (_child(data, *entry, kind) for kind in (_NAME, _VIDEO))
            unit = next((body for kind, _, body, _ in _elements(data, video, video_end) if kind == _DISPLAY_UNIT), None)
        except KeyError:
            return False
        room = len(ROOM.encode())
        if not data[name:name_end].endswith(ROOM.encode()) or video - video_at != 2 or video_end - video + room > 126:
            return False  # a size in more than one byte
        if unit is not None:
            data[unit] = 0  # pixels, not unknown
        size = bytes.fromhex("54b084") + width.to_bytes(4, "big") + bytes.fromhex("54ba84") + height.to_bytes(4, "big")
        data[video_at + 1] += room
        data[video_end:video_end] = size
        data[name - 1] -= room
        del data[name_end - room : name_end]
        file.seek(0)
        file.write(data)
    return True


def _elements(data: bytes | bytearray, begin: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Kind, place, place of the content and its end of the elements between two places."""
    while begin < min(end, len(data)):
        kind_length = 9 - data[begin].bit_length()
        size_at = begin + kind_length
        size_length = 9 - data[size_at].bit_length()
        body = size_at + size_length
        size = int.from_bytes(data[size_at:body], "big") & ((1 << 7 * size_length) - 1)
        yield int.from_bytes(data[begin:size_at], "big"), begin, body, body + size
        begin = body + size


def _child(data: bytes | bytearray, begin: int, end: int, wanted: int) -> tuple[int, int, int]:
    for kind, at, body, stop in _elements(data, begin, end):
        if kind == wanted:
            return at, body, stop
    raise KeyError(wanted)


def _inner(data: bytes | bytearray, *path: int) -> tuple[int, int]:
    begin, end = 0, len(data)
    for wanted in path:
        _, begin, end = _child(data, begin, end, wanted)
    return begin, end
