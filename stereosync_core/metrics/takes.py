"""Takes of one sound beside each other: how well each comes from where things are, and how loud it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import StereoSyncError
from ..media.loudness import integrated_loudness
from ..media.sound import Sound
from ..scene import Tracks
from .clips import RATE, stereo_44100
from .localiser import BandLocaliser
from .placement import placement_errors
from .truth import Truth


@dataclass(frozen=True)
class TakeScore:
    """Of one take: its ``number`` from 1, its ``seed``, its ``placement`` (0 in the middle, up to 1) and its ``loudness`` in
    LUFS; None where one is not known or defined."""

    number: int
    seed: int | None
    placement: float | None
    loudness: float | None

    def text(self) -> str:
        """A line for a person."""
        seed = "" if self.seed is None else f", seed {self.seed}"
        placement = "" if self.placement is None else f": placement {self.placement:.2f}"
        loudness = "silent" if self.loudness is None else f"{self.loudness:.1f} LUFS"
        return f"take {self.number}{seed}{placement}{', ' if placement else ': '}{loudness}"


def score_takes(takes: Sequence[Sound], tracks: Tracks | None = None, seeds: Sequence[int] = ()) -> list[TakeScore]:
    """Scores of takes of one sound.

    :param tracks: of the clip, for the placement.
    :param seeds: of the takes, where they are known.
    """
    scores = []
    for number, take in enumerate(takes):
        placement = None
        if tracks is not None and len(tracks):
            localisation = BandLocaliser("auto")(stereo_44100(take, tracks.duration), RATE)
            placement = placement_errors(localisation, Truth(tracks)).clip.score
        seed = seeds[number] if len(seeds) == len(takes) else None
        scores.append(TakeScore(number + 1, seed, placement, integrated_loudness(take)))
    return scores


def chosen_take(scores: Sequence[TakeScore], number: int = 0) -> TakeScore:
    """The take of that number, or at 0 the one in its place best; the first where none is better. Raises StereoSyncError where
    there is no such take."""
    if not 0 <= number <= len(scores):
        raise StereoSyncError(f"Select Take: there is no take {number}; there are {len(scores)}. 0 takes the best.")
    if number:
        return scores[number - 1]
    return max(scores, key=lambda score: -2.0 if score.placement is None else score.placement)
