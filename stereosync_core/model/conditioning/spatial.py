"""Where things are, as what a generative model is conditioned on."""

from dataclasses import dataclass, replace

from ...errors import StereoSyncError
from ...scene import DepthSequence, Tracks

CUES = ("boxes and depth", "boxes", "depth", "nothing")


@dataclass(frozen=True)
class SpatialConditioning:
    """Tracks and depth of a clip, and what of them is used.

    :param use: one of :data:`CUES`.
    :raises StereoSyncError: for another word.
    """

    tracks: Tracks
    depth: DepthSequence | None = None
    use: str = CUES[0]

    def __post_init__(self):
        if self.use not in CUES:
            raise StereoSyncError(f"Spatial conditioning: '{self.use}' is not known; choose one of {', '.join(CUES)}.")

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.tracks.duration

    def selected(self) -> tuple[Tracks, DepthSequence | None]:
        """Tracks and depth with what is not used left out."""
        tracks = self.tracks if "boxes" in self.use else replace(self.tracks, tracks=())
        return tracks, self.depth if "depth" in self.use else None
