"""A long clip: many tracks' footsteps, and a sound of one's own, rendered and put onto the clip.

Keys: ``footsteps`` - by minutes of the clip, ``render`` with 24 tracks that walk all along: seconds of computing, the same over
the clip's length times the tracks, and the most memory of the process's own in MiB (what lies in temporary files is the
system's to keep or to write out); ``growth`` - seconds over those of the shortest clip; ``growth_over_length`` - 1 is linear;
``two_hours`` - 24 tracks that take 200 steps each in two hours, and ``stereo`` - one stereo sound along one track for 30
minutes, likewise.
"""

import tempfile
import threading
import time
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from stereosync_core.__main__ import main
from stereosync_core.events.files import save_events
from stereosync_core.files import save_tracks
from stereosync_core.media.sound import Sound, write_sound
from stereosync_core.media.video import probe
from stereosync_core.scene import Track, Tracks
from stereosync_core.scene_events import Event, Events

from .process import run_child

MINUTES, QUICK = (5, 10, 20), (0.25, 0.5, 1)
VOICES, RATE, STEPS = 24, 48000, 200


def measure(quick: bool = False) -> dict[str, Any]:
    """Run all of it: half an hour of one core. ``quick``: clips of up to a minute, a minute or two."""
    lengths = QUICK if quick else MINUTES
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        footsteps = {minutes: run_child(footsteps_on, folder, minutes, threads=1) for minutes in lengths}
        long = {} if quick else {"two_hours": run_child(two_hours, folder, threads=1)}
        stereo = run_child(sound_on, folder, QUICK[-1] if quick else 30, threads=1)
    first = lengths[0]
    growth = {minutes: round(one["seconds"] / footsteps[first]["seconds"], 2) for minutes, one in footsteps.items()}
    linear = {minutes: round(value / (minutes / first), 2) for minutes, value in growth.items()}
    return {"footsteps": footsteps, "growth": growth, "growth_over_length": linear, **long, "stereo": stereo}


def footsteps_on(folder: str, minutes: float) -> dict[str, float]:
    """``render`` with :data:`VOICES` tracks."""
    clip, tracks = _clip(Path(folder), minutes), _tracks(Path(folder), minutes, VOICES)
    return _rendered(clip, tracks, VOICES, "--timing", "cadence")


def two_hours(folder: str) -> dict[str, float]:
    """``render`` with as many tracks over two hours, each with few steps."""
    clip, tracks = _clip(Path(folder), 120), _tracks(Path(folder), 120, VOICES)
    random = np.random.default_rng(0)
    steps = [Event(moment, "step", number) for number in range(VOICES) for moment in random.uniform(0, 7200, STEPS).round(3)]
    events = save_events(Path(folder) / "steps.csv", Events(tuple(steps), 7200.0))
    return _rendered(clip, tracks, VOICES, "--events", str(events))


def sound_on(folder: str, minutes: float) -> dict[str, float]:
    """``render`` with a stereo sound along one track."""
    noise = np.random.default_rng(0).standard_normal((2, round(60 * minutes * RATE)), np.float32)
    sound = write_sound(Path(folder) / "sound.flac", Sound(0.1 * noise, RATE))
    clip, tracks = _clip(Path(folder), minutes), _tracks(Path(folder), minutes, 1)
    return _rendered(clip, tracks, 1, "--sound", str(sound))


def _rendered(clip: Path, tracks: Path, voices: int, *options: str) -> dict[str, float]:
    output = clip.with_suffix(".mkv")
    began = time.process_time()
    with Watched() as memory:
        command = ["render", str(clip), "--tracks", str(tracks), "--no-depth", "-o", str(output), "--quiet", *options]
        if main(command) != 0:
            raise RuntimeError(f"render {clip.name} failed")
    seconds = time.process_time() - began
    share = seconds / probe(output).duration / voices
    return {"seconds": round(seconds, 1), "over_voices": round(share, 4), "own_mib": memory.most}


class Watched:
    """The most private memory of this process in MiB, looked at ten times a second (Linux; else 0)."""

    most = 0.0

    def __enter__(self) -> "Watched":
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        status = Path("/proc/self/status")
        while not self._ended.wait(0.1):
            with suppress(OSError, StopIteration):
                line = next(line for line in status.read_text().splitlines() if line.startswith("RssAnon"))
                self.most = max(self.most, round(int(line.split()[1]) / 2**10, 1))

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def _clip(folder: Path, minutes: float) -> Path:
    """A grey picture a second."""
    path = folder / f"{minutes:g}.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv420p"
        picture = np.full((36, 64, 3), 128, np.uint8)
        for number in range(round(60 * minutes)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _tracks(folder: Path, minutes: float, count: int) -> Path:
    """People who walk to and fro, ten boxes a second."""
    times = np.arange(0.0, 60 * minutes, 0.1)

    def walker(number: int) -> Track:
        x = 0.5 + 0.4 * np.sin(times / (3 + number) + number)
        height = 0.2 + 0.1 * np.sin(times / 17 + number)
        return Track(number, "person", times, np.stack([x - 0.05, 0.5 - height, x + 0.05, 0.5 + height], 1))

    tracks = Tracks(tuple(map(walker, range(count))), 60.0 * minutes)
    return save_tracks(folder / f"{minutes:g}_{count}.json", tracks)
