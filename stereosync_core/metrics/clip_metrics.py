"""All metrics of one sound in one clip, in a form that can be stored, read again and pooled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..scene import DepthSequence
from . import checks
from .distance import StepLevels, distance_score, step_levels
from .localiser import LevelLocaliser, Localiser
from .placement import AzimuthErrors, PlacementErrors, placement_errors, pooled
from .spatial_av_align import Counts, spatial_av_align
from .timing import OnsetCounts, envelope_l1, onset_counts, onsets
from .truth import ObjectSteps, Truth

STEP_ARRAYS = ("doublings", "level_db", "direct_db")


@dataclass(frozen=True)
class ClipMetrics:
    """Of one sound in one clip.

    :param silent: nothing sounds at all; then no score is defined, and each has a count of zero.
    :param onsets: None where the true steps are not known.
    :param envelope: E-L1 against the reference, None without one.
    :param own_law: placement by another localiser, for a system that places sound by another law than the set's.
    """

    clip: str
    placement: PlacementErrors
    align: Counts
    steps: list[StepLevels]
    onsets: OnsetCounts | None
    envelope: float | None
    silent: bool
    own_law: PlacementErrors | None = None

    def record(self) -> dict[str, Any]:
        """As JSON."""
        steps = [{"id": one.id, **{key: np.round(getattr(one, key), 4).tolist() for key in STEP_ARRAYS}} for one in self.steps]
        return {
            "clip": self.clip,
            "silent": self.silent,
            "objects": _objects(self.placement),
            "own_law": None if self.own_law is None else _objects(self.own_law),
            "align": asdict(self.align),
            "steps": steps,
            "onsets": None if self.onsets is None else asdict(self.onsets),
            "envelope": self.envelope,
        }

    @staticmethod
    def of_record(data: dict[str, Any]) -> ClipMetrics:
        """The reverse of :meth:`record`."""
        own, counted = data["own_law"], data["onsets"]
        return ClipMetrics(
            clip=data["clip"],
            placement=_placement(data["objects"]),
            align=Counts(**data["align"]),
            steps=[StepLevels(row["id"], *(np.array(row[key], np.float64) for key in STEP_ARRAYS)) for row in data["steps"]],
            onsets=None if counted is None else OnsetCounts(**counted),
            envelope=data["envelope"],
            silent=data["silent"],
            own_law=None if own is None else _placement(own),
        )

    def row(self) -> dict[str, Any]:
        """The clip's scores, for people and tables."""
        far = distance_score(self.steps)
        return {
            "clip": self.clip,
            "placement": _rounded(self.placement.clip.score),
            "placement_windows": self.placement.clip.windows,
            "azimuth_error": _rounded(self.placement.clip.mean_error),
            "spatial_av_align": _rounded(self.align.score),
            "spatial_av_align_precision": _rounded(self.align.box_recall),
            "spatial_av_align_corrected": _rounded(self.align.corrected),
            "events": self.align.hits + self.align.misses,
            "boxes": self.align.boxes,
            "distance_correlation": _rounded(far.level),
            "level_db_a_doubling": _rounded(far.level_slope),
            "direct_db_a_doubling": _rounded(far.direct_slope),
            "steps": far.steps,
            "onset_f1": _rounded(None if self.onsets is None else self.onsets.f1),
            "e_l1": _rounded(self.envelope, 6),
            "silent": self.silent,
        }

    def object_rows(self) -> list[dict[str, Any]]:
        """Placement of each object."""
        return [
            {"object": n, "placement": _rounded(one.score), "windows": one.windows, "azimuth_error": _rounded(one.mean_error)}
            for n, one in self.placement.objects.items()
        ]


def _objects(of: PlacementErrors) -> dict[str, dict[str, Any]]:
    return {str(number): asdict(errors) for number, errors in of.objects.items()}


def _placement(rows: dict[str, dict[str, Any]]) -> PlacementErrors:
    return PlacementErrors({int(number): AzimuthErrors(**row) for number, row in rows.items()})


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), digits)


def measure_clip(
    sound: np.ndarray,
    rate: int,
    truth: Truth,
    duration: float,
    *,
    name: str = "clip",
    depth: DepthSequence | None = None,
    reference: np.ndarray | None = None,
    localiser: Localiser | None = None,
    own: Localiser | None = None,
) -> ClipMetrics:
    """Measure a sound against the picture it is for.

    :param sound: stereo ``[2, N]``.
    :param duration: of the clip in seconds.
    :param depth: for the distance of objects whose true distance is not known.
    :param own: a second localiser, see :class:`ClipMetrics`.
    :param reference: ``[C, N]`` at the same rate and 44.1 kHz, for E-L1; where the steps are not known, for the onsets too.
    :raises StereoSyncError: for mono, NaN, or sound of another length than the reference.
    """
    sound = checks.stereo(sound)
    localisation = (localiser or LevelLocaliser())(sound, rate)
    found = onsets(sound, rate)
    counts = None
    if truth.step_times is not None:
        counts = onset_counts(truth.step_times[0], found, ignored=truth.step_times[1])
    elif reference is not None:
        counts = onset_counts(onsets(reference, rate), found)
    known = truth if truth.objects is not None else Truth(truth.tracks, onsets_as_steps(found, truth, depth))
    return ClipMetrics(
        clip=name,
        placement=placement_errors(localisation, truth),
        align=spatial_av_align(localisation, truth, duration),
        steps=step_levels(sound, rate, known),
        onsets=counts,
        envelope=None if reference is None else envelope_l1(sound, reference, rate, rate),
        silent=not bool(localisation.sounding.any()),
        own_law=None if own is None else placement_errors(own(sound, rate), truth),
    )


def onsets_as_steps(found: np.ndarray, truth: Truth, depth: DepthSequence | None) -> tuple[ObjectSteps, ...]:
    """Onsets ``[N]`` at which one object alone is in the picture, as its steps; distance from depth and boxes."""
    owner = truth.owner(found)
    return tuple(
        ObjectSteps(track.id, own, np.ones(len(own), bool), truth.tracks.distance(track, own, depth))
        for place, track in enumerate(truth.tracks)
        if len(own := found[owner == place])
    )


def pooled_metrics(clips: Sequence[ClipMetrics]) -> dict[str, Any]:
    """Metrics over all windows, events and onsets of several clips; what is not defined is None."""
    place, align = pooled([one.placement for one in clips]), sum((one.align for one in clips), Counts())
    counts = [one.onsets for one in clips if one.onsets is not None]
    envelopes = [one.envelope for one in clips if one.envelope is not None]
    return {
        "placement": place.score,
        "placement_low": place.low,
        "placement_high": place.high,
        "placement_windows": place.windows,
        "spatial_av_align": align.score,
        "spatial_av_align_precision": align.box_recall,
        "spatial_av_align_corrected": align.corrected,
        "events": align.hits + align.misses,
        "onset_f1": sum(counts, OnsetCounts()).f1 if counts else None,
        "e_l1": float(np.mean(envelopes)) if envelopes else None,
    }
