"""The target of spatial guidance: the level difference of a scene at every moment, and the course of the level. Several walkers
share a moment by what each would send: its share of what sounds, where the envelope knows it, else the power of a step of its
gait that is ringing, over the square of its distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...rendering.gait import steps_from_track
from ...rendering.panning_laws import panning_law as law_of
from ...scene import DepthSequence, Envelope, Tracks
from .features import map_tensors, subframe_times

#: Seconds in which a step's power falls to a third; and the power that stays between steps, for gaits err.
_RING, _REST = 0.06, 0.02
#: Seconds by which a sound may come before a gait's steps.
_EARLY = 0.04
#: dB below its loudest moment at which the course of the level ends.
_QUIETEST = -40.0


@dataclass(frozen=True)
class SpatialGuidanceTarget:
    """For M moments, ``SUBFRAMES`` of them a latent frame.

    :param ild_db: level of the right channel over the left, dB ``[M]``.
    :param weight: ``[M]``, 0 where nothing is seen, so that any difference will do.
    :param level_db: course of the level of both channels, dB below its loudest ``[M]``, or None where it may be any.
    """

    ild_db: Tensor
    weight: Tensor
    level_db: Tensor | None = None

    def to(self, *arguments) -> SpatialGuidanceTarget:
        """On another device or of another dtype."""
        return map_tensors(lambda value: value.to(*arguments), self)


def spatial_guidance_target(
    tracks: Tracks,
    depth: DepthSequence | None,
    frames: int,
    latent_rate: float,
    *,
    panning_law: str = "pan",
    envelope: Envelope | None = None,
    level: bool = False,
) -> SpatialGuidanceTarget:
    """The target of ``frames`` latent frames.

    :param panning_law: how azimuth becomes a level difference (:mod:`..rendering.panning_laws`).
    :param envelope: whose owners say whose each moment is, where it has any.
    :param level: whether the target has a course of the level at all: that of ``envelope``, or without one that of the walkers'
        distance (6 dB a doubling).
    :raises StereoSyncError: for a law that is not known.
    """
    times = subframe_times(frames, latent_rate)
    curve = law_of(panning_law)
    left, right, near = np.zeros(len(times)), np.zeros(len(times)), np.zeros(len(times))
    for track in tracks:
        _, visible = track.at(times, tracks.max_gap)
        place = np.interp(track.azimuth(times, tracks.max_gap), curve.azimuth, curve.broadband())
        power = visible / np.maximum(tracks.distance(track, times, depth), 0.05) ** 2
        near += power
        if len(tracks) > 1 and envelope is not None and envelope.owners:
            own = envelope.owners.get(track.id, np.zeros(len(envelope.times)))
            power = visible * (_REST + np.interp(times, envelope.times, own))  # of what arrives: distance is in it
        elif len(tracks) > 1:
            steps = steps_from_track(track, tracks.duration, max_gap=tracks.max_gap, aspect=tracks.aspect)
            power = power * _ringing(times, steps.times, steps.strengths)
        share = 1 / (1 + 10 ** (-place / 10))  # of the power, on the right
        left, right = left + power * (1 - share), right + power * share
    seen = left + right > 0
    difference = np.where(seen, 10 * np.log10(np.maximum(right, 1e-12) / np.maximum(left, 1e-12)), 0.0)
    course = None
    if level:
        power = near if envelope is None else envelope.at(times) ** 2
        course = 10 * np.log10(np.maximum(power / max(power.max(), 1e-12), 1e-12)).clip(_QUIETEST)
    return SpatialGuidanceTarget(_float(difference), _float(seen), None if course is None else _float(course))


def _ringing(times: np.ndarray, steps: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Power ``[M]`` of steps that begin at ``steps`` and die away; :data:`_REST` of it always."""
    since = times[:, None] - steps + _EARLY
    return _REST + (strengths**2 * np.where(since >= 0, np.exp(-np.maximum(since, 0.0) / _RING), 0.0)).sum(1)


def _float(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
