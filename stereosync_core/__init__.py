"""StereoSync: sound for video that fits in time and in space. The library; it knows nothing of ComfyUI.

The names below are the public ones. Each is imported at its first use, so that ``import stereosync_core`` is quick and needs
no torch.

    >>> from stereosync_core import SpatializeSettings, mux, read_sound, spatialize, track_video
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .depth.estimators import estimate_depth as estimate_depth
    from .errors import StereoSyncError as StereoSyncError
    from .events.detect import detect_events as detect_events
    from .events.envelope import envelope_from_events as envelope_from_events
    from .events.files import load_events as load_events
    from .events.files import save_events as save_events
    from .files import load_depth as load_depth
    from .files import load_tracks as load_tracks
    from .files import save_depth as save_depth
    from .files import save_tracks as save_tracks
    from .media.mux import mux as mux
    from .media.sound import Sound as Sound
    from .media.sound import read_sound as read_sound
    from .media.sound import to_stereo as to_stereo
    from .media.sound import write_sound as write_sound
    from .media.trim import trim as trim
    from .media.video import frames as frames
    from .media.video import probe as probe
    from .model.conditioning.spatial import SpatialConditioning as SpatialConditioning
    from .model.conditioning.video_envelope import envelope_of_clip as envelope_of_clip
    from .model.pipeline import StereoSyncPipeline as StereoSyncPipeline
    from .preview.plot import alignment_report as alignment_report
    from .rendering.spatialize import SpatializeSettings as SpatializeSettings
    from .rendering.spatialize import spatialize as spatialize
    from .rendering.voices import footstep_voices as footstep_voices
    from .scene import DepthSequence as DepthSequence
    from .scene import Envelope as Envelope
    from .scene import Track as Track
    from .scene import Tracks as Tracks
    from .scene_events import Event as Event
    from .scene_events import Events as Events
    from .tracking.registry import track_video as track_video

__version__ = "0.1.0"

#: Module of each public name.
_PUBLIC = {
    "DepthSequence": "scene",
    "Envelope": "scene",
    "Event": "scene_events",
    "Events": "scene_events",
    "Sound": "media.sound",
    "SpatialConditioning": "model.conditioning.spatial",
    "SpatializeSettings": "rendering.spatialize",
    "StereoSyncError": "errors",
    "StereoSyncPipeline": "model.pipeline",
    "Track": "scene",
    "Tracks": "scene",
    "alignment_report": "preview.plot",
    "detect_events": "events.detect",
    "envelope_from_events": "events.envelope",
    "envelope_of_clip": "model.conditioning.video_envelope",
    "estimate_depth": "depth.estimators",
    "footstep_voices": "rendering.voices",
    "frames": "media.video",
    "load_depth": "files",
    "load_events": "events.files",
    "load_tracks": "files",
    "mux": "media.mux",
    "probe": "media.video",
    "read_sound": "media.sound",
    "save_depth": "files",
    "save_events": "events.files",
    "save_tracks": "files",
    "spatialize": "rendering.spatialize",
    "to_stereo": "media.sound",
    "track_video": "tracking.registry",
    "trim": "media.trim",
    "write_sound": "media.sound",
}

__all__ = [*_PUBLIC, "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
