"""REAPER's project files: nested blocks of lines, each a name and its values."""

from __future__ import annotations

import uuid

import numpy as np

from .session import Session, SessionTrack

#: Digits behind the point of times: a hundred millionth of a second is no sample of any rate.
_DIGITS = 10
_NAMESPACE = uuid.UUID("5a1f6e8e-0c0c-4d0a-9a37-6f3f0f5a5c11")


def to_rpp(session: Session) -> str:
    """The text of a project: a track with the picture, silent; a track a voice with envelopes; markers."""
    lines = [
        "<REAPER_PROJECT 0.1 7.0 0",
        f"  SAMPLERATE {session.rate} 0 0",
        "  PANLAW 1",
        "  PANMODE 3",
        "  TEMPO 120 4 4",
        f"  TIMEMODE 1 5 -1 {round(session.frame_rate)} 0 0 -1",
    ]
    for number, marker in enumerate(session.markers, 1):
        lines.append(
            f"  MARKER {number} {_seconds(marker.time)} {_quoted(marker.name)} 0 0 1 B {_guid(session, f'm{number}')} 0"
        )
    lines += _track(session, "picture", 0.0, "VIDEO", session.picture, session.picture_start)
    for place, track in enumerate(session.tracks):
        # in pan envelopes left is 1 and right -1, though in VOLPAN left is -1: X-Raym's "Trim selected tracks parameters values
        # with envelopes values at edit cursor" (github.com/X-Raym/REAPER-ReaScripts) subtracts one from the other for that
        envelopes = _envelope("VOLENV2", track, track.gain) + _envelope("PANENV2", track, -track.pan)
        lines += _track(session, track.name, 1.0, "WAVE", track.file, 0.0, envelopes, place + 1)
    return "\n".join([*lines, ">", ""])


def _track(
    session: Session, name: str, volume: float, source: str, file: str, start: float, envelopes: tuple[str, ...] = (), place=0
) -> list[str]:
    return [
        f"  <TRACK {_guid(session, f't{place}')}",
        f"    NAME {_quoted(name)}",
        f"    VOLPAN {volume:g} 0 -1 -1 1",
        "    NCHAN 2",
        f"    TRACKID {_guid(session, f't{place}')}",
        *envelopes,
        "    <ITEM",
        "      POSITION 0",
        f"      LENGTH {_seconds(session.duration)}",
        "      LOOP 0",
        f"      IGUID {_guid(session, f'i{place}')}",
        f"      NAME {_quoted(name)}",
        f"      SOFFS {_seconds(start)}",
        f"      <SOURCE {source}",
        f"        FILE {_quoted(file)}",
        "      >",
        "    >",
        "  >",
    ]


def _envelope(kind: str, track: SessionTrack, values: np.ndarray) -> tuple[str, ...]:
    points = (f"      PT {_seconds(time)} {value:.8f} 0" for time, value in zip(track.times, values, strict=True))
    return (f"    <{kind}", "      ACT 1 -1", "      VIS 1 1 1", "      LANEHEIGHT 0 0", "      ARM 0", *points, "    >")


def _seconds(time: float) -> str:
    return f"{time:.{_DIGITS}f}"


def _quoted(text: str) -> str:
    """A value in whatever quotes do not occur in it."""
    text = " ".join(text.split())
    quote = next((mark for mark in "\"'`" if mark not in text), None)
    return f"{quote}{text}{quote}" if quote else f"`{text.replace('`', chr(39))}`"


def _guid(session: Session, part: str) -> str:
    """The same for the same session, so that writing it again changes nothing."""
    return "{" + str(uuid.uuid5(_NAMESPACE, f"{session.name} {session.picture} {part}")).upper() + "}"
