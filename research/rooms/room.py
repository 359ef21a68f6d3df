"""A procedural room: outline, pillars, doors, textures and light, the map that the game engine builds from it, and the files
that the engine reads: archives of lumps (WAD), maps as text (UDMF) and sounds.

Lengths are the engine's map units, 32 to a metre; x points east and y north. Formats: "The Unofficial Doom Specs" (M. Fell,
1994) for WAD and DMX, "Universal Doom Map Format 1.1" for maps.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from stereosync_core.errors import StereoSyncError

Value = bool | int | float | str
UNITS_PER_METRE = 32.0
DOOR_WIDTH, DOOR_RECESS = 128.0, 16.0

#: Floors of the Freedoom archive (BSD licence) that look like the footstep synthesizer's surfaces sound.
FLOORS: dict[str, tuple[str, ...]] = {
    "concrete": ("AQF067", "AQF025", "FLAT19", "FLAT5_4", "FLAT1"),
    "wood": ("CEIL3_1", "FLAT5_2", "CEIL1_1", "FLOOR0_2", "FLOOR4_1"),
    "tile": ("AQF057", "AQF048", "AQF050", "FLAT20", "FLOOR5_2"),
    "metal": ("STEP1", "STEP2", "AQF016", "AQF017", "FCGRATE1", "AQF027"),
    "gravel": ("MFLR8_3", "FLAT5_7", "FLAT5_8", "MFLR8_4", "FLOOR6_2"),
    "grass": ("GRASS1", "RROCK20", "FLOOR7_2", "AQF022"),
    "snow": ("SNOWFLAT",),
    "sand": ("FLAT10", "RROCK16", "RROCK09", "MFLR8_2", "FLAT5_5", "AQF008"),
    "water": ("FWATER1", "SLIME01", "NUKAGE1"),
}
OUTDOORS = ("gravel", "grass", "snow", "sand", "water")
# fmt: off
WALLS = (
    "BIGBRIK1", "BIGBRIK2", "BRICK1", "BRICK2", "BRICK3", "BRICK5", "BRICK6", "BRICK7", "BRICK8", "BRICK10", "BRICK11",
    "BROWN1", "BROWN144", "BROWN96", "BROWNGRN", "BSTONE1", "BSTONE2", "CEMENT7", "CEMENT9", "GRAY1", "GRAY4", "GRAY5",
    "GRAYBIG", "GRAYTALL", "ICKWALL3", "METAL1", "METAL2", "MODWALL1", "PANEL1", "PANEL2", "PANEL6", "PIPEWAL1", "ROCK1",
    "ROCK4", "SHAWN2", "SILVER1", "SPACEW2", "SPACEW3", "SPACEW4", "STARBR2", "STARG1", "STARG3", "STARGR1", "STARTAN2",
    "STARTAN3", "STONE", "STONE2", "STONE3", "STONE4", "STONE6", "STUCCO1", "TANROCK2", "TANROCK5", "TEKGREN1", "TEKWALL1",
    "WOOD1", "WOOD12", "WOOD3", "WOOD5", "WOOD8", "ZIMMER2", "ZIMMER4", "A-BRICK1", "A-BROWN1", "A-ROCK",
)
PILLARS = (
    "COMPSPAN", "CRATE1", "CRATE2", "MARBLE1", "MARBLE2", "METAL1", "PANCASE1", "PILLAR", "STONE4", "SUPPORT2", "SUPPORT3",
    "TEKGREN1", "WOOD8", "BRICK7",
)
DOORS = (
    "BIGDOOR1", "BIGDOOR2", "BIGDOOR3", "BIGDOOR4", "BIGDOOR5", "BIGDOOR6", "BIGDOOR7", "SPCDOOR1", "SPCDOOR3", "DOOR1",
    "DOOR3",
)
CEILINGS = (
    "CEIL1_1", "CEIL3_5", "CEIL5_1", "CEIL5_2", "FLAT1", "FLAT19", "FLAT5_4", "FLOOR7_1", "MFLR8_1", "RROCK10", "FLOOR0_1",
    "CEIL3_3",
)
# fmt: on
SKY = "F_SKY1"


@dataclass(frozen=True)
class Room:
    """One room.

    :param outline: corners ``[N, 2]``, clockwise.
    :param pillars: ``x0, y0, x1, y1`` ``[P, 4]``.
    :param doors: ``(wall, place)``: index of the outline's wall, and the door's middle on it in units from the wall's start.
    :param height: units from floor to ceiling.
    :param light: the engine's 0..255.
    :param surface: key of the footstep synthesizer's surfaces; ``floor`` is a texture that looks like it.
    """

    outline: np.ndarray
    pillars: np.ndarray
    doors: tuple[tuple[int, float], ...]
    height: int
    light: int
    surface: str
    floor: str
    ceiling: str
    wall: str
    pillar: str
    door: str

    @property
    def walls(self) -> np.ndarray:
        """All faces ``[M, 2, 2]`` as start and end, the room on the right: the outline's, then the pillars'."""
        faces = [np.stack([self.outline, np.roll(self.outline, -1, 0)], 1)]
        for x0, y0, x1, y1 in self.pillars:
            corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
            faces.append(np.stack([corners, np.roll(corners, -1, 0)], 1))
        return np.concatenate(faces)

    def clear(self, points: np.ndarray, margin: float) -> np.ndarray:
        """Bool ``[K]``: which points ``[K, 2]`` are inside the room and ``margin`` units or more from every face."""
        points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        start, end = self.walls[:, 0], self.walls[:, 1]
        along = end - start
        part = ((points[:, None] - start) * along).sum(-1) / (along**2).sum(-1)
        nearest = start + np.clip(part, 0, 1)[..., None] * along
        far = np.linalg.norm(points[:, None] - nearest, axis=-1).min(1) >= margin
        # even-odd rule over all faces at once: inside a pillar counts as outside the room
        rises = (start[:, 1] > points[:, None, 1]) != (end[:, 1] > points[:, None, 1])
        height = np.where(along[:, 1] == 0, 1.0, along[:, 1])
        crossing = start[:, 0] + (points[:, None, 1] - start[:, 1]) / height * along[:, 0]
        return far & ((rises & (points[:, None, 0] < crossing)).sum(1) % 2 == 1)

    def clear_line(self, a: np.ndarray, b: np.ndarray, margin: float) -> bool:
        """Whether one can go straight from ``a`` to ``b`` at that distance from every face."""
        steps = max(int(np.linalg.norm(b - a) / 12.0), 1)
        return bool(self.clear(a + (b - a) * np.linspace(0, 1, steps + 1)[:, None], margin).all())

    def place(self, generator: Generator, margin: float) -> np.ndarray:
        """A random clear point ``[2]``."""
        low, high = self.outline.min(0), self.outline.max(0)
        while True:
            points = low + (high - low) * generator.random((64, 2))
            found = points[self.clear(points, margin)]
            if len(found):
                return found[0]


def make_room(generator: Generator, surface: str) -> Room:
    """A random room of 7 to 23 metres a side with a floor of ``surface``."""

    def pick(names) -> str:
        return str(names[int(generator.integers(len(names)))])

    width, depth = np.round(generator.uniform(224, 736, 2) / 16) * 16
    outline = _outline(generator, width, depth)
    open_air = surface in OUTDOORS and generator.random() < 0.7
    count = int(generator.poisson(width * depth / 140_000))
    pillars: list[np.ndarray] = []
    for _ in range(min(count, 6)):
        size = generator.uniform(24, 72, 2).round()
        corner = (generator.uniform(-0.5, 0.5, 2) * (np.array([width, depth]) - 160) - size / 2).round()
        box = np.concatenate([corner, corner + size])
        # far enough from each other and from the walls for people to pass
        apart = all((box[:2] > other[2:] + 64).any() or (box[2:] < other[:2] - 64).any() for other in pillars)
        bare = Room(outline, np.zeros((0, 4)), (), 0, 0, surface, "", "", "", "", "")
        if apart and bare.clear(box[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2), 64).all():
            pillars.append(box)
    lengths = np.linalg.norm(np.roll(outline, -1, 0) - outline, axis=1)
    doors = []
    for wall in np.flatnonzero(lengths >= DOOR_WIDTH + 64):
        if generator.random() < 0.4:
            margin = DOOR_WIDTH / 2 + 16
            doors.append((int(wall), float(np.round(generator.uniform(margin, lengths[wall] - margin)))))
    return Room(
        outline=outline,
        pillars=np.array(pillars).reshape(-1, 4),
        doors=tuple(doors),
        height=int(generator.integers(144, 321)),
        light=int(generator.integers(170, 256)),
        surface=surface,
        floor=pick(FLOORS[surface]),
        ceiling=SKY if open_air else pick(CEILINGS),
        wall=pick(WALLS),
        pillar=pick(PILLARS),
        door=pick(DOORS),
    )


def _outline(generator: Generator, width: float, depth: float) -> np.ndarray:
    """A rectangle around the origin, clockwise, some of its corners cut off or notched."""
    corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) * np.array([width, depth]) / 2
    points: list[np.ndarray] = []
    for n, corner in enumerate(corners):
        kind = generator.random()
        cut = np.round(generator.uniform(0.12, 0.3) * min(width, depth) / 8) * 8
        before, after = corners[n - 1] - corner, corners[(n + 1) % 4] - corner
        enter = corner + before / np.linalg.norm(before) * cut
        leave = corner + after / np.linalg.norm(after) * cut
        if kind < 0.2:
            points += [enter, leave]
        elif kind < 0.35:
            points += [enter, enter + leave - corner, leave]
        else:
            points.append(corner)
    return np.array(points)


def textmap(room: Room, things: Sequence[Mapping[str, Value]]) -> bytes:
    """The room as a UDMF lump, with ``things`` (each at least ``type``, ``x``, ``y``, ``angle``) in it."""
    always: dict[str, Value] = {"single": True, **{f"skill{n}": True for n in range(1, 6)}}
    return udmf([*_geometry(room), *(("thing", {**always, **thing}) for thing in things)])


def _geometry(room: Room) -> Iterator[tuple[str, Mapping[str, Value]]]:
    """The engine numbers blocks of each kind in their order, so a vertex or side is known by how many came before it."""
    vertices: list[np.ndarray] = []
    sides: list[dict[str, Value]] = []
    lines: list[dict[str, Value]] = []

    def line(a: np.ndarray, b: np.ndarray, sector: int, texture: str, behind: int | None = None) -> None:
        first = len(vertices)
        vertices.extend([a, b])
        front: dict[str, Value] = {"sector": sector}
        front["texturemiddle" if behind is None else "texturetop"] = texture
        lines.append({"v1": first, "v2": first + 1, "sidefront": len(sides)})
        sides.append(front)
        if behind is None:
            lines[-1]["blocking"] = True
        else:
            lines[-1] |= {"sideback": len(sides), "twosided": True}
            sides.append({"sector": behind})

    doors: dict[int, list[tuple[int, float]]] = {}
    for number, (wall, place) in enumerate(room.doors):
        doors.setdefault(wall, []).append((number + 1, place))
    for number, (start, end) in enumerate(room.walls):
        along = (end - start) / np.linalg.norm(end - start)
        outward = np.array([-along[1], along[0]]) * DOOR_RECESS
        texture = room.wall if number < len(room.outline) else room.pillar
        at = start
        for sector, place in doors.get(number, []):
            left, right = start + along * (place - DOOR_WIDTH / 2), start + along * (place + DOOR_WIDTH / 2)
            line(at, left, 0, texture)
            line(left, right, 0, texture, behind=sector)
            line(left, left + outward, sector, texture)
            line(left + outward, right + outward, sector, room.door)
            line(right + outward, right, sector, texture)
            at = right
        line(at, end, 0, texture)
    for x, y in vertices:
        yield "vertex", {"x": float(x), "y": float(y)}
    for fields in lines:
        yield "linedef", fields
    for fields in sides:
        yield "sidedef", fields
    shared: dict[str, Value] = {"heightfloor": 0, "texturefloor": room.floor}
    yield "sector", {**shared, "heightceiling": room.height, "textureceiling": room.ceiling, "lightlevel": room.light}
    door = {**shared, "heightceiling": min(112, room.height), "textureceiling": room.wall, "lightlevel": room.light - 24}
    yield from [("sector", door)] * len(room.doors)


def snow_flat() -> bytes:
    """A 64 x 64 floor of snow in the game's palette, which has none among its own: its greys, brightest first, begin at 80."""
    generator = np.random.Generator(np.random.PCG64(7))
    coarse = np.kron(generator.integers(0, 3, (16, 16)), np.ones((4, 4), dtype=np.int64))
    return (80 + coarse + generator.integers(0, 2, (64, 64))).astype(np.uint8).tobytes()


