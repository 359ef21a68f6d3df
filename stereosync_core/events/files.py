"""Events on disk, as JSON or CSV by the file's name; written beside their place and moved, so that no half file stays.

JSON: ``{"duration": s, "events": [{"time": s, "kind", "track", "foot", "strength", "confidence"}]}``. CSV: a line of those six
names, then a line an event; commas, semicolons or tabs. Only ``time`` has to be there, everything else may be absent or empty.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import StereoSyncError
from ..files import read_text
from ..media.output import replacing
from ..scene_events import Event, Events, check_events_fit

#: Seconds that no clip lasts.
LONGEST = 1e9
FIELDS = ("time", "kind", "track", "foot", "strength", "confidence")
_REMEDY = "give a file that --save-events wrote, or a CSV with a line of names (time, kind, track, foot, strength, confidence)"


def save_events(path: Path, events: Events) -> Path:
    """Write events; a name that ends in ``.csv`` makes a CSV, any other JSON."""
    text = events_to_text(events, "csv" if Path(path).suffix.lower() == ".csv" else "json")
    with replacing(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def load_events(path: Path, duration: float) -> Events:
    """Read events for a clip of ``duration`` seconds.

    :raises StereoSyncError: where the file is not of the form, or belongs to a clip of another length.
    """
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        raise StereoSyncError(f"Events file: '{path}' cannot be read ({error}); {_REMEDY}.") from error
    return events_from_text(text, duration, f"Events file '{path}'")


def events_to_text(events: Events, form: str = "json") -> str:
    """Events as the text of a file, ``json`` or ``csv``."""
    rows: list[dict[str, Any]] = [{name: getattr(event, name) for name in FIELDS} for event in events]
    for row in rows:
        row |= {"time": round(row["time"], 6), "strength": round(row["strength"], 4), "confidence": round(row["confidence"], 4)}
    if form != "csv":
        return json.dumps({"duration": events.duration, "events": rows})
    sheet = io.StringIO()
    fields: list[str] = list(FIELDS)
    writer = csv.DictWriter(sheet, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return sheet.getvalue()


def events_from_text(text: str, duration: float, name: str = "Events") -> Events:
    """Events for a clip of ``duration`` seconds out of JSON or CSV; ``name`` is what an error begins with.

    :raises StereoSyncError: where the text is of neither form, or belongs to a clip of another length.
    """
    events = _events_of(text, duration, name)
    check_events_fit(events, duration)
    return replace(events, duration=duration, events=tuple(event for event in events if event.time <= duration))


def _events_of(text: str, duration: float, name: str) -> Events:
    """Events of a clip of ``duration`` seconds, or of the one that the text tells."""
    text = text.lstrip("\ufeff")  # a byte order mark, pasted along
    try:
        if text.lstrip()[:1] in ("{", "["):
            data = json.loads(text)
            rows, length = data.get("events"), float(data.get("duration", duration))
            if not isinstance(rows, list):
                raise StereoSyncError(f"it has no list of events; {_REMEDY}.")
        else:
            rows, length = _read_csv(text), duration
        return Events(tuple(_event(row) for row in rows), length)
    except StereoSyncError as error:
        raise StereoSyncError(f"{name}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, csv.Error) as error:
        raise StereoSyncError(f"{name}: it cannot be read ({type(error).__name__} {error}); {_REMEDY}.") from error


def check_events_text(text: str, name: str = "Events") -> None:
    """Raise what :func:`events_from_text` would, whatever the clip."""
    _events_of(text, LONGEST, name)


def _read_csv(text: str) -> list[dict[str, Any]]:
    lines = text.splitlines()
    first = lines[0] if lines else ""
    delimiter = max(",;\t", key=first.count)
    reader = csv.DictReader(lines, delimiter=delimiter)
    rows = list(reader)
    if "time" not in [name.strip().lower() for name in reader.fieldnames or ()]:
        raise StereoSyncError(f"there is no column 'time'; {_REMEDY}.")
    # spreadsheets of many countries write 1,25 where the columns are parted by semicolons
    comma = "," if delimiter != "," else "."
    return [
        {
            str(name).strip().lower(): value.strip().replace(comma, ".") if isinstance(value, str) else value
            for name, value in row.items()
        }
        for row in rows
    ]


def _event(row: dict[str, Any]) -> Event:
    given = {name: row[name] for name in FIELDS if row.get(name) not in (None, "")}
    for name in ("time", "strength", "confidence"):
        if name in given:
            given[name] = float(given[name])
    if "track" in given:
        # tables with empty places have their whole numbers as 1.0
        given["track"] = int(str(given["track"]).removesuffix(".0"))
    return Event(given.pop("time"), **given)
