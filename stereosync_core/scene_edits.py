"""Edits of a scene: what was found in a clip, corrected by hand; a small JSON document on top of what was found.

``{"version": 1, "events": [...], "tracks": [...], "envelope": [[s, level], ...]}``, all but the version optional. An event that
was found and is changed is ``{"found": {"time", "kind", "track"}, "time": s, "kind", "track", "foot", "strength"}`` with the
fields that change, a deleted one ``{"found": {...}, "deleted": true}``; a new one has no ``found``. A track is ``{"track": id,
"azimuth": [[s, -1..1], ...], "distance": [[s, relative], ...]}`` with the paths that change; distance 1 is the clip's median.
Paths and envelope go straight from point to point and are held before the first and after the last.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .errors import StereoSyncError
from .rendering.event_envelope import envelope_from_events
from .scene import Envelope, Tracks
from .scene_events import Event, Events, check_events_fit

#: Seconds between an edit's event and one that is found again, of the same kind and track, up to which they are the same.
TOLERANCE = 0.15
_NEW = ("time", "kind", "track", "foot", "strength")
_REMEDY = "reset the edits, or repair them as the help page of Edit Scene describes"
#: Lowest and highest value of a point of each curve.
_RANGES = {"azimuth": (-1.0, 1.0), "distance": (0.05, 20.0), "envelope": (0.0, 1.0)}


@dataclass(frozen=True)
class EditedScene:
    """A scene with its edits.

    :param unshaped: the envelope before its own edit.
    :param lost: a line for each edit that no longer finds what it was made on, and was left out.
    """

    tracks: Tracks
    events: Events
    envelope: Envelope
    unshaped: Envelope
    lost: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Edits:
    events: tuple[dict[str, Any], ...] = ()
    tracks: tuple[dict[str, Any], ...] = ()
    envelope: np.ndarray | None = None  # [N, 2] seconds and levels


def edit_scene(
    edits: str, tracks: Tracks, events: Events | None = None, envelope: Envelope | None = None, *, window: float = 0.024
) -> EditedScene:
    """What was found, with the edits of a document on top of it.

    :param edits: see the module; an empty text edits nothing.
    :param envelope: the loudness to edit; without one, that of the edited events.
    :param window: seconds of its root mean square, where it is made of events.
    :raises StereoSyncError: where the document is not of the form, or events are of another clip.

    >>> edited = edit_scene('{"version": 1, "events": [{"time": 1.5, "kind": "impact"}]}', tracks, events)
    """
    wanted = _parsed(edits)
    found = events or Events((), tracks.duration)
    check_events_fit(found, tracks.duration)
    moved, lost = _edited_tracks(tracks, wanted.tracks)
    changed, missed = _edited_events(found, wanted.events)
    if envelope is None:
        envelope = envelope_from_events(changed, moved, window=window)
    elif envelope.events is not None:
        if changed.events != found.events:
            missed.append(
                "The connected envelope was made from events before they were edited; disconnect it, and it is made from the "
                "edited ones."
            )
        envelope = replace(envelope, events=changed)
    return EditedScene(moved, changed, _edited_envelope(envelope, wanted.envelope), envelope, (*lost, *missed))


def check_edits(text: str) -> None:
    """Raise what :func:`edit_scene` would for the document, whatever the scene."""
    _parsed(text)


def _edited_tracks(tracks: Tracks, edits: tuple[dict[str, Any], ...]) -> tuple[Tracks, list[str]]:
    """Boxes are moved sideways to the edited azimuth and keep their size; the distance of an edited track is its own from here
    on, for at the place that a box is moved to depth maps show something else."""
    by_id = {track.id: track for track in tracks}
    lost = []
    for edit in edits:
        track = by_id.get(edit["track"])
        if track is None:
            lost.append(f"Track {edit['track']}: it was not found again, so its edited path is left out.")
            continue
        boxes = track.boxes.copy()
        if "azimuth" in edit:
            shift = (_along(edit["azimuth"], track.times) + 1 - boxes[:, 0] - boxes[:, 2]) / 2
            boxes[:, [0, 2]] += shift[:, None]
        distances = _along(edit["distance"], track.times) if "distance" in edit else tracks.distance(track, track.times)
        by_id[track.id] = replace(track, boxes=np.clip(boxes, -1.0, 2.0), distances=distances)
    return replace(tracks, tracks=tuple(by_id.values())), lost


def _edited_events(found: Events, edits: tuple[dict[str, Any], ...]) -> tuple[Events, list[str]]:
    """An edit belongs to the nearest event of its kind and track; the nearest pairs first, each event once."""
    pairs = sorted(
        (abs(event.time - edit["found"].time), number, place)
        for number, edit in enumerate(edits)
        if "found" in edit
        for place, event in enumerate(found)
        if (event.kind, event.track) == (edit["found"].kind, edit["found"].track)
        and abs(event.time - edit["found"].time) <= TOLERANCE
    )
    place_of: dict[int, int] = {}
    for _, number, place in pairs:
        if number not in place_of and place not in place_of.values():
            place_of[number] = place
    result: list[Event | None] = list(found)
    lost = []
    for number, edit in enumerate(edits):
        new = {name: edit[name] for name in _NEW if name in edit}
        if "found" in edit and number not in place_of:
            gone = edit["found"]
            lost.append(f"Event at {gone.time:.3f} s ({gone.kind}): it was not found again, so its edit is left out.")
        elif new.get("time", 0.0) > found.duration:
            lost.append(f"Event at {new['time']:.3f} s: it lies beyond the end of the clip, so it is left out.")
        elif "found" not in edit:
            result.append(Event(**new))
        else:
            place = place_of[number]
            result[place] = None if edit.get("deleted") else replace(found.events[place], **new)
    return replace(found, events=tuple(event for event in result if event is not None)), lost


def _edited_envelope(envelope: Envelope, points: np.ndarray | None) -> Envelope:
    if points is None:
        return envelope
    times = np.union1d(envelope.times, points[:, 0])
    owners = {track: np.interp(times, envelope.times, shares) for track, shares in envelope.owners.items()}
    return replace(envelope, values=_along(points, times), times=times, owners=owners)


def _along(points: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Values ``[N]`` of a path of points ``[P, 2]`` at ``times``."""
    return np.interp(times, points[:, 0], points[:, 1])


