"""What is damaged, and what is then done with it: a small clip, tracks, depth and a model's config, each as users do."""

import io
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

from ..small_model import write_model
from .mutations import mutate_archive, mutate_bytes, mutate_json

SECONDS = 1.0
CONTAINERS = {"mp4": ("libx264", "aac"), "mkv": ("libx264", "flac"), "avi": ("mpeg4", "pcm_s16le"), "ts": ("mpeg2video", "mp2")}


class Target(NamedTuple):
    """``write(folder)`` makes what is damaged, ``damage(folder, chance)`` writes a damaged one and returns its path, and
    ``use(path)`` has to end well or in a StereoSyncError."""

    write: Callable[[Path], None]
    damage: Callable[[Path, random.Random], Path]
    use: Callable[[Path], None]


def _write_clips(folder: Path) -> None:
    for name, (video, audio) in CONTAINERS.items():
        (folder / f"whole.{name}").write_bytes(_clip(name, video, audio))


def _clip(name: str, video: str, audio: str) -> bytes:
    """A second of a square that moves, with a tone."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format={"mkv": "matroska", "ts": "mpegts"}.get(name, name)) as container:
        pictures, sound = container.add_stream(video, rate=12), container.add_stream(audio, rate=48000)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        sound.layout = "stereo"
        for n in range(12):
            image = np.full((48, 64, 3), 40, np.uint8)
            image[16:32, 4 * n : 4 * n + 16] = 220
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        wave = (8000 * np.sin(np.arange(48000) / 10)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None], format="s16", layout="stereo")
        frame.sample_rate, frame.pts = 48000, 0
        fifo = av.AudioFifo()
        fifo.write(av.AudioResampler(format=sound.codec_context.format, layout="stereo", rate=48000).resample(frame)[0])
        size = sound.codec_context.frame_size or 1024
        while (piece := fifo.read(size, partial=True)) is not None:
            container.mux(sound.encode(piece))
        container.mux(pictures.encode(None)), container.mux(sound.encode(None))
    return buffer.getvalue()


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
    return Tracks(tuple(Track(n, "person", times, boxes - 0.05 * n) for n in range(2)), SECONDS)


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
