"""Systems without a model: the recordings, what is made of them, and the pack's renderer. Their order is known beforehand."""

from __future__ import annotations

import zlib

import numpy as np

from stereosync_core.errors import StereoSyncError
from stereosync_core.metrics.clips import RATE
from stereosync_core.rendering.spatialize import SpatializeSettings, spatialize

from .systems import EvaluationClip, Options, System

LATE = 0.2  # seconds


def _recording(clip: EvaluationClip) -> np.ndarray:
    if clip.sound is None:
        raise StereoSyncError(f"Systems: clip {clip.name} has no sound, but the chosen systems start from its recording.")
    return clip.sound


def recordings(_: Options) -> System:
    """The sound that was recorded with the picture."""
    return _recording


def centre(_: Options) -> System:
    """The recordings' mono mix, equally loud in both channels; the power is the recordings'."""

    def system(clip: EvaluationClip) -> np.ndarray:
        sound = _recording(clip)
        mix = sound.mean(0)
        power, kept = float(np.square(sound).sum()), float(2 * np.square(mix).sum())
        return np.tile(mix * np.float32(np.sqrt(power / kept) if kept > 0 else 1.0), (2, 1))

    return system


def mirrored(_: Options) -> System:
    """The recordings with left and right exchanged."""
    return lambda clip: _recording(clip)[::-1].copy()


def shifted(_: Options) -> System:
    """The recordings, 200 ms late."""

    def system(clip: EvaluationClip) -> np.ndarray:
        sound = _recording(clip)
        late = min(round(LATE * RATE), sound.shape[1])
        return np.pad(sound, [(0, 0), (late, 0)])[:, : sound.shape[1]]

    return system


def noise(options: Options) -> System:
    """White noise in each channel for itself, as loud as the recording."""

    def system(clip: EvaluationClip) -> np.ndarray:
        sound = _recording(clip)
        # from the clip's name, so that any part of a set gives the same noise
        generator = np.random.default_rng([options.seed, zlib.crc32(clip.name.encode())])
        level = np.sqrt(np.mean(np.square(sound, dtype=np.float64)))
        return (level * generator.standard_normal(sound.shape)).astype(np.float32)

    return system


def renderer(_: Options) -> System:
    """The object renderer: each walker's dry steps, while seen, along their true boxes. Where the dry voices are not known
    (any set but rooms), the recording's mono mix along the most prominent track."""

    def system(clip: EvaluationClip) -> np.ndarray:
        voices = getattr(clip, "voices", None)
        if voices is None:
            mix = _recording(clip).mean(0)[None, None]
            return spatialize(mix, RATE, clip.tracks, SpatializeSettings(room=0.0), duration=clip.duration, depth=clip.depth)
        dry = voices(only_visible=True)
        # A walker who is never seen has no track: voices go by the tracks' ids.
        chosen = [track.id - 1 for track in clip.tracks]
        if not chosen:
            return np.zeros((2, round(clip.duration * RATE)), np.float32)
        settings = SpatializeSettings(distance_from="boxes", room=0.0)
        return spatialize(dry[chosen][:, None], RATE, clip.tracks, settings, duration=clip.duration, depth=clip.depth)

    return system
