"""A long clip: many tracks' footsteps, and a sound of one's own, rendered and put onto the clip.

Keys: ``footsteps`` - by minutes of the clip, ``render`` with 24 tracks that walk all along: seconds of computing, the same over
the clip's length times the tracks, and the highest resident memory in MiB, of which 800 are the libraries'; ``growth`` -
seconds over those of the shortest clip; ``growth_over_length`` - 1 is linear; ``two_hours`` - 24 tracks that take 200 steps
each in two hours, and ``stereo`` - one stereo sound along one track for 30 minutes, likewise.
"""

import tempfile
import time
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

from .process import peak_mib, run_child

MINUTES, QUICK = (5, 10, 20), (0.25, 0.5, 1)
VOICES, RATE, STEPS = 24, 48000, 200


def measure(quick: bool = False) -> dict[str, Any]:
    """Run all of it: half an hour of one core. ``quick``: clips of up to a minute, a minute or two."""
    lengths = QUICK if quick else MINUTES
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        footsteps = {minutes: _rendered(folder, minutes, VOICES, "--timing", "cadence") for minutes in lengths}
        long = {} if quick else {"two_hours": two_hours(folder)}
        stereo = sound_on(folder, QUICK[-1] if quick else 30)
    first = lengths[0]
    growth = {minutes: round(one["seconds"] / footsteps[first]["seconds"], 2) for minutes, one in footsteps.items()}
    linear = {minutes: round(value / (minutes / first), 2) for minutes, value in growth.items()}
    return {"footsteps": footsteps, "growth": growth, "growth_over_length": linear, **long, "stereo": stereo}


def two_hours(folder: Path) -> dict[str, float]:
    """``render`` with as many tracks over two hours, each with few steps."""
    random = np.random.default_rng(0)
    steps = [Event(moment, "step", number) for number in range(VOICES) for moment in random.uniform(0, 7200, STEPS).round(3)]
    events = save_events(folder / "steps.csv", Events(tuple(steps), 7200.0))
    return _rendered(folder, 120, VOICES, "--events", str(events))


def sound_on(folder: Path, minutes: float) -> dict[str, float]:
    """``render`` with a stereo sound along one track."""
    noise = np.random.default_rng(0).standard_normal((2, round(60 * minutes * RATE)), np.float32)
    sound = write_sound(folder / "sound.flac", Sound(0.1 * noise, RATE))
    return _rendered(folder, minutes, 1, "--sound", str(sound))


def _rendered(folder: Path, minutes: float, voices: int, *options: str) -> dict[str, float]:
    """``render`` of a clip and tracks in a process of its own."""
    clip, tracks = _clip(folder, minutes), _tracks(folder, minutes, voices)
    command = ["render", str(clip), "--tracks", str(tracks), "--no-depth", "-o", str(clip.with_suffix(".mkv")), "--quiet"]
    return run_child(rendered, [*command, *options], voices, threads=1)


def rendered(command: list[str], voices: int) -> dict[str, float]:
    """In this process: the figures of a command for a clip with so many voices."""
    began = time.process_time()
    if main(command) != 0:
        raise RuntimeError(f"{' '.join(command)} failed")
    seconds = time.process_time() - began
    share = seconds / probe(command[1]).duration / voices
    return {"seconds": round(seconds, 1), "over_voices": round(share, 4), "peak_mib": peak_mib()}


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
