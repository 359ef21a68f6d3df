"""Reading walking rooms: clips with their truth, and with our own mix of the walkers' dry voices, placed by the law that the
engine's mix obeys, at full precision, and the room's answer added.

The law was measured on single sounds at known places (docs/rooms.md) and is that of OpenAL Soft 1.19: inverse distance beyond
two metres, and a second-order stereo panner whose angles are widened by half. What the engine does besides is left out: its
Doppler shift (physical, a per cent at most).
"""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import av
import numpy as np
from scipy.ndimage import uniform_filter1d

from stereosync_core.errors import StereoSyncError, explained
from stereosync_core.media.mux import mux
from stereosync_core.media.sound import Sound
from stereosync_core.metrics.truth import ObjectSteps, Truth
from stereosync_core.rendering.gait import Steps
from stereosync_core.scene import DepthSequence, Track, Tracks
from stereosync_core.scene_events import FEET, Event, Events

from .acoustics import ENGINE_GAIN, ENGINE_LATENCY, ENGINE_TREBLE, Acoustics, in_room, nearness, panned
from .camera import bearing, screen_azimuth
from .record import DEPTH_EVERY, FRAME_EVERY, HEIGHT, WIDTH
from .shards import LIBRARY, MANIFEST, decode_sound, decode_video, read_manifest
from .takes import Take, samples_in
from .voices import RATE, TICS_PER_SECOND, Voice

#: Metres that one step of the stored depth stands for.
DEPTH_STEP = 0.2265
_NEAREST_DEPTH = 0.5  # metres; keeps the inverse finite
_STANDS = 1e-3  # metres a tic that are none
_VISIBILITY_RAMP = 2  # tics in which a loop comes and goes with its picture


