"""One clip's report: scores, a table of its objects, and the figure."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..metrics.localiser import BandLocaliser
from ..metrics.timing import onsets
from ..metrics.truth import Truth
from ..preview.report import plot_report
from ..scene import DepthSequence, Tracks
from .measure import measure


def alignment_report(
    stereo: np.ndarray,
    rate: int,
    tracks: Tracks,
    *,
    depth: DepthSequence | None = None,
    reference: np.ndarray | None = None,
    law: str = "auto",
) -> tuple[dict[str, Any], np.ndarray]:
    """Scores of a sound for a clip, and the figure uint8 RGB ``[H, W, 3]``.

    :param stereo: ``[2, N]``, as long as the clip.
    :param reference: ``[C, N]`` at 44.1 kHz, with ``rate`` the same: the true sound, for timing.
    :param law: how the sound was placed, see :mod:`~stereosync_core.metrics.localiser`.
    :raises StereoSyncError: for sound that is not stereo, not finite, or not as long as the reference.
    """
    truth = Truth(tracks)
    localiser = BandLocaliser(law)
    heard, found_law = localiser.with_law(stereo, rate)
    measures = measure(stereo, rate, truth, tracks.duration, depth=depth, reference=reference, localiser=lambda *_: heard)
    report = {**measures.row(), "law": found_law, "rows": measures.object_rows()}
    del report["clip"]
    return report, plot_report(heard, onsets(stereo, rate), truth, report, depth=depth)
