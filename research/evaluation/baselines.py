"""Systems without a model: the recordings, what is made of them, and the pack's renderer. Their order is known beforehand."""

import zlib
from collections.abc import Callable

import numpy as np

from stereosync_core.metrics.clips import RATE
from stereosync_core.rendering.spatialize import SpatializeSettings, spatialize

from .systems import EvaluationClip, Options, System, recording_of

LATE = 0.2  # seconds


def _without_options(system: System) -> Callable[[Options], System]:
    return lambda _: system


@_without_options
def recordings(clip: EvaluationClip) -> np.ndarray:
    """The sound that was recorded with the picture."""
    return recording_of(clip)


@_without_options
def centre(clip: EvaluationClip) -> np.ndarray:
    """The recordings' mono mix, equally loud in both channels; the power is the recordings'."""
    sound = recording_of(clip)
    mix = sound.mean(0)
    power, kept = float(np.square(sound).sum()), float(2 * np.square(mix).sum())
    return np.tile(mix * np.float32(np.sqrt(power / kept) if kept > 0 else 1.0), (2, 1))


@_without_options
def mirrored(clip: EvaluationClip) -> np.ndarray:
    """The recordings with left and right exchanged."""
    return recording_of(clip)[::-1].copy()


@_without_options
def shifted(clip: EvaluationClip) -> np.ndarray:
    """The recordings, 200 ms late."""
    sound = recording_of(clip)
    return np.pad(sound, [(0, 0), (round(LATE * RATE), 0)])[:, : sound.shape[1]]


def noise(options: Options) -> System:
    """White noise in each channel for itself, as loud as the recording."""

    def system(clip: EvaluationClip) -> np.ndarray:
        sound = recording_of(clip)
        # from the clip's name, so that any part of a set gives the same noise
        generator = np.random.default_rng([options.seed, zlib.crc32(clip.name.encode())])
        level = np.sqrt(np.mean(np.square(sound, dtype=np.float64)))
        return (level * generator.standard_normal(sound.shape)).astype(np.float32)

    return system


@_without_options
def renderer(clip: EvaluationClip) -> np.ndarray:
    """The object renderer: each walker's dry steps, while seen, along their true boxes. Where the dry voices are not known
    (any set but rooms), the recording's mono mix along the most prominent track."""
    voices = getattr(clip, "voices", None)
    if voices is None:
        mix = recording_of(clip).mean(0)[None, None]
        return spatialize(mix, RATE, clip.tracks, SpatializeSettings(room=0.0), duration=clip.duration, depth=clip.depth)
    # A walker who is never seen has no track: voices go by the tracks' ids.
    chosen = [track.id - 1 for track in clip.tracks]
    if not chosen:
        return np.zeros((2, round(clip.duration * RATE)), np.float32)
    settings, dry = SpatializeSettings(distance_from="boxes", room=0.0), voices(only_visible=True)[chosen][:, None]
    return spatialize(dry, RATE, clip.tracks, settings, duration=clip.duration, depth=clip.depth)
