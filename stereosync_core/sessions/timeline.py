"""OpenTimelineIO: the session as a timeline that editing programs read. Its library is an extra of the package."""

from __future__ import annotations

from fractions import Fraction
from types import ModuleType

from ..errors import StereoSyncError
from .session import Session

_COLOURS = {"shot": "BLUE", "step": "GREEN", "landing": "YELLOW", "impact": "RED", "clap": "ORANGE", "onset": "PURPLE"}


def required() -> ModuleType:
    """The library. Raises StereoSyncError with what to install where it is not there."""
    try:
        import opentimelineio
    except ImportError as error:
        raise StereoSyncError(
            "Session: OpenTimelineIO is not installed; run 'pip install opentimelineio', or install this package with "
            "'pip install .[export]', or leave the format otio out."
        ) from error
    return opentimelineio


def to_otio(session: Session) -> str:
    """The text of an ``.otio`` file: a video track, an audio track a voice, markers on the whole. Times are counted in samples
    of the sounds; what moves a voice is in the metadata of its track."""
    otio = required()

    def moment(seconds: float):
        return otio.opentime.RationalTime(round(Fraction(seconds) * session.rate), session.rate)

    def clip(name: str, url: str, start: float):
        whole = otio.opentime.TimeRange(moment(start), moment(session.duration))
        reference = otio.schema.ExternalReference(target_url=url, available_range=whole)
        return otio.schema.Clip(name=name, media_reference=reference, source_range=whole)

    picture = otio.schema.Track(name="picture", kind=otio.schema.TrackKind.Video)
    picture.append(clip(session.name, session.picture, session.picture_start))
    timeline = otio.schema.Timeline(name=session.name, tracks=[picture])
    for voice in session.tracks:
        columns = {name: getattr(voice, name).round(8).tolist() for name in ("times", "gain", "pan", "azimuth", "distance")}
        track = otio.schema.Track(name=voice.name, kind=otio.schema.TrackKind.Audio, metadata={"stereosync": columns})
        track.append(clip(voice.name, voice.file, 0.0))
        timeline.tracks.append(track)
    nothing = otio.opentime.RationalTime(0, session.rate)
    for marker in session.markers:
        timeline.tracks.markers.append(
            otio.schema.Marker(
                name=marker.name,
                marked_range=otio.opentime.TimeRange(moment(marker.time), nothing),
                color=_COLOURS.get(marker.kind, "WHITE"),
                metadata={"stereosync": {"kind": marker.kind}},
            )
        )
    return otio.adapters.write_to_string(timeline, "otio_json")
