"""What the scene editor shows of a clip: its scene as numbers, a filmstrip and a small copy that every browser plays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..media.output import replacing
from ..media.source import Source, timeline_of
from ..media.video import frames, probe
from ..scene import Envelope, Tracks
from ..scene_events import Events
from .overlay import overlay_frames, write_preview

#: Pixels of a picture's height, pictures a second, fewest and most pictures in the filmstrip.
_HEIGHT, _RATE, _FEWEST, _MOST = 60, 2.0, 12, 60
_FASTEST, _SIDE = 25.0, 384  # frames a second and pixels of the copy's long side
_LONGEST = 6000  # values of an envelope


def editor_scene(source: Source, tracks: Tracks, events: Events, envelope: Envelope) -> dict[str, Any]:
    """What was found, as JSON takes it: ``duration``, ``frames`` (seconds of each), ``events``, ``tracks`` with a path of
    azimuth and one of distance each, and ``envelope``; paths are lists of ``[seconds, value]``.

    An envelope of more than 6000 values is thinned to its loudest ones.
    """
    times = timeline_of(source).times
    step = -(-len(envelope.times) // _LONGEST)
    blocks = [envelope.values[n : n + step] for n in range(0, len(envelope.times), step)]
    loudest = [n * step + int(block.argmax()) for n, block in enumerate(blocks)]
    return {
        "duration": tracks.duration,
        "frames": np.round(times, 4).tolist(),
        "events": [
            {name: getattr(event, name) for name in ("time", "kind", "track", "foot", "strength", "confidence")}
            for event in events
        ],
        "tracks": [
            {
                "id": track.id,
                "label": track.label,
                "azimuth": _path(track.times, track.azimuth(track.times)),
                "distance": _path(track.times, tracks.distance(track, track.times)),
            }
            for track in tracks
        ],
        "envelope": _path(envelope.times[loudest], envelope.values[loudest]),
    }


def write_filmstrip(source: Source, path: Path) -> int:
    """Write pictures of a clip at even times side by side as a JPEG and return how many they are."""
    info = probe(source)
    count = int(np.clip(info.duration * _RATE, _FEWEST, _MOST))
    width = max(16, round(_HEIGHT * info.width / info.height))
    strip = Image.new("RGB", (width * count, _HEIGHT))
    moments = (np.arange(count) + 0.5) * info.duration / count
    for place, (_, picture) in enumerate(frames(source, times=moments, size=(width, _HEIGHT))):
        strip.paste(Image.fromarray(picture), (place * width, 0))
    with replacing(Path(path)) as temporary:
        strip.save(temporary, "JPEG", quality=80)
    return count


def write_small_copy(source: Source, path: Path, progress: Callable[[float, float], None] | None = None) -> Path:
    """Write a clip's pictures, small, as an H.264 mp4 without sound."""
    rate = min(float(probe(source).average_rate), _FASTEST)
    return write_preview(overlay_frames(source, rate=rate, max_side=_SIDE, progress=progress), path, rate)


def _path(times: np.ndarray, values: np.ndarray) -> list[list[float]]:
    return np.round(np.stack([times, values], axis=1), 4).tolist()