@dataclass(frozen=True)
class RoomClip:
    """One clip. T tics of 1/35 s, W walkers, N = T * 1260 samples at 44.1 kHz.

    :param times: seconds ``[T]`` that boxes, places and visibility stand for.
    :param tracks: true boxes at all tics at which a walker is seen; track ``w + 1`` is walker w, who may have no track at all.
    :param sound: float32 ``[2, N]``, the engine's own mix with what the room adds.
    :param steps: of each walker, on screen or not; of another source than a walker its events, none of a loop.
    :param azimuth: ``[W, T]`` in -1..1 of the frame; held at the edge beyond which a walker is.
    :param bearing: radians ``[W, T]`` to the right of the camera's axis, -pi..pi; ``distance`` metres, ``visible`` bool
        likewise.
    :param metres: float32 ``[D, 60, 80]``, the depth maps' distances along the camera's axis; 28.8 = that far or farther.
    :param camera: ``[T, 3]``: place in metres, and the angle in radians that it looks at; ``places`` of the walkers ``[W, T,
        2]``.
    :param camera_kind: ``fixed``, ``pan`` or ``follow``.
    :param facts: everything else of the plan: seeds, shoes, weights, textures.
    """

    number: int
    times: np.ndarray
    tracks: Tracks
    sound: np.ndarray
    steps: tuple[Steps, ...]
    azimuth: np.ndarray
    bearing: np.ndarray
    distance: np.ndarray
    visible: np.ndarray
    metres: np.ndarray
    camera: np.ndarray
    places: np.ndarray
    surface: str
    camera_kind: str
    facts: dict[str, Any]
    _video: bytes = field(repr=False)
    _library: Path = field(repr=False)

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.times) / TICS_PER_SECOND

    @property
    def name(self) -> str:
        """Of the clip among all splits."""
        return f"{self.facts['split']}-{self.number:06d}"

    def truth(self) -> Truth:
        """Boxes and steps as the metrics want them."""
        objects, samples = [], samples_in(self._library)
        for number, (own, seen, row) in enumerate(zip(self.steps, self.steps_visible, self.facts["walkers"], strict=True)):
            tics = np.clip(np.rint(own.times * TICS_PER_SECOND).astype(int), 0, self.distance.shape[1] - 1)
            lasts = _voice(row).lasts(samples)
            objects.append(ObjectSteps(number + 1, own.times, seen, self.distance[number, tics], lasts))
        return Truth(self.tracks, tuple(objects))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Sound seed of each walker."""
        return tuple(row["sound_seed"] for row in self.facts["walkers"])

    @property
    def labels(self) -> tuple[str, ...]:
        """What each walker is: ``person``, or another source's class."""
        return tuple(row["label"] for row in self.facts["walkers"])

    @property
    def categories(self) -> tuple[str, ...]:
        """What each walker sounds like: ``footstep``, or another source's class in the library of sounds."""
        return tuple(row["category"] for row in self.facts["walkers"])

    @property
    def loops(self) -> tuple[bool, ...]:
        """Whether each walker is a source that sounds all the time, and so has no steps."""
        return tuple(row["loop"] for row in self.facts["walkers"])

    def events(self, only_visible: bool = False) -> Events:
        """All that begins to sound: steps, landings, impacts and other onsets, with the track of whom the picture shows then;
        ``only_visible`` leaves out the others."""
        found = []
        for number, (own, seen, row) in enumerate(zip(self.steps, self.steps_visible, self.facts["walkers"], strict=True)):
            for time, strength, foot, shown in zip(own.times, own.strengths, own.feet, seen, strict=True):
                if shown or not only_visible:
                    track, side = number + 1 if shown else None, FEET[foot] if row["kind"] == "step" else None
                    found.append(Event(float(time), row["kind"], track, side, float(strength)))
        return Events(tuple(found), self.duration)

    @property
    def steps_visible(self) -> tuple[np.ndarray, ...]:
        """For each walker, bool ``[N]``: at which steps they are seen."""
        tics = (np.rint(own.times * TICS_PER_SECOND).astype(int) for own in self.steps)
        return tuple(seen[own] for seen, own in zip(self.visible, tics, strict=True))

    @property
    def all_visible(self) -> bool:
        """Whether walkers are seen at all of their steps, and loops always: nothing sounds that is not in the picture."""
        moments = zip(self.steps_visible, self.visible, self.loops, strict=True)
        return all(bool(shown.all() if loop else seen.all()) for seen, shown, loop in moments)

    @property
    def depth(self) -> DepthSequence:
        """Five maps a second of 60 x 80, 1 = near: inverse distance between the clip's 1st and 99th percentile, as FastDepth
        gives it."""
        inverse = 1.0 / np.maximum(self.metres, _NEAREST_DEPTH)
        low, high = np.quantile(inverse, [0.01, 0.99])
        maps = np.clip((inverse - low) / max(float(high - low), 1e-6), 0.0, 1.0)
        return DepthSequence(maps, np.arange(len(maps)) * DEPTH_EVERY / TICS_PER_SECOND)

    def frames(self) -> tuple[np.ndarray, np.ndarray]:
        """Times in seconds ``[F]`` and frames uint8 ``[F, 240, 320, 3]``, 17.5 a second."""
        frames = decode_video(self._video)
        return np.arange(len(frames)) * FRAME_EVERY / TICS_PER_SECOND, frames

    def voices(self, only_visible: bool = False) -> np.ndarray:
        """Each walker's dry voice float32 ``[W, N]``, made anew: what the engine was given. ``only_visible`` leaves out the
        steps at which the walker is not seen, and a loop while it is not."""
        voices, samples = [], samples_in(self._library)
        for own, seen, shown, row in zip(self.steps, self.steps_visible, self.visible, self.facts["walkers"], strict=True):
            # silenced rather than dropped: a step's sound depends on its number
            strengths = own.strengths * seen if only_visible else own.strengths
            tics = np.rint(own.times * TICS_PER_SECOND).astype(int)
            voice = _voice(row).render(tics, strengths, self.duration, samples)
            if only_visible and row["loop"]:
                there = uniform_filter1d(shown.astype(np.float64), 2 * _VISIBILITY_RAMP + 1, mode="nearest")
                voice = voice * np.interp(np.arange(len(voice)) / RATE, self.times, there).astype(np.float32)
            voices.append(voice)
        return np.stack(voices)

    @property
    def acoustics(self) -> Acoustics:
        """What the room adds."""
        facts: dict[str, Any] = dict(self.facts["acoustics"])
        facts["reflections"] = tuple(map(tuple, facts["reflections"]))
        return Acoustics(**facts)

    def dry_mix(self, only_visible: bool = False) -> np.ndarray:
        """The mix by our own renderer without what the room adds, float32 ``[2, N]``, full precision."""
        return self._dry(self.voices(only_visible))

    def _dry(self, voices: np.ndarray) -> np.ndarray:
        speeds = np.linalg.norm(np.diff(self.places, axis=1, append=self.places[:, -1:]), axis=-1)
        gains = np.stack([engine_gains(self.camera, place) for place in self.places])
        return place_voices(voices, gains, speeds > _STANDS)

    def full_mix(self, only_visible: bool = False) -> np.ndarray:
        """The mix by our own renderer, float32 ``[2, N]``: places, levels and room as in :attr:`sound`, at full precision;
        ``only_visible`` leaves out the steps of whom the picture does not show."""
        voices = self.voices(only_visible)
        return in_room(self._dry(voices), voices, self.distance, self.acoustics, self.facts["peak"])

    def as_video(self, path: Path, sound: np.ndarray | None = None) -> Path:
        """Write the clip as a video (.mp4, .mkv) with the engine's mix, or with ``sound`` (float ``[2, M]`` at 44.1 kHz)."""
        mux(io.BytesIO(self._video), Sound(self.sound if sound is None else sound, RATE), path)
        return Path(path)


