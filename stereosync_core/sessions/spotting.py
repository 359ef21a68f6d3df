"""An edit decision list (CMX 3600) of events: an entry of one frame each, with a locator that has its name."""

from __future__ import annotations

from .session import Session


def to_edl(session: Session) -> str:
    """The text of an EDL. It counts in whole frames at the clip's rounded rate, without dropped numbers."""
    lines = [f"TITLE: {session.name[:70]}", "FCM: NON-DROP FRAME", ""]
    for number, marker in enumerate(session.markers, 1):
        frame = int(marker.time * session.frame_rate + 1e-6)
        begin, end = (timecode(frame + more, round(session.frame_rate)) for more in (0, 1))
        lines += [
            f"{number:03d}  AX       V     C        {begin} {end} {begin} {end}",
            f"* FROM CLIP NAME: {session.name}",
            f"* LOC: {begin} {'BLUE' if marker.kind == 'shot' else 'GREEN':7} {marker.name}",
            "",
        ]
    return "\n".join(lines)


def timecode(frame: int, rate: int) -> str:
    """Hours, minutes, seconds and frames of a frame's number."""
    rate = max(1, rate)
    seconds, frames = divmod(frame, rate)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{frames:02d}"
