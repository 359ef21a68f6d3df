"""The figure of the Alignment Report: where an object is and where its sound comes from, how loud, when, and the scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..metrics.clip_metrics import measure_clip
from ..metrics.localiser import BandLocaliser, Localisation
from ..metrics.timing import onsets as find_onsets
from ..metrics.truth import Truth
from ..scene import DepthSequence, Tracks
from .overlay import COLOURS
from .plot import new_figure, pixels

SCORES = {
    "placement": "placement",
    "spatial_av_align": "Spatial AV-Align",
    "spatial_av_align_precision": "  box recall",
    "spatial_av_align_corrected": "  corrected",
    "azimuth_error": "azimuth error",
    "distance_correlation": "distance",
    "level_db_a_doubling": "dB a doubling",
}


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
    :param law: the panning law that the sound was placed by, or ``auto``.
    :raises StereoSyncError: for sound that is not stereo, not finite, or not as long as the reference.
    """
    truth = Truth(tracks)
    localiser = BandLocaliser(law)
    localisation, found_law = localiser.with_law(stereo, rate)
    metrics = measure_clip(
        stereo, rate, truth, tracks.duration, depth=depth, reference=reference, localiser=lambda *_: localisation
    )
    report = {**metrics.row(), "law": found_law, "rows": metrics.object_rows()}
    del report["clip"]
    return report, plot_report(localisation, find_onsets(stereo, rate), truth, report, depth=depth)


def plot_report(
    localisation: Localisation,
    onsets: np.ndarray,
    truth: Truth,
    scores: Mapping[str, Any],
    *,
    depth: DepthSequence | None = None,
) -> np.ndarray:
    """A figure as uint8 RGB ``[900, 1100, 3]``.

    :param onsets: seconds at which something begins to sound.
    :param scores: names as in a clip's row; what is None is shown as a dash.
    """
    figure, canvas = new_figure(1100, 900)
    grid = figure.add_gridspec(3, 2, width_ratios=[2.2, 1])
    place, level = figure.add_subplot(grid[0, :]), figure.add_subplot(grid[1, :])
    far, table = figure.add_subplot(grid[2, 0]), figure.add_subplot(grid[2, 1])
    tracks = truth.tracks
    times = np.arange(0.0, tracks.duration, 0.02)
    owner = np.where(localisation.sounding, truth.owner(localisation.times), 0)
    for number, track in enumerate(tracks):
        colour = np.array(COLOURS[number % len(COLOURS)]) / 255
        _, seen = track.at(times, tracks.max_gap)
        name = f"{track.label} {track.id}"
        place.plot(times, np.where(seen, track.azimuth(times, tracks.max_gap), np.nan), color=colour, linewidth=2.5, label=name)
        own = owner == track.id
        distance = tracks.distance(track, localisation.times[own], depth) if own.any() else np.zeros(0)
        far.semilogx(distance, localisation.level_db[own], ".", color=colour, label=name)
    use = localisation.sounding
    spread = np.minimum(localisation.uncertainty[use], 1.0)
    look: dict[str, Any] = {"fmt": "o", "color": "black", "markersize": 3, "elinewidth": 0.7, "alpha": 0.7}
    place.errorbar(localisation.times[use], localisation.azimuth[use], spread, label="sound", **look)
    place.set(ylabel="azimuth", ylim=(-1.05, 1.05), yticks=[-1, 0, 1], yticklabels=["left", "centre", "right"])
    place.legend(loc="upper right", fontsize=8)
    level.plot(localisation.times, np.maximum(localisation.level_db, -80), color="black", linewidth=1, label="level")
    level.vlines(onsets, -80, 0, color="tab:red", linewidth=0.8, label="onsets found")
    if truth.step_times is not None:
        level.vlines(truth.step_times[0], -80, 0, color="tab:green", linewidth=0.8, linestyle=":", label="steps")
    level.set(ylabel="level (dBFS)", ylim=(-81, 0), xlabel="seconds")
    level.legend(loc="upper right", fontsize=8)
    for axis in (place, level):
        axis.set_xlim(0, tracks.duration)
        axis.grid(alpha=0.3)
    far.set(xlabel="distance (1 = median)", ylabel="level (dBFS)")
    far.grid(alpha=0.3)
    table.axis("off")
    lines = [f"{name:17}{'-' if scores.get(key) is None else format(scores[key], '6.2f')}" for key, name in SCORES.items()]
    table.text(0.0, 0.97, "\n".join(lines), family="monospace", fontsize=9, va="top")
    return pixels(canvas)
