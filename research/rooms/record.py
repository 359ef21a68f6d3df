"""Playing a plan in the game engine (ViZDoom, Freedoom's pictures) and gathering its pictures, its sound and its state."""

import ctypes.util
import importlib.util
import os
import tempfile
import zlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from stereosync_core.errors import StereoSyncError

from . import camera as cameras
from .acoustics import in_room
from .effects import peak_of
from .recipe import Plan, plan_archive, plan_sounds
from .room import UNITS_PER_METRE
from .voices import LOOP_TIC, PREROLL, placed
from .walkers import SPRITES

WIDTH, HEIGHT = 320, 240
#: Every so many tics a frame and a depth map are kept: 17.5 and 5 a second.
FRAME_EVERY, DEPTH_EVERY = 2, 7
#: Effects volume. At this one, three walkers next to the camera stay out of the mixer's limiter.
VOLUME = 0.8
#: Smallest box that counts as seen, in pixels.
SMALLEST_HEIGHT, SMALLEST_WIDTH = 8, 3
#: The engine draws a fifth taller than the map's measure; the part of a figure's height that must show.
TALL, SHOWN = 1.2, 0.6
#: Units by which the engine's places may differ from the plan's.
_TOLERANCE = 0.5


@dataclass(frozen=True)
class Recording:
    """What the engine gave. T tics, W walkers; tic n stands for the time n / 35 s.

    :param frames: uint8 RGB ``[ceil(T / 2), 240, 320, 3]``.
    :param depth: uint8 ``[ceil(T / 7), 60, 80]``, distance along the camera's axis in steps of 0.23 m, 127 = 29 m or more.
    :param sound: int16 ``[2, T * 1260]`` at 44.1 kHz, the engine's own mix and what the room adds; ``peak`` is that of the
        engine's alone, 1 = full scale.
    :param boxes: float32 ``[W, T, 4]`` in 0..1, NaN while a walker is not seen.
    :param places: float32 ``[W, T, 2]`` in metres.
    :param camera: float32 ``[T, 3]``: place in metres, and the angle in radians that it looks at.
    """

    frames: np.ndarray
    depth: np.ndarray
    sound: np.ndarray
    boxes: np.ndarray
    places: np.ndarray
    camera: np.ndarray
    peak: float


def missing_engine() -> str | None:
    """What is missing to record rooms, in words for the user; None when all is there."""
    if importlib.util.find_spec("vizdoom") is None:
        return "the package vizdoom is not installed; run: pip install -r requirements-train.txt"
    if ctypes.util.find_library("openal") is None:
        return "the system library OpenAL is missing; on Debian and Ubuntu run: apt-get install libopenal1"
    return None


def versions() -> dict[str, str]:
    """Versions of everything that the bytes of a shard depend on."""
    return {name: version(name) for name in ("vizdoom", "numpy", "scipy", "av")} | {"zlib": zlib.ZLIB_RUNTIME_VERSION}


def record(plan: Plan) -> Recording:
    """Play the plan. Raises StereoSyncError when the engine is missing, will not start, or does not follow the plan."""
    lacking = missing_engine()
    if lacking:
        raise StereoSyncError(f"Rooms: {lacking}.")
    with tempfile.TemporaryDirectory(prefix="rooms-") as folder:
        archive = Path(folder) / "room.wad"
        sounds = plan_sounds(plan)
        archive.write_bytes(plan_archive(plan, sounds))
        game = _engine(archive, folder, plan)
        before = Path.cwd()
        try:
            os.chdir(folder)  # the engine leaves a folder of its own where it is started
            game.init()
            return _gather(game, plan, sounds)
        except StereoSyncError:
            raise
        except Exception as error:  # the engine's own exceptions have no common class
            raise StereoSyncError(f"Rooms: the engine failed on clip {plan.number} of {plan.split} ({error}).") from error
        finally:
            os.chdir(before)
            game.close()


def _engine(archive: Path, folder: str, plan: Plan) -> Any:
    import vizdoom

    game = vizdoom.DoomGame()
    game.set_doom_game_path(str(Path(str(vizdoom.__file__)).parent / "freedoom2.wad"))
    game.set_doom_scenario_path(str(archive))
    game.set_doom_config_path(str(Path(folder) / "engine.ini"))  # never the user's own settings
    game.set_doom_map("map01")
    game.set_mode(vizdoom.Mode.PLAYER)
    game.set_seed(1)
    game.set_window_visible(False)
    game.set_screen_resolution(vizdoom.ScreenResolution.RES_320X240)
    game.set_screen_format(vizdoom.ScreenFormat.RGB24)
    game.set_depth_buffer_enabled(True)
    game.set_labels_buffer_enabled(True)
    game.set_objects_info_enabled(True)
    hidden = ["hud", "weapon", "crosshair", "messages", "screen_flashes", "decals", "particles", "effects_sprites", "corpses"]
    for name in hidden:
        getattr(game, f"set_render_{name}")(False)
    game.set_sound_enabled(True)
    game.set_audio_buffer_enabled(True)
    game.set_audio_sampling_rate(vizdoom.SamplingRate.SR_44100)
    game.set_audio_buffer_size(1)
    game.set_available_buttons([vizdoom.Button.ATTACK])
    game.set_available_game_variables([vizdoom.GameVariable.ANGLE])
    game.set_episode_timeout(plan.tics + PREROLL + 1000)
    game.add_game_args(
        f"+snd_efx 0 +snd_musicvolume 0 +snd_sfxvolume {VOLUME} +snd_channels 128 +movebob 0 +fov {cameras.FIELD_OF_VIEW:g}"
    )
    return game