@dataclass(frozen=True)
class Lump:
    """A named piece of a WAD. ``name``: at most eight characters; order matters (a map's lumps follow its marker)."""

    name: str
    data: bytes = b""


def wad(lumps: Iterable[Lump]) -> bytes:
    """A patch archive (PWAD) of ``lumps`` in their order. Raises StereoSyncError for a name that the format cannot hold."""
    body, directory = bytearray(), bytearray()
    for lump in lumps:
        name = lump.name.encode("ascii", "replace")
        if not 1 <= len(name) <= 8 or b"?" in name:
            raise StereoSyncError(f"WAD: '{lump.name}' is no lump name; give one to eight ASCII characters.")
        directory += struct.pack("<ii8s", 12 + len(body), len(lump.data), name.upper())
        body += lump.data
    return struct.pack("<4sii", b"PWAD", len(directory) // 16, 12 + len(body)) + bytes(body) + bytes(directory)


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
    """Mono ``[N]`` in -1..1 as the engine's own lump of eight bits; ``rate`` in Hz, at most 65535. The format's sixteen bytes
    of padding on either side, which this engine plays like the rest, are left out."""
    data = np.clip(np.rint(samples * 127.0) + 128, 0, 255).astype(np.uint8).tobytes()
    return struct.pack("<HHI", 3, rate, len(data)) + data
