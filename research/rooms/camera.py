"""Third-person cameras: one that stands, one that pans, one that follows a walker."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.ndimage import gaussian_filter1d

from .room import Room

KINDS = ("fixed", "pan", "follow")
#: Horizontal, in degrees; the same for all, so that a place in the frame is always the same direction of sound.
FIELD_OF_VIEW = 90.0
MARGIN = 20.0


@dataclass(frozen=True)
class Camera:
    """A camera's plan: place ``path [T, 2]`` in units at each tic, radians ``angle [T]`` that it looks at (0 = east,
    counterclockwise), ``height`` of the lens over the floor in units; ``kind`` is one of :data:`KINDS`."""

    kind: str
    path: np.ndarray
    angle: np.ndarray
    height: int


def bearing(camera_path: np.ndarray, camera_angle: np.ndarray | float, place: np.ndarray) -> np.ndarray:
    """Radians ``[T]`` in -pi..pi by which ``place`` ``[T, 2]`` stands to the right of where the camera looks; the camera's own
    place ``[2]`` and angle may stand for all T."""
    towards = place - camera_path
    return (camera_angle - np.arctan2(towards[:, 1], towards[:, 0]) + np.pi) % (2 * np.pi) - np.pi


def screen_azimuth(bearing: np.ndarray) -> np.ndarray:
    """Azimuth -1..1 in the frame of a ``bearing`` in radians; what is off screen is held at the edge it is beyond."""
    ahead = np.abs(bearing) < np.deg2rad(89)
    inside = np.tan(np.where(ahead, bearing, 0)) / np.tan(np.deg2rad(FIELD_OF_VIEW / 2))
    return np.clip(np.where(ahead, inside, np.sign(bearing)), -1, 1)


def standing_camera(generator: Generator, room: Room, tics: int, kind: str) -> Camera:
    """A camera that stands near the edge of the room and looks across it; ``kind`` is ``fixed`` or ``pan``."""
    candidates = np.stack([room.place(generator, MARGIN) for _ in range(12)])
    middle = room.outline.mean(0)
    # the farthest from the middle sees most of the room
    place = candidates[int(np.argmax(np.linalg.norm(candidates - middle, axis=1)))]
    angle = np.arctan2(*(middle - place)[::-1]) + np.deg2rad(generator.uniform(-18, 18)) + np.zeros(tics)
    if kind == "pan":
        sweep = np.deg2rad(generator.uniform(20, 70)) * generator.choice([-1, 1])
        if generator.random() < 0.5:
            angle += sweep * np.linspace(-0.5, 0.5, tics)
        else:
            angle += sweep / 2 * np.sin(2 * np.pi * (np.linspace(0, generator.uniform(0.5, 1.5), tics) + generator.random()))
    return Camera(kind, np.tile(place, (tics, 1)), angle, _height(generator, room))


def following_camera(generator: Generator, room: Room, path: np.ndarray) -> Camera | None:
    """A camera that keeps its distance to a walker's ``path`` ``[T, 2]``, or None where the room has no place for it."""
    smooth = gaussian_filter1d(path, 12, axis=0, mode="nearest")
    tics = len(path)
    for _ in range(8):
        side = generator.uniform(-np.pi, np.pi) + np.linspace(0, np.deg2rad(generator.uniform(-40, 40)), tics)
        distance = generator.uniform(110, 300)
        place = smooth + distance * np.stack([np.cos(side), np.sin(side)], 1)
        if not room.clear(place[::5], MARGIN).all() or not room.clear(place, 4.0).all():
            continue
        towards = smooth - place
        # not always in the middle: the aim sways about the walker
        sway = np.deg2rad(generator.uniform(5, 32)) * np.sin(
            2 * np.pi * (np.linspace(0, generator.uniform(0.4, 1.2), tics) + generator.random())
        )
        return Camera("follow", place, np.arctan2(towards[:, 1], towards[:, 0]) + sway, _height(generator, room))
    return None


def _height(generator: Generator, room: Room) -> int:
    return int(generator.integers(36, min(84, room.height - 40)))


def actor(camera: Camera) -> str:
    """The camera's DECORATE definition: the player's own body, moved like a walker, class ``RoomCamera``."""
    velocity = np.diff(camera.path, axis=0, append=camera.path[-1:])
    angle = np.rad2deg(camera.angle) % 360
    states = []
    for n, (vx, vy) in enumerate(velocity):
        states.append(f"TNT1 A 0 A_SetAngle({angle[n]:.4f})")
        states.append(f"TNT1 A 1 A_ChangeVelocity({vx:.5f}, {vy:.5f}, 0, CVF_REPLACE)")
    return f"""actor RoomCamera : PlayerPawn {{
Radius 8
Height 100
Player.ViewHeight {camera.height}
Player.DisplayName "Camera"
+NOCLIP +NOTARGET +DONTSPLASH
-SOLID -SHOOTABLE
States {{
Spawn:
TNT1 A 1
{chr(10).join(states)}
TNT1 A -1
Stop
See:
Missile:
Melee:
Death:
TNT1 A -1
Stop
}}
}}
"""
