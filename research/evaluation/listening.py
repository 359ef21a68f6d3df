"""A page of sounds to compare: for ten clips the recording, the generated sound before and now, and the sound by rule."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.signal import spectrogram

from stereosync_core import (
    OneShotSettings,
    SoundSelection,
    SpatialConditioning,
    StereoSyncPipeline,
    bundled_library,
    detect_events,
    estimate_depth,
    sound_voices,
    spatialize,
    track_video,
    write_sound,
)
from stereosync_core.assets import asset_path
from stereosync_core.media.output import replacing
from stereosync_core.media.sound import Sound, fit_length, require_sound, resample
from stereosync_core.rendering.surfaces import SURFACES
from stereosync_core.scene import DepthSequence, Tracks
from stereosync_core.scene_events import Events

from ..rooms.rooms import RoomSet
from .drawn_people import write_clip
from .drawn_pictures import DrawnClip

RATE = 44100
#: Validation rooms by their numbers; and drawn pictures.
ROOMS = (0, 4, 7, 25, 29)
DRAWN = tuple(DrawnClip(*one, 0) for one in (("side", "walk"), ("oblique", "run"), ("front", "clap"), ("rear", "stairs")))
WALKING = "stereosync_walking.mp4"
#: Words for a drawn clip's view, and for what a room's camera does.
VIEWS = {"side": "from the side", "oblique": "seen obliquely", "front": "from in front", "rear": "from behind"}
CAMERAS = {"fixed": "stands", "pan": "pans", "follow": "follows"}


@dataclass(frozen=True)
class ListeningClip:
    """A clip with all that its sounds are made from. ``recording`` stereo ``[2, N]`` at 44.1 kHz, or None."""

    name: str
    about: str
    tracks: Tracks
    depth: DepthSequence | None
    events: Events
    timbre: str
    recording: np.ndarray | None = None


def clips(rooms: Path) -> list[ListeningClip]:
    """Five rooms, the bundled walking clip, and four drawn pictures. Raises StereoSyncError where there are no rooms."""
    found = []
    valid = RoomSet(rooms / "valid")
    for number in ROOMS:
        clip = valid[number]
        kinds = ", ".join(f"{label} ({category})" for label, category in zip(clip.labels, clip.categories, strict=True))
        name = clip.surface if "footstep" in clip.categories else clip.categories[0]
        about = f"A room of the validation set: {kinds}, on {clip.surface}; the camera {CAMERAS[clip.camera_kind]}."
        events = clip.events(only_visible=True)
        found.append(ListeningClip(f"room-{number:02d}", about, clip.tracks, clip.depth, events, name, clip.sound))
    found.append(_of_picture("walking", "The bundled walking clip.", asset_path(WALKING), "concrete"))
    for drawn in DRAWN:
        with tempfile.TemporaryDirectory() as folder:
            write_clip(Path(folder), drawn, seconds=5.0)
            (path,) = Path(folder).glob("*.mp4")
            about = f"A drawn person, {drawn.gait}, {VIEWS[drawn.view]}."
            found.append(_of_picture(drawn.name, about, path, "wood"))
    return found


def _of_picture(name: str, about: str, path: Path, timbre: str) -> ListeningClip:
    tracks = track_video(path, classes="person")
    return ListeningClip(name, about, tracks, estimate_depth(path), detect_events(path, tracks), timbre)


def write_generated(found: Sequence[ListeningClip], folder: Path) -> None:
    """``NAME.wav`` of each clip by the bundled model."""
    make, folder = _generated(), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for clip in found:
        write_sound(folder / f"{clip.name}.wav", Sound(make(clip), RATE))


def _generated() -> Callable[[ListeningClip], np.ndarray]:
    pipeline = StereoSyncPipeline.from_pretrained("bundled")

    def make(clip: ListeningClip) -> np.ndarray:
        return pipeline(SpatialConditioning(clip.tracks, clip.depth), events=clip.events, timbre=clip.timbre, seed=1).samples

    return make


def by_rule(clip: ListeningClip) -> np.ndarray:
    """The library's sounds at the events, placed, ``[2, N]``."""
    surface = clip.timbre if clip.timbre in SURFACES else "concrete"
    settings = OneShotSettings(surface=surface, rate=RATE, seed=1)
    voices, _ = sound_voices(clip.events, clip.tracks, SoundSelection(bundled_library()), settings)
    return spatialize(voices, RATE, clip.tracks, duration=clip.tracks.duration, depth=clip.depth)


def write_page(found: Sequence[ListeningClip], page: Path, before: Path | None, before_model: str) -> None:
    """The page, and its sounds and pictures in a folder of its name. Raises StereoSyncError where a sound of ``before`` is
    missing."""
    page, make = Path(page), _generated()
    folder = page.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        "# Sounds to compare",
        "",
        "For ten clips: the recording, if any, the bundled model's sound, and the sound by rule (*Sounds at Events*).",
        "All are made of one scene, at a peak of 0.7. Left channel above, right below; lines are events.",
        "Made by `python -m research listen`.",
    ]
    if before is not None:
        lines += ["", f"*Before* is {before_model}."]
    for clip in found:
        sounds = {} if clip.recording is None else {"recording": clip.recording}
        if before is not None:
            sounds["before"] = resample(require_sound(Path(before) / f"{clip.name}.wav", "--before"), RATE).samples
        sounds |= {"now": make(clip), "by rule": by_rule(clip)}
        count = round(clip.tracks.duration * RATE)
        sounds = {name: fit_length(one, count) * (0.7 / max(float(np.abs(one).max()), 1e-6)) for name, one in sounds.items()}
        links = []
        for name, sound in sounds.items():
            file = f"{clip.name}-{name.replace(' ', '-')}.opus"
            write_sound(folder / file, Sound(sound, RATE))
            links.append(f"[{name}]({folder.name}/{file})")
        draw_spectrograms(sounds, clip.events.times, folder / f"{clip.name}.png")
        picture = f"![Spectrograms]({folder.name}/{clip.name}.png)"
        lines += ["", f"## {clip.name}", "", clip.about, "", " ".join(links), "", picture]
    with replacing(page) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def draw_spectrograms(sounds: dict[str, np.ndarray], events: np.ndarray, path: Path) -> None:
    """Spectrograms of both channels of each sound ``[2, N]``, next to each other."""
    figure = Figure(figsize=(3.2 * len(sounds), 3.4), dpi=70, layout="constrained")
    axes = figure.subplots(2, len(sounds), sharex=True, sharey=True, squeeze=False)
    for column, (name, sound) in zip(axes.T, sounds.items(), strict=True):
        for axis, channel in zip(column, sound, strict=True):
            frequencies, times, power = spectrogram(channel, RATE, nperseg=1024, noverlap=768)
            levels = {"vmin": -110, "vmax": -40, "cmap": "magma", "rasterized": True}
            axis.pcolormesh(times, frequencies / 1000, 10 * np.log10(power + 1e-14), **levels)
            axis.vlines(events, 14, 16, colors="white", linewidth=1)
            axis.set_ylim(0, 16)
        column[0].set_title(name, fontsize=10)
        column[1].set_xlabel("seconds", fontsize=8)
    axes[0, 0].set_ylabel("left, kHz", fontsize=8)
    axes[1, 0].set_ylabel("right, kHz", fontsize=8)
    with replacing(Path(path)) as temporary, open(temporary, "wb") as handle:
        FigureCanvasAgg(figure).print_png(handle)
