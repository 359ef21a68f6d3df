"""Some of a clip's tracks: by number, class, and where in the picture they are."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from ..errors import StereoSyncError
from ..scene import Track, Tracks

WHOLE = (0.0, 0.0, 1.0, 1.0)


def parse_ids(text: str) -> list[int]:
    """Numbers out of ``1, 3, 5-8``; none for an empty text.

    :raises StereoSyncError: something else than numbers and ranges.
    """
    numbers: list[int] = []
    for part in filter(None, (part.strip() for part in text.replace(";", ",").split(","))):
        match = re.fullmatch(r"(\d+)(?:\s*-\s*(\d+))?", part)
        if match is None:
            raise StereoSyncError(f"Ids: '{part}' is no number; write numbers and ranges as the preview shows them: 1, 3, 5-8.")
        numbers += range(int(match[1]), int(match[2] or match[1]) + 1)
    return list(dict.fromkeys(numbers))


def select_tracks(
    tracks: Tracks,
    *,
    ids: str = "",
    classes: str = "",
    region: tuple[float, float, float, float] = WHOLE,
    share: float = 0.5,
    drop: bool = False,
    max_tracks: int = 0,
) -> Tracks:
    """The tracks that fit every condition; what is left empty is none.

    :param ids: numbers, as in :func:`parse_ids`.
    :param classes: names separated by commas.
    :param region: x0, y0, x1, y1 in 0..1 of the frame.
    :param share: part of a track's boxes whose middle has to lie in the region.
    :param drop: give the tracks that do not fit instead.
    :param max_tracks: how many of the most prominent of them to keep, 0 = all.
    :raises StereoSyncError: a number or a class that no track has, or a region without extent.
    """
    numbers, names = parse_ids(ids), [name.strip().lower() for name in classes.split(",") if name.strip()]
    present = {track.label.lower() for track in tracks}
    missing = [name for name in names if name not in present]
    if missing and len(tracks):
        raise StereoSyncError(f"Classes: no track is a {', '.join(missing)}; the clip has {', '.join(sorted(present))}.")
    absent = [number for number in numbers if number not in {track.id for track in tracks}]
    if absent and len(tracks):
        have = ", ".join(str(track.id) for track in tracks)
        raise StereoSyncError(f"Ids: there is no track {', '.join(map(str, absent))}; the clip has {have}.")
    if region[2] <= region[0] or region[3] <= region[1]:
        raise StereoSyncError(f"Region: {region} has no extent; right has to lie beyond left, and bottom below top.")

    def fits(track: Track) -> bool:
        if (numbers and track.id not in numbers) or (names and track.label.lower() not in names):
            return False
        middle = (track.boxes[:, :2] + track.boxes[:, 2:]) / 2
        inside = (middle >= np.array(region[:2])).all(axis=1) & (middle <= np.array(region[2:])).all(axis=1)
        return tuple(region) == WHOLE or inside.mean() >= max(share, 1e-9)

    result = replace(tracks, tracks=tuple(track for track in tracks if fits(track) != drop))
    return result.most_prominent(max_tracks) if max_tracks > 0 else result