class RoomSet:
    """A folder of rooms of one split, with its manifest: ``RoomSet(folder)[5]``, ``for clip in RoomSet(folder)``. Clips are
    read one by one. Raises StereoSyncError when there are no rooms."""

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        manifest = read_manifest(self.folder)
        if manifest is None:
            raise StereoSyncError(
                f"Rooms: '{self.folder}' has no {MANIFEST}; give the folder of a split, or make rooms with "
                "python -m research make-rooms."
            )
        self.manifest = manifest
        self._shards = [(row["file"], row["clips"]) for row in manifest["shards"]]
        self._library = self.folder / LIBRARY
        self._starts = np.cumsum([0, *(count for _, count in self._shards)])
        if not len(self):
            raise StereoSyncError(f"Rooms: '{self.folder}' has no clips yet; let make-rooms finish a shard.")

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> RoomClip:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        shard = int(np.searchsorted(self._starts, index, side="right")) - 1
        with self._opened(shard) as archive:
            return _read(archive, _folders(archive)[index - int(self._starts[shard])], self._library)

    def __iter__(self) -> Iterator[RoomClip]:
        for shard in range(len(self._shards)):
            with self._opened(shard) as archive:
                for folder in _folders(archive):
                    yield _read(archive, folder, self._library)

    def _opened(self, shard: int) -> zipfile.ZipFile:
        path = self.folder / self._shards[shard][0]
        message = f"Rooms: '{path}' cannot be read ({{error}}); run make-rooms again, it mends the set."
        with explained(message, OSError, zipfile.BadZipFile):
            return zipfile.ZipFile(path)


def _folders(archive: zipfile.ZipFile) -> list[str]:
    return sorted({name.split("/")[0] for name in archive.namelist()})


