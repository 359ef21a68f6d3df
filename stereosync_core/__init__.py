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
    from .events.files import load_events as load_events
    from .events.files import save_events as save_events
    from .files import load_depth as load_depth
    from .files import load_tracks as load_tracks
    from .files import save_depth as save_depth
    from .files import save_tracks as save_tracks
    from .media.camera import camera_motion as camera_motion
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
    from .rendering.event_envelope import envelope_from_events as envelope_from_events
    from .rendering.one_shots import OneShotSettings as OneShotSettings
    from .rendering.one_shots import sound_voices as sound_voices
    from .rendering.spatialize import SpatializeSettings as SpatializeSettings
    from .rendering.spatialize import spatialize as spatialize
    from .rendering.spatialize import spatialize_stems as spatialize_stems
    from .rendering.surround import spatialize_surround as spatialize_surround
    from .rendering.voices import footstep_voices as footstep_voices
    from .scene import DepthSequence as DepthSequence
    from .scene import Envelope as Envelope
    from .scene import Track as Track
    from .scene import Tracks as Tracks
    from .scene_camera import CameraMotion as CameraMotion
    from .scene_edits import edit_scene as edit_scene
    from .scene_events import Event as Event
    from .scene_events import Events as Events
    from .sessions.adm import save_adm as save_adm
    from .sessions.folder import save_session as save_session
    from .sounds.folder import folder_library as folder_library
    from .sounds.library import bundled_library as bundled_library
    from .sounds.selection import SoundSelection as SoundSelection
    from .tracking.registry import track_video as track_video

__version__ = "0.1.0"

#: Public names of each module.
_MODULES = {
    "depth.estimators": "estimate_depth",
    "errors": "StereoSyncError",
    "events.detect": "detect_events",
    "rendering.event_envelope": "envelope_from_events",
    "events.files": "load_events save_events",
    "files": "load_depth load_tracks save_depth save_tracks",
    "media.camera": "camera_motion",
    "media.mux": "mux",
    "media.sound": "Sound read_sound to_stereo write_sound",
    "media.trim": "trim",
    "media.video": "frames probe",
    "model.conditioning.spatial": "SpatialConditioning",
    "model.conditioning.video_envelope": "envelope_of_clip",
    "model.pipeline": "StereoSyncPipeline",
    "preview.plot": "alignment_report",
    "rendering.one_shots": "OneShotSettings sound_voices",
    "rendering.spatialize": "SpatializeSettings spatialize spatialize_stems",
    "rendering.surround": "spatialize_surround",
    "rendering.voices": "footstep_voices",
    "scene": "DepthSequence Envelope Track Tracks",
    "scene_camera": "CameraMotion",
    "scene_edits": "edit_scene",
    "scene_events": "Event Events",
    "sessions.adm": "save_adm",
    "sessions.folder": "save_session",
    "sounds.folder": "folder_library",
    "sounds.library": "bundled_library",
    "sounds.selection": "SoundSelection",
    "tracking.registry": "track_video",
}
_PUBLIC = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = [*_PUBLIC, "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
