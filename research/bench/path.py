"""The main path: clip in, clip with placed footsteps out.

Keys: ``stages`` - time of each stage on the bundled clip, in a warm process, over the clip's length: depth, tracks, events,
sound by the bundled model (``generate``), sound by rule (``render``), and the muxer; ``walking_clip_ratio`` - all of
``render``, ``main_workflow_ratio`` - all of ``generate``; ``peak_mib_1min`` and ``peak_mib_10min`` - peak resident memory of
a process that takes a generated 1080p30 clip through decode, depth, tracking and events; ``mux_vs_ffmpeg`` - time of the
muxer over that of ``ffmpeg -c:v copy`` with the same clip and sound.
"""

import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from stereosync_core import SpatialConditioning, StereoSyncPipeline, estimate_depth, footstep_voices, spatialize, track_video
from stereosync_core.assets import WALKING_CLIP, asset_path
from stereosync_core.events.detect import detect_events
from stereosync_core.media.mux import mux
from stereosync_core.media.sound import Sound, write_sound
from stereosync_core.media.video import frames, probe
from stereosync_core.rendering.event_envelope import envelope_from_events

from .process import peak_mib, run_child, seconds_of

REPEATS = 5
RATE = 48000


def measure(quick: bool = False) -> dict[str, Any]:
    """Run all of it; about ten minutes on two cores, most of them for the ten-minute clip, which ``quick`` leaves out."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        measured: dict[str, Any] = walking_clip(folder)
        minute = folder / "minute.mp4"
        make_clip(minute)
        measured["peak_mib_1min"] = run_child(analyse, minute)["mib"]
        if not quick:
            ten = folder / "ten.mp4"
            repeat_clip(minute, ten, 10)
            measured["peak_mib_10min"] = run_child(analyse, ten)["mib"]
            measured["peak_10min_vs_1min"] = round(measured["peak_mib_10min"] / measured["peak_mib_1min"], 3)
        measured["mux_vs_ffmpeg"] = mux_against_ffmpeg(minute, folder)
    return measured


def walking_clip(folder: Path) -> dict[str, Any]:
    """Time of each stage over the clip's length: the median of three runs after one to warm up."""
    clip = asset_path(WALKING_CLIP)
    length = probe(clip).duration
    runs = [stages(clip, folder / "out.mp4") for _ in range(4)][1:]
    took = {name: statistics.median(run[name] for run in runs) / length for name in runs[0]}
    common = sum(took[name] for name in ("depth", "tracks", "events", "mux"))
    return {
        "stages": {name: round(value, 3) for name, value in took.items()},
        "walking_clip_ratio": round(common + took["render"], 3),
        "main_workflow_ratio": round(common + took["generate"], 3),
        "walking_clip_seconds": round(length, 3),
    }


def stages(clip: Path, output: Path) -> dict[str, float]:
    """Seconds of each stage from the clip to the clip with sound."""
    made: dict[str, Any] = {}

    pipeline = StereoSyncPipeline.from_pretrained("bundled")

    def generate() -> None:
        envelope = envelope_from_events(made["events"], made["tracks"], made["depth"])
        scene = SpatialConditioning(made["tracks"], made["depth"])
        pipeline(scene, envelope=envelope, timbre="concrete")

    def render() -> None:
        voices, _ = footstep_voices(made["tracks"], events=made["events"], timing="events", surface="grass", rate=RATE)
        duration = probe(clip).duration
        made["sound"] = Sound(spatialize(voices, RATE, made["tracks"], duration=duration, depth=made["depth"]), RATE)

    work: dict[str, Callable[[], Any]] = {
        "depth": lambda: made.update(depth=estimate_depth(clip)),
        "tracks": lambda: made.update(tracks=track_video(clip)),
        "events": lambda: made.update(events=detect_events(clip, made["tracks"])),
        "generate": generate,
        "render": render,
        "mux": lambda: mux(clip, made["sound"], output),
    }
    return {name: seconds_of(stage) for name, stage in work.items()}


def make_clip(path: Path, seconds: int = 60, width: int = 1920, height: int = 1080, rate: int = 30) -> None:
    """A 1080p clip of ``seconds``: the bundled clip's frames at that size, to and fro, so that there is someone to track."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "crf": "23", "g": "60"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        count = 0
        while count < seconds * rate:
            for _, image in frames(asset_path(WALKING_CLIP), size=(width, height)):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = count, Fraction(1, rate)
                container.mux(stream.encode(frame))
                count += 1
                if count == seconds * rate:
                    break
        container.mux(stream.encode(None))


def repeat_clip(source: Path, path: Path, times: int) -> None:
    """The same packets ``times`` over."""
    with av.open(str(path), "w") as output:
        shift, stream = 0, None
        for _ in range(times):
            with av.open(str(source)) as container:
                template = container.streams.video[0]
                stream = stream or output.add_stream_from_template(template)
                length = 0
                for packet in container.demux(template):
                    if packet.dts is None or packet.pts is None:
                        continue
                    length = max(length, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = stream
                    output.mux(packet)
                shift += length


def analyse(clip: str) -> dict[str, Any]:
    """Decode, estimate depth, track and find events, and how much memory that took."""
    depth, tracks = estimate_depth(clip), track_video(clip)
    events = detect_events(clip, tracks)
    return {"mib": peak_mib(), "maps": len(depth.times), "tracks": len(tracks), "events": len(events)}


def mux_against_ffmpeg(clip: Path, folder: Path) -> float | None:
    """Our muxer's time over ffmpeg's, both copying the picture and encoding the same sound to AAC; None without ffmpeg."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        return None
    noise = np.random.default_rng(0).standard_normal((2, round(probe(clip).duration * RATE))).astype(np.float32) * 0.1
    sound = Sound(noise, RATE)
    wave = folder / "sound.wav"
    write_sound(wave, sound)
    command = [ffmpeg, "-y", "-loglevel", "error", "-i", str(clip), "-i", str(wave), "-map", "0:v", "-map", "1:a"]
    command += ["-c:v", "copy", "-c:a", "aac", "-b:a", "192k", "-movflags", "+faststart", str(folder / "theirs.mp4")]
    ours, theirs = [], []
    for _ in range(REPEATS):
        ours.append(seconds_of(lambda: mux(clip, sound, folder / "ours.mp4", codec="aac")))
        theirs.append(seconds_of(lambda: subprocess.run(command, check=True)))
    return round(statistics.median(ours) / statistics.median(theirs), 3)
