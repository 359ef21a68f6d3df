"""What is damaged, and what is then done with it: a small clip, tracks, depth and a model's config, each as users do."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from stereosync_core.cli.render import REHEARSAL
from stereosync_core.files import load_depth, load_tracks, save_depth, save_tracks
from stereosync_core.media.mux import mux
from stereosync_core.media.sound import Sound, read_sound
from stereosync_core.media.trim import cut_clip
from stereosync_core.media.video import frames, probe
from stereosync_core.model.conditioning.spatial import SpatialConditioning
from stereosync_core.model.loader import load_model
from stereosync_core.model.pipeline import StereoSyncPipeline
from stereosync_core.rendering.spatialize import spatialize
from stereosync_core.rendering.voices import footstep_voices
from stereosync_core.scene import DepthSequence, Track, Tracks
from stereosync_core.scene_camera import CameraMotion

from ..small_model import write_model
from .mutations import mutate_archive, mutate_bytes, mutate_json

SECONDS = 1.0
#: Endings of clips, with the codec of their pictures.
CONTAINERS = {"mp4": "libx264", "mkv": "libx264", "avi": "mpeg4", "ts": "mpeg2video"}


class Target(NamedTuple):
    """``write(folder)`` makes what is damaged, ``damage(folder, chance)`` writes a damaged one and returns its path, and
    ``use(path)`` has to end well or in a StereoSyncError."""

    write: Callable[[Path], None]
    damage: Callable[[Path, random.Random], Path]
    use: Callable[[Path], None]


def _write_clips(folder: Path) -> None:
    tone = Sound(0.2 * np.sin(np.arange(8000) / 2)[None], 8000)
    for ending, codec in CONTAINERS.items():
        path = folder / f"whole.{ending}"
        _write_pictures(path, codec)
        if ending != "ts":
            mux(path, tone, path)


def _write_pictures(path: Path, codec: str) -> None:
    """A second of a square that moves."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size, stream.max_b_frames = 64, 48, "yuv420p", 12, 0
        for n in range(25):
            image = np.full((48, 64, 3), 40, np.uint8)
            image[16:32, 2 * n : 2 * n + 16] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def _damage_clip(folder: Path, chance: random.Random) -> Path:
    name = chance.choice(list(CONTAINERS))
    path = folder / f"damaged.{name}"
    path.write_bytes(mutate_bytes((folder / f"whole.{name}").read_bytes(), chance))
    return path


def _use_clip(path: Path) -> None:
    info = probe(path)
    for _ in frames(path, rate=6.0, max_side=64):
        pass
    read_sound(path)
    tone = Sound(np.zeros((2, 4800)), 48000)
    mux(path, tone, path.with_name("out.mkv"))
    cut_clip(str(path), 0.0, min(0.3, info.duration), path.with_name("cut.mp4"), None)


def _tracks() -> Tracks:
    times = np.arange(0, SECONDS, 0.1)
    boxes = np.stack([0.1 + 0.4 * times, 0 * times + 0.2, 0.3 + 0.4 * times, 0 * times + 0.9], axis=1)
    still = CameraMotion(times, np.tile(np.eye(3), (len(times), 1, 1)), np.ones(len(times)), (0.95,))
    tracks = tuple(Track(n, "person", times[:9], boxes[:9] - 0.05 * n) for n in range(2))
    return Tracks(tracks, SECONDS, cuts=still.cuts, camera=still)


def _write_tracks(folder: Path) -> None:
    save_tracks(folder / "whole.json", _tracks())


def _damage_tracks(folder: Path, chance: random.Random) -> Path:
    text, path = (folder / "whole.json").read_text(), folder / "damaged.json"
    if chance.random() < 0.3:
        path.write_bytes(mutate_bytes(text.encode(), chance))
    else:
        path.write_text(mutate_json(text, chance), encoding="utf-8")
    return path


def _use_tracks(path: Path) -> None:
    tracks = load_tracks(path, SECONDS)
    tracks.most_prominent(1)
    if tracks.camera is not None:
        tracks.camera.summary()
        for track in tracks:
            tracks.camera.boxes_without(track.times, track.boxes)
    voices, _ = footstep_voices(tracks, timing="gait", rate=8000)
    spatialize(voices, 8000, tracks, duration=SECONDS)
    save_tracks(path.with_name("again.json"), tracks)


def _write_depth(folder: Path) -> None:
    maps = np.random.default_rng(0).random((4, 12, 16))
    save_depth(folder / "whole.npz", DepthSequence(maps, np.arange(4) / 4))


def _damage_depth(folder: Path, chance: random.Random) -> Path:
    data, path = (folder / "whole.npz").read_bytes(), folder / "damaged.npz"
    path.write_bytes((mutate_bytes if chance.random() < 0.4 else mutate_archive)(data, chance))
    return path


def _use_depth(path: Path) -> None:
    depth, tracks = load_depth(path, SECONDS), _tracks()
    for track in tracks:
        tracks.distance(track, track.times, depth)
    save_depth(path.with_name("again.npz"), depth)


def _write_model(folder: Path) -> None:
    shutil.copy(write_model(folder) / "config.json", folder / "whole.json")


def _damage_model(folder: Path, chance: random.Random) -> Path:
    text = (folder / "whole.json").read_text()
    (folder / "config.json").write_text(mutate_json(text, chance), encoding="utf-8")
    return folder


def _use_model(folder: Path) -> None:
    model = load_model(folder)
    StereoSyncPipeline(model)(SpatialConditioning(REHEARSAL, None), num_inference_steps=1)


TARGETS = {
    "clip": Target(_write_clips, _damage_clip, _use_clip),
    "tracks": Target(_write_tracks, _damage_tracks, _use_tracks),
    "depth": Target(_write_depth, _damage_depth, _use_depth),
    "model": Target(_write_model, _damage_model, _use_model),
}
