"""Events as a filmstrip: a picture of each contact with its time, kind, foot and confidence."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..media.video import Source, frames, probe
from ..scene import Tracks, check_tracks_fit
from ..scene_events import Event, Events, check_events_fit
from .overlay import COLOURS

#: Pixels of a picture's side and of its caption, pictures in a row, and pictures at most.
SIDE, CAPTION, COLUMNS, MOST = 160, 34, 8, 64
_NOBODY = (150, 150, 150)


def event_strip(source: Source, events: Events, tracks: Tracks) -> np.ndarray:
    """A sheet of pictures uint8 RGB ``[H, W, 3]``, in order of time, each framed in the colour of its owner.

    Steps and landings show the feet, everything else its owner; an event of nobody shows the whole frame. Of more than
    :data:`MOST` events the most confident are shown.

    :raises StereoSyncError: for events or tracks of another clip.
    """
    info = probe(source)
    check_events_fit(events, info.duration)
    check_tracks_fit(tracks, info.duration)
    shown = sorted(sorted(events, key=lambda event: -event.confidence)[:MOST], key=lambda event: event.time)
    rows = max(1, -(-len(shown) // COLUMNS))
    sheet = Image.new("RGB", (SIDE * min(COLUMNS, max(1, len(shown))), (SIDE + CAPTION) * rows), (24, 24, 24))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    if not shown:
        pen.text((6, 6), "no events", fill=(255, 255, 255), font=font)
    pictures = frames(source, times=[min(event.time, info.duration) for event in shown], max_side=960)
    places = {track.id: place for place, track in enumerate(tracks)}
    for number, (event, (_, picture)) in enumerate(zip(shown, pictures, strict=True)):
        x, y = SIDE * (number % COLUMNS), (SIDE + CAPTION) * (number // COLUMNS)
        colour = COLOURS[places[event.track] % len(COLOURS)] if event.track in places else _NOBODY
        sheet.paste(_around(picture, event, tracks), (x, y))
        pen.rectangle([x, y, x + SIDE - 2, y + SIDE - 2], outline=colour, width=3)
        owner = "" if event.track is None else f", track {event.track}"
        pen.text((x + 4, y + SIDE), f"{event.time:.3f} s{owner}", fill=(255, 255, 255), font=font)
        foot = "" if event.foot is None else f" {event.foot}"
        pen.text((x + 4, y + SIDE + 15), f"{event.kind}{foot}, {event.confidence:.0%}", fill=colour, font=font)
    return np.array(sheet)  # a copy, for a view of the picture cannot be written to


def _around(picture: np.ndarray, event: Event, tracks: Tracks) -> Image.Image:
    """The square picture of a contact, black beyond the frame."""
    height, width = picture.shape[:2]
    box = np.array([0.0, 0.0, 1.0, 1.0])
    for track in tracks:
        if track.id == event.track:
            box = track.at([event.time], tracks.max_gap)[0][0]
    x0, y0, x1, y1 = box * [width, height, width, height]
    if event.kind in ("step", "landing") and event.track is not None:
        y0 = y1 - 0.45 * (y1 - y0)
    half, middle = 0.6 * max(x1 - x0, y1 - y0, 8.0), ((x0 + x1) / 2, (y0 + y1) / 2)
    corners = tuple(round(centre + sign * half) for sign in (-1, 1) for centre in middle)
    return Image.fromarray(picture).crop(corners).resize((SIDE, SIDE), Image.Resampling.BILINEAR)  # type: ignore[arg-type]
