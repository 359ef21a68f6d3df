"""The pack's own socket types, and native ones that the oldest host does not know yet. Types match by their string."""

from comfy_api.latest import io

Depth = io.Custom("STEREOSYNC_DEPTH")
Tracks = io.Custom("STEREOSYNC_TRACKS")
Camera = io.Custom("STEREOSYNC_CAMERA")
Model = io.Custom("STEREOSYNC_MODEL")
Events = io.Custom("STEREOSYNC_EVENTS")
Sounds = io.Custom("STEREOSYNC_SOUNDS")
Envelope = io.Custom("STEREOSYNC_ENVELOPE")
Timbre = io.Custom("STEREOSYNC_TIMBRE")
Space = io.Custom("STEREOSYNC_SPACE")
DetectorModel = io.Custom("STEREOSYNC_DETECTOR")
BoundingBox = io.Custom("BOUNDING_BOX")
KjBox = io.Custom("BBOX")
Segments = io.Custom("SEGS")
Sam3TrackData = io.Custom("SAM3_TRACK_DATA")
Da3Geometry = io.Custom("DA3_GEOMETRY")
