"""Pictures of drawn people: limbs of shaded capsules in a room with patterned floor and walls, seen through a pinhole.

Each picture is of one instant, without motion blur. Lengths are in body heights; the person faces x when the clip begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from .drawn_motions import LEFT, UP, DrawnMotion

WIDTH, HEIGHT = 640, 360
#: Degrees around the person (0 = in front) and above the horizontal.
VIEWS = {"side": (90, 4), "oblique": (45, 8), "front": (0, 5), "rear": (180, 5), "above": (60, 40)}
#: Red, green and blue in 0..255, of which one each is worn; shoes differ from floor and trousers.
CLOTHES = {
    "shirt": ((178, 58, 52), (62, 96, 160), (222, 214, 196), (72, 128, 84), (38, 40, 46)),
    "trousers": ((28, 30, 36), (52, 62, 92), (120, 104, 82), (40, 38, 38), (150, 150, 156)),
    "shoes": ((236, 234, 228), (24, 24, 26), (168, 60, 44), (210, 180, 60)),
    "skin": ((224, 172, 135), (198, 134, 96), (141, 85, 54)),
    "hair": ((40, 26, 20), (90, 60, 30), (20, 20, 22)),
}
#: Joint to joint, radius at either, clothes; of the left side, the right one's joints are one further.
_SIDES = ((4, 6, 0.06, 0.043, "trousers"), (6, 8, 0.043, 0.028, "trousers"), (8, 10, 0.026, 0.024, "shoes"),
          (8, 12, 0.026, 0.018, "shoes"), (10, 12, 0.024, 0.02, "shoes"), (0, 14, 0.034, 0.028, "shirt"),
          (14, 2, 0.026, 0.018, "skin"), (2, 16, 0.019, 0.013, "skin"))  # fmt: skip
#: Cameras that move whatever the person does.
_FREE = ("shake", "sweep", "zoom")
_LIGHT = np.array([0.35, -0.45, 0.82])


@dataclass(frozen=True)
class DrawnClip:
    """What is to be drawn.

    :param view: a key of :data:`VIEWS`; ``gait`` and ``stops`` as in :func:`.drawn_motions.motion`.
    :param camera: ``tripod`` - stands still; ``hand`` - is held; ``pan`` - also turns after the person; ``dolly`` - goes along;
        ``shake`` - is held by somebody who runs; ``sweep`` - turns to and fro whatever the person does; ``zoom`` - stands, and
        its lens zooms in and out.
    """

    view: str
    gait: str
    number: int
    camera: str = "tripod"
    fps: int = 30
    stops: bool = False

    @property
    def name(self) -> str:
        return f"{self.view}-{self.gait}-{self.number}"


@dataclass(frozen=True)
class Film:
    """Where the camera is ``[T, 3]``, its axes ``[T, 3, 3]`` (rows: right, down, away), focal length ``[T]`` in pixels."""

    places: np.ndarray
    axes: np.ndarray
    focal: np.ndarray

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels ``[T, N, 2]`` and depths ``[T, N]`` of points ``[T, N, 3]``."""
        seen = np.einsum("tnk,tjk->tnj", points - self.places[:, None], self.axes)
        depth = np.maximum(seen[..., 2], 0.2)
        return seen[..., :2] / depth[..., None] * self.focal[:, None, None] + np.array([WIDTH, HEIGHT]) / 2, depth


