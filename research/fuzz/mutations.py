"""Seeded damage: to any bytes, to the values of JSON, and to an archive of arrays, whose checksums are put right again."""

import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any

#: What takes a number's place in a text: values that may pass, and values that must not.
EXTREMES = ["0", "0.5", "1", "2", "-0.1", "-1", "1e308", "-1e308", "1e999", "1e-320", "NaN", "Infinity"]
EXTREMES += ["2147483647", "4294967296", "9" * 19, "9" * 400]
#: What takes any value's place.
VALUES = ["null", "true", '""', '"x"', "[]", "{}", "[[]]", '{"a": 1}', "[1, 2, 3]", "[" * 5000]


def mutate_bytes(data: bytes, chance: random.Random) -> bytes:
    """One or several kinds of damage at random places."""
    damaged = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4])):
        chance.choice(_DAMAGES)(damaged, chance)
    return bytes(damaged)


def _place(data: bytearray, chance: random.Random) -> int:
    """Half of the time in a file's first kilobyte, where headers are."""
    return chance.randrange(max(1, min(len(data), 1024) if chance.random() < 0.5 else len(data)))


def _flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice([1, 2, 8, 32])):
        if data:
            data[_place(data, chance)] ^= 1 << chance.randrange(8)


def _size(data: bytearray, chance: random.Random) -> None:
    """A field of four bytes with a value that sizes should not have."""
    at = _place(data, chance)
    value = chance.choice([0, 1, 7, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x00FFFFFF, chance.randrange(2**32)])
    data[at : at + 4] = struct.pack(chance.choice("<>") + "I", value)


def _fill(data: bytearray, chance: random.Random) -> None:
    at, length = _place(data, chance), chance.choice([1, 16, 300, 5000])
    data[at : at + length] = chance.choice([bytes(length), b"\xff" * length, chance.randbytes(length)])


def _remove(data: bytearray, chance: random.Random) -> None:
    at = _place(data, chance)
    del data[at : at + chance.choice([1, 4, 188, 3000])]


def _repeat(data: bytearray, chance: random.Random) -> None:
    at = _place(data, chance)
    data[at:at] = data[at : at + chance.choice([1, 8, 188, 3000])] * chance.randint(1, 20)


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[_place(data, chance) :]


_DAMAGES: list[Callable[[bytearray, random.Random], None]] = [_flip, _size, _fill, _remove, _repeat, _cut]


def mutate_json(text: str, chance: random.Random) -> str:
    """Values of an object replaced, removed or repeated; now and then the text itself is damaged as well."""
    tree = json.loads(text)
    marks: dict[str, str] = {}
    for number in range(chance.choice([1, 1, 1, 2, 4])):
        if not tree:
            break
        parent, key = _place_in(tree, chance)
        action = chance.random()
        if action < 0.35 and isinstance(parent[key], (int, float)):
            parent[key] = round(parent[key] * chance.uniform(-0.2, 2) + chance.uniform(-0.05, 0.05), 3)
        elif action < 0.4 and isinstance(parent, dict):
            del parent[key]
        elif action < 0.45 and isinstance(parent, list):
            parent[key:key] = [parent[key]] * chance.choice([1, 3, 50])
        else:
            # what JSON can hold and Python's writer cannot write goes in afterwards
            mark = f"\x00{number}\x00"
            marks[json.dumps(mark)] = chance.choice(EXTREMES if action < 0.8 else VALUES)
            parent[key] = mark
    text = json.dumps(tree)
    for mark, value in marks.items():
        text = text.replace(mark, value)
    if chance.random() < 0.2:
        text = mutate_bytes(text.encode(), chance).decode("latin-1")
    return text


def _place_in(tree: Any, chance: random.Random) -> tuple[Any, Any]:
    """``(parent, key)`` of a value; those near the top are as likely as the many at the bottom."""
    while True:
        key = chance.choice(list(tree) if isinstance(tree, dict) else range(len(tree)))
        if not (isinstance(tree[key], (dict, list)) and tree[key]) or chance.random() < 0.2:
            return tree, key
        tree = tree[key]


def mutate_archive(data: bytes, chance: random.Random) -> bytes:
    """An archive of arrays with other bytes in one of them, most often in its header, or without one."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        victim = chance.choice(old.namelist())
        for name in old.namelist():
            content = old.read(name)
            if name == victim:
                content = _mutate_array(content, chance)
            if content:
                new.writestr(name, content)
    return out.getvalue()


def _mutate_array(content: bytes, chance: random.Random) -> bytes:
    action = chance.random()
    if action < 0.1:
        return b""
    if action < 0.6:
        length = struct.unpack("<H", content[8:10])[0]
        header = content[10 : 10 + length].decode()
        begin, end = header.index("(") + 1, header.index(")")
        sizes = header[begin:end].split(",")
        sizes[chance.randrange(len(sizes))] = chance.choice(
            ["0", "-1", "99999", "1" + "0" * chance.choice([6, 12, 20]), "1.5", "x"]
        )
        header = header[:begin] + ",".join(sizes) + header[end:]
        if chance.random() < 0.3:
            header = header.replace("<f4", chance.choice(["<f8", "|O", "<c16", "<U999999", "|V9999999", "<i2", "?"]))
        return content[:8] + struct.pack("<H", len(header)) + header.encode() + content[10 + length :]
    return mutate_bytes(content, chance)