def _read(archive: zipfile.ZipFile, folder: str, library: Path) -> RoomClip:
    message = f"Rooms: clip {folder} in '{archive.filename}' is damaged ({{error}}); run make-rooms again, it mends the set."
    with explained(message, KeyError, ValueError, zipfile.BadZipFile, av.error.FFmpegError):
        facts = json.loads(archive.read(f"{folder}/clip.json"))
        video, sound = archive.read(f"{folder}/video.mp4"), decode_sound(archive.read(f"{folder}/sound.flac"))
        with np.load(io.BytesIO(archive.read(f"{folder}/arrays.npz"))) as arrays:
            return _clip(facts, arrays, sound, video, library)


def _voice(row: dict[str, Any]) -> Voice:
    facts = {one.name: row[one.name] for one in fields(Voice)}
    facts["takes"] = tuple(Take(**take | {"middle": tuple(take["middle"])}) for take in row["takes"])
    return Voice(**facts)


def _steps(row: dict[str, Any]) -> Steps:
    tics = np.array(row["step_tics"])
    return Steps(tics / TICS_PER_SECOND, np.array(row["strengths"]), np.arange(len(tics)) % 2)


def _clip(facts: dict[str, Any], arrays: Mapping[str, np.ndarray], sound: np.ndarray, video: bytes, library: Path) -> RoomClip:
    boxes, places, camera = arrays["boxes"], arrays["places"].astype(np.float64), arrays["camera"].astype(np.float64)
    times = np.arange(facts["tics"]) / TICS_PER_SECOND
    visible = np.isfinite(boxes[..., 0])
    tracks = tuple(
        Track(w + 1, row["label"], times[seen], own[seen].astype(np.float64))
        for w, (own, seen, row) in enumerate(zip(boxes, visible, facts["walkers"], strict=True))
        if seen.any()
    )
    sides = np.stack([bearing(camera[:, :2], camera[:, 2], place) for place in places])
    return RoomClip(
        number=facts["number"],
        times=times,
        # a walker who is hidden for longer than a tenth of a second is not in the picture
        tracks=Tracks(tracks, duration=len(times) / TICS_PER_SECOND, max_gap=0.1, aspect=WIDTH / HEIGHT),
        sound=sound.astype(np.float32) / 32768,
        steps=tuple(_steps(row) for row in facts["walkers"]),
        azimuth=screen_azimuth(sides),
        bearing=sides,
        distance=np.linalg.norm(places - camera[:, :2], axis=-1),
        visible=visible,
        metres=arrays["depth"].astype(np.float32) * np.float32(DEPTH_STEP),
        camera=camera,
        places=places,
        surface=facts["room"]["surface"],
        camera_kind=facts["camera"],
        facts=facts,
        _video=video,
        _library=library,
    )


def engine_gains(camera: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Left and right gain ``[2, T]`` of a sound at ``place [T, 2]`` in metres, for a :attr:`RoomClip.camera`."""
    side = bearing(camera[:, :2], camera[:, 2], place)
    return nearness(np.linalg.norm(place - camera[:, :2], axis=1)) * panned(side)


def place_voices(voices: np.ndarray, gains: np.ndarray, moves: np.ndarray | None = None) -> np.ndarray:
    """Stereo float32 ``[2, N]`` of voices ``[W, N]`` at 44.1 kHz under gains ``[W, 2, T]``, one a tic and straight between.
    ``moves`` bool ``[W, T]``: who moves loses treble, as in the engine."""
    tics = (np.arange(voices.shape[-1]) - ENGINE_LATENCY) * (TICS_PER_SECOND / RATE)
    clock = np.arange(gains.shape[-1])
    mix = np.zeros((2, voices.shape[-1]))
    for n, (voice, sides) in enumerate(zip(voices, gains, strict=True)):
        if moves is not None and moves[n].any():
            voice = voice + np.interp(tics, clock, moves[n]) * (np.convolve(voice, ENGINE_TREBLE, "same") - voice)
        late = np.concatenate([np.zeros(ENGINE_LATENCY), voice[:-ENGINE_LATENCY]])
        for channel in range(2):
            mix[channel] += late * np.interp(tics, clock, sides[channel])
    return (ENGINE_GAIN * mix).astype(np.float32)