def film(clip: DrawnClip, hips: np.ndarray, random: np.random.Generator) -> Film:
    """A camera on a person whose hips are at ``[T, 3]``."""
    azimuth, elevation = (np.deg2rad(degrees + random.normal(0, 3)) for degrees in VIEWS[clip.view])
    azimuth = azimuth * random.choice([-1, 1])
    if clip.gait == "stairs" and clip.view in ("oblique", "above"):
        azimuth = np.pi - azimuth  # from below
    out = np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    distance, height = random.uniform(5, 8), random.uniform(0.45, 0.72)
    right = np.cross(UP, out) / np.cos(elevation)
    across, rise, along = (np.ptp(hips @ axis) for axis in (right, np.cross(out, right), out))
    middle = np.tile((hips.min(0) + hips.max(0)) / 2, (len(hips), 1))
    path = gaussian_filter1d(hips, 0.35 * clip.fps, axis=0, mode="nearest")
    places, aim = (path if clip.camera == "dolly" else middle) + distance * out, path
    tall = np.cos(elevation) + 0.25 * np.sin(elevation)
    if clip.camera not in ("pan", "dolly"):  # the whole way in the picture
        aim, tall, height = middle, tall + rise, min(height, 1.55 / (across + 0.7))
    if clip.camera != "dolly":
        height = min(height, 0.85 * (1 - along / 2 / distance) / tall)
    aim = aim + random.uniform(-0.8, 0.8) * max(0.0, 0.44 / height - tall / 2) * UP
    roll, lens = np.zeros(len(hips)), np.ones(len(hips))
    turn = np.cos(2 * np.pi * np.arange(len(hips)) / clip.fps / random.uniform(2.5, 4)) if clip.camera in _FREE else lens
    if clip.camera == "sweep":
        aim, height = aim + 0.45 / height * turn[:, None] * right, 0.75 * height
    elif clip.camera == "zoom":
        lens = 0.8 + 0.2 * turn
    elif clip.camera == "shake":
        wobble = gaussian_filter1d(random.standard_normal((len(hips), 4)), 0.06 * clip.fps, axis=0)
        wobble /= wobble.std(0)
        aim, roll = aim + 0.05 * wobble[:, :3], 0.02 * wobble[:, 3]
    elif clip.camera != "tripod":
        wobble = gaussian_filter1d(random.standard_normal((len(hips), 7)), random.uniform(0.12, 0.3) * clip.fps, axis=0)
        wobble /= wobble.std(0)
        aim, places, roll = aim + 0.015 * wobble[:, :3], places + 0.01 * wobble[:, 3:6], 0.008 * wobble[:, 6]
    away = (aim - places) / np.linalg.norm(aim - places, axis=1, keepdims=True)
    right = np.cross(away, UP)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    down = np.cross(away, right)
    cos, sin = np.cos(roll)[:, None], np.sin(roll)[:, None]
    return Film(
        places, np.stack([cos * right + sin * down, cos * down - sin * right, away], 1), height * HEIGHT * distance * lens
    )