def _gather(game: Any, plan: Plan, played: list[list[np.ndarray]]) -> Recording:
    count, tics = len(plan.walkers), plan.tics
    names = [f"Walker{n}" for n in range(count)]
    frames, depth, sound = [], [], []
    boxes = np.full((count, tics, 4), np.nan, dtype=np.float32)
    places = np.full((count, tics, 2), np.nan, dtype=np.float32)
    camera = np.full((tics, 3), np.nan, dtype=np.float32)
    for tic in range(-PREROLL, tics):
        state = game.get_state()
        if state is None:
            raise StereoSyncError(f"Rooms: the engine ended clip {plan.number} of {plan.split} early, at tic {tic}.")
        if tic >= 0:
            if tic % FRAME_EVERY == 0:
                frames.append(state.screen_buffer.copy())
            if tic % DEPTH_EVERY == 0:
                depth.append(_small_depth(state.depth_buffer))
            sound.append(state.audio_buffer)
            for label in state.labels:
                if label.object_name in names:
                    walker = names.index(label.object_name)
                    box = np.array((label.x, label.y, label.x + label.width, label.y + label.height), dtype=np.float64)
                    if _seen(box, *_outlook(plan, walker, tic + PREROLL)):
                        boxes[walker, tic] = box / (WIDTH, HEIGHT, WIDTH, HEIGHT)
            for thing in state.objects:
                if thing.name in names:
                    places[names.index(thing.name), tic] = thing.position_x, thing.position_y
                elif thing.name == "RoomCamera":
                    camera[tic] = thing.position_x, thing.position_y, np.deg2rad(state.game_variables[0])
        game.make_action([0])
    _check(plan, places, camera)
    dry = np.concatenate(sound).T.astype(np.int16)
    return Recording(
        frames=np.stack(frames),
        depth=np.stack(depth),
        sound=_with_room(plan, played, dry, np.linalg.norm(places - camera[:, :2], axis=-1) / UNITS_PER_METRE),
        boxes=boxes,
        places=places / UNITS_PER_METRE,
        camera=camera / np.array([UNITS_PER_METRE, UNITS_PER_METRE, 1], dtype=np.float32),
        peak=peak_of(dry / 32768),
    )


def _with_room(plan: Plan, played: list[list[np.ndarray]], dry: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """The engine's mix int16 ``[2, N]`` with what the room adds, of walkers ``distance`` metres ``[W, T]`` away."""
    voices = []
    for walker, sounds in zip(plan.walkers, played, strict=True):
        tics = [LOOP_TIC - PREROLL] if walker.loop else walker.step_tics - PREROLL
        voices.append(placed(tics, sounds, dry.shape[1]))
    full = in_room(dry / np.float32(32768), np.stack(voices), distance, plan.acoustics, peak_of(dry / 32768))
    return np.rint(np.clip(full * 32768, -32768, 32767)).astype(np.int16)


def _outlook(plan: Plan, walker: int, tic: int) -> tuple[float, float, float]:
    """Rows of the head and the feet, and the width, in pixels, of a walker whom nothing hides."""
    camera, own = plan.camera, plan.walkers[walker]
    towards = own.path[tic] - camera.path[tic]
    ahead = max(float(towards @ (np.cos(camera.angle[tic]), np.sin(camera.angle[tic]))), 1.0)
    pixels, figure = WIDTH / 2 / ahead, SPRITES[own.sprite]
    feet = HEIGHT / 2 + (camera.height - own.heights[tic]) * TALL * pixels
    return feet - figure.height * TALL * own.scale * pixels, feet, figure.width * own.scale * pixels


def _seen(box: np.ndarray, head: float, feet: float, width: float) -> bool:
    """Whether a box in pixels shows its walker, and not a sliver beside a pillar, whose middle is not the walker's."""
    inside = max(min(feet, HEIGHT) - max(head, 0.0), 0.0)
    tall = box[3] - box[1] >= max(SHOWN * inside, SMALLEST_HEIGHT)
    at_edge = box[0] <= 0 or box[2] >= WIDTH
    return bool(tall and box[2] - box[0] >= (SMALLEST_WIDTH if at_edge else max(0.35 * width, SMALLEST_WIDTH)))


def _small_depth(depth: np.ndarray) -> np.ndarray:
    """One pixel of 4 x 4: a mean would put things where nothing is. The engine's walls end at 127, its floors do not: cut."""
    return np.minimum(depth[1::4, 1::4], 127)


def _check(plan: Plan, places: np.ndarray, camera: np.ndarray) -> None:
    """A walker's place, frame and sound are one state of its actor: where the places agree, the step times do too."""
    for walker, place in zip(plan.walkers, places, strict=True):
        if not np.abs(place - walker.path[PREROLL:]).max() < _TOLERANCE:
            raise StereoSyncError(f"Rooms: the engine did not follow the plan of clip {plan.number} of {plan.split}.")
    turn = (camera[:, 2] - plan.camera.angle[PREROLL:] + np.pi) % (2 * np.pi) - np.pi
    if not (np.abs(camera[:, :2] - plan.camera.path[PREROLL:]).max() < _TOLERANCE and np.abs(turn).max() < np.deg2rad(0.5)):
        raise StereoSyncError(f"Rooms: the camera did not follow the plan of clip {plan.number} of {plan.split}.")
