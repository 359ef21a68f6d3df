"""Clips that are measured, from files: NAME.mp4 with NAME.wav, NAME.tracks.json and NAME.depth.npz beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import StereoSyncError
from ..files import load_depth, load_tracks
from ..media.sound import Sound, read_sound, resample, to_stereo
from ..media.video import frames as decoded
from ..media.video import probe
from ..scene import DepthSequence, Tracks
from .truth import ObjectSteps, Truth

RATE = 44100
CLIP_ENDINGS = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v")
SOUND_ENDINGS = (".wav", ".flac", ".ogg", ".opus", ".m4a", ".mp3")


@dataclass(frozen=True)
class FolderClip:
    """A clip of files.

    :param name: of the files, without ending.
    :param video: path of the clip, or None where there is sound alone.
    :param sound: float32 ``[2, N]`` at 44.1 kHz, as long as the clip; None where there is none.
    :param objects: when each object sounds, where the set has that; else None.
    :param was_mono: the sound had one channel; it is doubled, so that it counts as what it is, panned to the centre.
    """

    name: str
    video: Path | None
    tracks: Tracks
    depth: DepthSequence | None
    sound: np.ndarray | None
    duration: float
    objects: tuple[ObjectSteps, ...] | None = None
    was_mono: bool = False
    onsets_known: bool = True

    def truth(self) -> Truth:
        """Boxes and steps as the metrics want them."""
        return Truth(self.tracks, self.objects, self.onsets_known)

    def frames(self) -> tuple[np.ndarray, np.ndarray]:
        """Times in seconds ``[F]`` and frames uint8 ``[F, H, W, 3]``, 17.5 a second."""
        if self.video is None:
            raise StereoSyncError(f"Clip {self.name}: it has no video file, only sound and boxes.")
        pairs = list(decoded(self.video, rate=17.5))
        return np.array([time for time, _ in pairs]), np.stack([image for _, image in pairs])


def stereo_44100(sound: Sound, duration: float | None = None) -> np.ndarray:
    """float32 ``[2, N]`` at 44.1 kHz; mono is doubled; cut or continued with silence to ``duration`` seconds."""
    samples = to_stereo(resample(sound, RATE).samples)
    if duration is not None:
        count = round(duration * RATE)
        samples = np.pad(samples[:, :count], [(0, 0), (0, max(count - samples.shape[1], 0))])
    return np.asarray(samples, dtype=np.float32)


def find_clips(paths: Sequence[Path]) -> list[Path]:
    """Clips among files and folders, in order of name.

    :raises StereoSyncError: when a path does not exist, or nothing is found.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found += sorted(
                one for one in path.iterdir() if one.suffix.lower() in CLIP_ENDINGS and not one.name.startswith(".")
            )
        elif path.is_file():
            found.append(path)
        else:
            raise StereoSyncError(f"Evaluate: '{path}' does not exist; give clips, or folders of clips.")
    if not found:
        raise StereoSyncError(
            f"Evaluate: no clip in {', '.join(str(path) for path in paths)}; clips end in {', '.join(CLIP_ENDINGS)}."
        )
    names = [path.stem for path in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise StereoSyncError(f"Evaluate: several clips are called {', '.join(twice)}; evaluate their folders one at a time.")
    return found


def sound_file(clip: Path) -> Path | None:
    """The sound file that goes with a clip, NAME.wav and the like; None where there is none."""
    for ending in SOUND_ENDINGS:
        if clip.with_suffix(ending).is_file() and clip.suffix.lower() != ending:
            return clip.with_suffix(ending)
    return None


def open_clip(path: Path, tracks: Tracks | None = None) -> FolderClip:
    """NAME.mp4 with NAME.wav (else its own sound), NAME.tracks.json (else ``tracks``) and NAME.depth.npz where they exist.

    :raises StereoSyncError: names the file that cannot be used.
    """
    info = probe(path)
    separate = sound_file(path)
    sound = read_sound(path if separate is None else separate, align_to_video=separate is None)
    if separate is not None and sound is not None and abs(sound.duration - info.duration) > max(0.25, 0.02 * info.duration):
        raise StereoSyncError(
            f"Evaluate: {separate.name} lasts {sound.duration:.2f} s, but its clip {path.name} {info.duration:.2f} s; "
            "give the sound of the whole clip."
        )
    boxes, maps = path.with_suffix(".tracks.json"), path.with_suffix(".depth.npz")
    if boxes.is_file():
        tracks = load_tracks(boxes, info.duration, info.width / info.height)
    if tracks is None:
        raise StereoSyncError(f"Evaluate: {boxes.name} is missing beside {path.name}; give tracks.")
    return FolderClip(
        name=path.stem,
        video=path,
        tracks=tracks,
        depth=load_depth(maps, info.duration) if maps.is_file() else None,
        sound=None if sound is None else stereo_44100(sound, info.duration),
        duration=info.duration,
        was_mono=sound is not None and sound.channels == 1,
    )