def _parsed(text: str) -> _Edits:
    if not text.strip():
        return _Edits()
    try:
        data = json.loads(text)
        if not isinstance(data, dict) or data.get("version") != 1:
            raise StereoSyncError("they are no JSON object of version 1")
        if unknown := set(data) - {"version", "events", "tracks", "envelope"}:
            raise StereoSyncError(f"there is an unknown entry '{min(unknown)}'")
        events = tuple(_event_edit(row) for row in data.get("events", ()))
        tracks = tuple(_track_edit(row) for row in data.get("tracks", ()))
        envelope = _points("envelope", data["envelope"]) if data.get("envelope") else None
        return _Edits(events, tracks, envelope)
    except StereoSyncError as error:
        raise StereoSyncError(f"Edits: {str(error).rstrip('.')}; {_REMEDY}.") from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise StereoSyncError(f"Edits: they cannot be read ({type(error).__name__} {error}); {_REMEDY}.") from error


def _event_edit(row: dict[str, Any]) -> dict[str, Any]:
    edit: dict[str, Any] = {name: row[name] for name in _NEW if name in row}
    if unknown := set(row) - {*_NEW, "found", "deleted"}:
        raise StereoSyncError(f"an event has an unknown entry '{min(unknown)}'")
    if "found" in row:
        found = row["found"]
        edit |= {"found": Event(float(found["time"]), found["kind"], found.get("track")), "deleted": bool(row.get("deleted"))}
    fields = {name: edit[name] for name in _NEW if name in edit}
    checked = Event(**({"time": edit["found"].time} | fields if "found" in edit else {"time": edit["time"]} | fields))
    return edit | {name: getattr(checked, name) for name in fields}


def _track_edit(row: dict[str, Any]) -> dict[str, Any]:
    if unknown := set(row) - {"track", "azimuth", "distance"}:
        raise StereoSyncError(f"a track has an unknown entry '{min(unknown)}'")
    return {"track": int(row["track"])} | {name: _points(name, row[name]) for name in ("azimuth", "distance") if name in row}


def _points(name: str, values: Any) -> np.ndarray:
    """Points ``[N, 2]`` of a curve, checked."""
    points = np.asarray(values, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise StereoSyncError(f"the {name} is no list of points [seconds, value]")
    low, high = _RANGES[name]
    if not np.isfinite(points).all() or points[:, 1].min() < low or points[:, 1].max() > high:
        raise StereoSyncError(f"the {name} has values outside {low:g}..{high:g}")
    if points[0, 0] < 0 or (np.diff(points[:, 0]) <= 0).any():
        raise StereoSyncError(f"the times of the {name} must rise from 0 on")
    return points