def limbs(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Ends ``[T, L, 2, 3]``, radii ``[L, 2]`` and clothes of the limbs of joints ``[T, JOINTS, 3]``."""
    joints = joints.copy()
    joints[:, 10:12] += 0.024 * UP
    joints[:, 12:14] += 0.02 * UP
    shoulders, hips, head = joints[:, :2], joints[:, 4:6], joints[:, 18]
    across = shoulders[:, 0] - shoulders[:, 1]
    left = across / np.linalg.norm(across, axis=1, keepdims=True)
    ahead = np.cross(left, UP)
    chest, seat = shoulders.mean(1), hips.mean(1)
    rows = [(joints[:, a + s], joints[:, b + s], r, q, wear) for a, b, r, q, wear in _SIDES for s in (0, 1)]
    for s in (0, 1):
        rows.append((0.7 * shoulders[:, s] + 0.3 * chest, 0.6 * hips[:, s] + 0.4 * seat + 0.03 * UP, 0.05, 0.06, "shirt"))
        eye = head + 0.05 * ahead + (0.022 - 0.044 * s) * left + 0.012 * UP
        rows.append((eye, eye + 0.002 * LEFT, 0.008, 0.008, "hair"))
    rows += [
        (chest, seat + 0.03 * UP, 0.055, 0.068, "shirt"),
        (hips[:, 0], hips[:, 1], 0.062, 0.062, "trousers"),
        (chest, head, 0.034, 0.032, "skin"),
        (head - 0.015 * UP, head + 0.02 * UP, 0.052, 0.058, "skin"),
        (head + 0.055 * ahead - 0.01 * UP, head + 0.058 * ahead, 0.012, 0.01, "skin"),
        (head - 0.02 * ahead + 0.032 * UP, head - 0.024 * ahead - 0.01 * UP, 0.056, 0.05, "hair"),
    ]
    ends = np.stack([np.stack([row[0], row[1]], 1) for row in rows], 1)
    return ends, np.array([row[2:4] for row in rows]), [row[4] for row in rows]


@dataclass(frozen=True)
class Seen:
    """Limbs in the picture: ends ``[T, L, 2, 2]`` and radii ``[T, L, 2]`` in pixels, depths ``[T, L, 2]``, clothes ``[L]``, and
    boxes ``[T, 4]`` in pixels around all of them."""

    flat: np.ndarray
    radii: np.ndarray
    depths: np.ndarray
    clothes: list[str]
    boxes: np.ndarray


def seen_by(shot: Film, joints: np.ndarray) -> Seen:
    """The limbs of joints ``[T, JOINTS, 3]`` in a film's pictures."""
    ends, radii, clothes = limbs(joints)
    flat, depths = shot.project(ends.reshape(len(ends), -1, 3))
    flat, depths = flat.reshape(*ends.shape[:3], 2), depths.reshape(ends.shape[:3])
    around = radii * shot.focal[:, None, None] / depths
    low, high = (flat - around[..., None]).min((1, 2)), (flat + around[..., None]).max((1, 2))
    return Seen(flat, around, depths, clothes, np.concatenate([low, high], axis=1))


def texture(colour: np.ndarray, tile: int, random: np.random.Generator) -> np.ndarray:
    """A pattern ``[512, 512, 3]`` that repeats: spots of several sizes, and seams every ``tile`` pixels."""
    noise = [random.standard_normal((512, 512)) for _ in range(3)]
    sizes = ((2, 14), (8, 22), (32, 40))
    spots = np.sum(
        [gaussian_filter(one, s, mode="wrap") * s * most for one, (s, most) in zip(noise, sizes, strict=True)], axis=0
    )
    seams = (np.arange(512) % tile < 4).astype(float)
    return (colour + spots[..., None] * 0.5 - 22 * np.maximum(seams[:, None], seams)[..., None]).astype(np.float32)


def background(camera: tuple[np.ndarray, np.ndarray, float], furniture: list, textures: np.ndarray):
    """Colours ``[H, W, 3]``, depth ``[H, W]``, points ``[3, H, W]`` and which face upwards, of a room and boxes in it."""
    place, axes, focal = (np.asarray(part, dtype=np.float32) for part in camera)
    x = (np.arange(WIDTH, dtype=np.float32) + 0.5 - WIDTH / 2) / focal
    y = (np.arange(HEIGHT, dtype=np.float32)[:, None] + 0.5 - HEIGHT / 2) / focal
    right, down, away = axes[:, :, None, None]
    rays = x * right + y * down + away
    rays[np.abs(rays) < 1e-6] = 1e-6

    def entry_and_exit(low, high) -> tuple[np.ndarray, np.ndarray]:
        one, other = ((np.float32(bound) - place)[:, None, None] / rays for bound in (low, high))
        return np.minimum(one, other), np.maximum(one, other)

    _, out = entry_and_exit((-16, -16, 0), (16, 16, 8))
    axis, depth = out.argmin(0), out.min(0)
    kind = np.where(axis == 2, 0, 1)
    for low, high in furniture:
        into, out = entry_and_exit(low, high)
        near = into.max(0)
        hit = (near < out.min(0)) & (near > 0) & (near < depth)
        depth, axis, kind = np.where(hit, near, depth), np.where(hit, into.argmax(0), axis), np.where(hit, 2, kind)
    points = place[:, None, None] + rays * depth
    u, v = np.where(axis == 0, points[1], points[0]), np.where(axis == 2, points[1], points[2])
    column, row = (u * 128).astype(int) % 512, (v * 128).astype(int) % 512
    colours = textures[kind, row, column] * np.array([0.85, 0.7, 1.0], dtype=np.float32)[axis][..., None]
    return colours, depth, points, (axis == 2) & (rays[2] < 0)


def paint(canvas: np.ndarray, nearest: np.ndarray, ends, radii, depths, focal: float, colour, light: np.ndarray) -> None:
    """A shaded capsule into colours ``[H, W, 3]`` where it is before depths ``[H, W]``, all in pixels of the canvas."""
    low = np.maximum(np.floor((ends - radii[:, None]).min(0)), 0).astype(int)
    high = np.minimum(np.ceil((ends + radii[:, None]).max(0)) + 1, nearest.shape[::-1]).astype(int)
    if (high <= low).any():
        return
    x, y = np.arange(low[0], high[0])[None] + 0.5, np.arange(low[1], high[1])[:, None] + 0.5
    way = ends[1] - ends[0]
    part = np.clip(((x - ends[0, 0]) * way[0] + (y - ends[0, 1]) * way[1]) / max(float(way @ way), 1e-6), 0, 1)
    radius = radii[0] + (radii[1] - radii[0]) * part
    dx, dy = (x - ends[0, 0] - part * way[0]) / radius, (y - ends[0, 1] - part * way[1]) / radius
    bulge = np.sqrt(np.maximum(1 - dx**2 - dy**2, 0))
    depth = depths[0] + (depths[1] - depths[0]) * part - bulge * radius * depths.mean() / focal
    box = (slice(low[1], high[1]), slice(low[0], high[0]))
    seen = (bulge > 0) & (depth < nearest[box])
    shade = (0.6 + 0.5 * np.clip(dx * light[0] + dy * light[1] - bulge * light[2], 0, 1)) * (0.75 + 0.25 * bulge)
    nearest[box][seen] = depth[seen]
    canvas[box][seen] = shade[seen][:, None] * colour


def pictures(clip: DrawnClip, moved: DrawnMotion, shot: Film, seen: Seen, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Frames uint8 ``[HEIGHT, WIDTH, 3]``."""
    floor, wall, wood = (random.uniform(*bounds) + random.normal(0, 14, 3) for bounds in ((90, 185), (120, 205), (90, 150)))
    textures = np.stack([texture(colour, tile, random) for colour, tile in ((floor, 64), (wall, 512), (wood, 256))])
    choices = {name: random.permutation(colours) for name, colours in CLOTHES.items()}
    wear = {name: colours[0] for name, colours in choices.items()}
    apart = [min(np.abs(shoe - other).max() for other in (floor, wear["trousers"])) for shoe in choices["shoes"]]
    wear["shoes"] = choices["shoes"][int(np.argmax(np.array(apart) > 60))]
    behind = None
    for n in range(len(seen.flat)):
        if behind is None or clip.camera != "tripod":
            behind = background((shot.places[n], shot.axes[n], shot.focal[n]), moved.furniture, textures)
        colours, depth, points, level = behind
        picture = colours * _shadow(points, level, moved.joints[n])[..., None]
        x0, y0 = np.clip(np.floor(seen.boxes[n, :2]).astype(int) - 1, 0, (WIDTH, HEIGHT))
        x1, y1 = np.clip(np.ceil(seen.boxes[n, 2:]).astype(int) + 1, 0, (WIDTH, HEIGHT))
        if x1 > x0 and y1 > y0:
            canvas, nearest = (np.repeat(np.repeat(part[y0:y1, x0:x1], 2, 0), 2, 1) for part in (picture, depth))
            light = shot.axes[n] @ _LIGHT
            for limb, cloth in enumerate(seen.clothes):
                ends, radii = 2 * (seen.flat[n, limb] - (x0, y0)), 2 * seen.radii[n, limb]
                paint(canvas, nearest, ends, radii, seen.depths[n, limb], 2 * shot.focal[n], wear[cloth], light)
            picture[y0:y1, x0:x1] = canvas.reshape(y1 - y0, 2, x1 - x0, 2, 3).mean((1, 3))
        yield np.clip(picture + 2 * random.standard_normal((HEIGHT, WIDTH, 1), dtype=np.float32), 0, 255).astype(np.uint8)


def _shadow(points: np.ndarray, level: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Light ``[H, W]`` that is left on what faces upwards under the feet and the hips."""
    on, left = points[:, level], np.ones(int(level.sum()), dtype=np.float32)
    for over, size, most in ([10, 12], 0.08, 0.5), ([11, 13], 0.08, 0.5), ([4, 5], 0.22, 0.3):
        x, y, z = joints[over].mean(0).astype(np.float32)[:, None] - on
        fade = np.where(z > -0.05, np.clip(1 - z / 0.9, 0, 1), 0)
        left *= 1 - most * fade * np.exp(-(x**2 + y**2) / size**2)
    light = np.ones(level.shape, dtype=np.float32)
    light[level] = left
    return light
