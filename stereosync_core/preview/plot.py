"""Figures: place, distance and level over time, and the alignment report with its scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..media.sound import Sound, to_stereo
from ..metrics.clip_metrics import measure_clip
from ..metrics.localiser import BandLocaliser, Localisation
from ..metrics.sync import attacks, sync_by_chance, sync_score
from ..metrics.timing import onsets as find_onsets
from ..metrics.truth import NOBODY, Truth
from ..rendering.analysis import level_difference
from ..rendering.panning import pan_gains
from ..scene import DepthSequence, Envelope, Track, Tracks, check_depth_fits
from ..scene_camera import CameraMotion
from ..scene_events import Events, check_events_fit
from .overlay import COLOURS

if TYPE_CHECKING:  # matplotlib takes a second to import, which a host's start has no use for
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

SCORES = {
    "placement": "placement",
    "spatial_av_align": "Spatial AV-Align",
    "spatial_av_align_precision": "  box recall",
    "spatial_av_align_corrected": "  corrected",
    "azimuth_error": "azimuth error",
    "distance_correlation": "distance",
    "level_db_a_doubling": "dB a doubling",
    "sync_f1": "sync F1",
    "sync_by_chance": "  by chance",
    "sync_other_attacks": "  other attacks",
    "sync_offset_ms": "  offset, ms",
}

#: Larger than usual, so that the text is readable in a node on the canvas.
DPI = 130
#: Seconds between an event and the attack whose offset is written.
_OFFSETS = 0.15


def _new_figure(width: int, height: int) -> tuple[Figure, FigureCanvasAgg]:
    """An empty figure of so many pixels, and what it is drawn on."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, layout="constrained")
    return figure, FigureCanvasAgg(figure)


def _pixels(canvas: FigureCanvasAgg) -> np.ndarray:
    """The drawn figure, uint8 RGB ``[H, W, 3]``."""
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def plot_scene(
    tracks: Tracks,
    *,
    depth: DepthSequence | None = None,
    sound: Sound | None = None,
    events: Events | None = None,
    envelope: Envelope | None = None,
) -> np.ndarray:
    """A figure as uint8 RGB ``[720, 1000, 3]``: azimuth and distance of each object, level and left/right difference, and
    events over the envelope with the sound's attacks.

    :param sound: None for a figure of the objects alone.
    :raises StereoSyncError: depth or events belong to a clip of another length.
    """
    if depth is not None:
        check_depth_fits(depth, tracks.duration)
    if events is not None:
        check_events_fit(events, tracks.duration)
    figure, canvas = _new_figure(1000, 720)
    timed = events is not None or envelope is not None
    axes = figure.subplots(2 + (sound is not None) + timed, 1, sharex=True)
    for track, look in _draw_azimuth(axes[0], tracks, 2.0):
        times, visible = _visible_times(track, tracks)
        distance = tracks.distance(track, times, depth)
        axes[1].plot(times, np.where(visible, distance, np.nan), linewidth=2, **look)
    axes[1].set(ylabel="distance (1 = median)")
    axes[1].set_ylim(bottom=0)
    if sound is not None:
        _plot_sound(axes[0], axes[2], to_stereo(sound.samples), sound.rate)
    if timed:
        _plot_events(axes[-1], tracks, events, envelope, sound)
    for axis in axes:
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(loc="upper right", fontsize=8)
    axes[-1].set(xlabel="seconds", xlim=(0, tracks.duration))
    return _pixels(canvas)


def plot_camera(camera: CameraMotion) -> np.ndarray:
    """A figure of a camera's motion as uint8 RGB ``[480, 1000, 3]``: speed, growth, and how sure they are."""
    figure, canvas = _new_figure(1000, 480)
    speed = camera.speed()
    axes = figure.subplots(3, 1, sharex=True)
    axes[0].step(camera.times, speed[:, 0], where="pre", label="right, widths")
    axes[0].step(camera.times, speed[:, 1], where="pre", label="down, heights")
    axes[0].set(ylabel="picture moves\na second")
    axes[0].legend(loc="upper right", fontsize=8)
    axes[1].step(camera.times, 100 * speed[:, 2], where="pre", color="tab:green")
    axes[1].set(ylabel="% larger\na second")
    axes[2].fill_between(camera.times, camera.confidence, step="pre", color="0.8")
    axes[2].set(ylabel="confidence", ylim=(0, 1.05), xlabel="seconds")
    for axis in axes:
        axis.grid(alpha=0.3)
        for cut in camera.cuts:
            axis.axvline(cut, color="tab:red", linewidth=1)
    return _pixels(canvas)


def _visible_times(track: Track, tracks: Tracks) -> tuple[np.ndarray, np.ndarray]:
    times = np.arange(0.0, tracks.duration, 0.02)
    return times, track.at(times, tracks.max_gap)[1]


def _draw_azimuth(axis, tracks: Tracks, linewidth: float) -> Iterator[tuple[Track, dict[str, Any]]]:
    """Draws the azimuth of each track; gives the track with its colour and label."""
    for place, track in enumerate(tracks):
        look = {"color": np.array(COLOURS[place % len(COLOURS)]) / 255, "label": f"{track.label} {track.id}"}
        times, visible = _visible_times(track, tracks)
        axis.plot(times, np.where(visible, track.azimuth(times, tracks.max_gap), np.nan), linewidth=linewidth, **look)
        yield track, look
    axis.set(ylabel="azimuth", ylim=(-1.05, 1.05), yticks=[-1, 0, 1], yticklabels=["left", "centre", "right"])


def _plot_events(axis, tracks: Tracks, events: Events | None, envelope: Envelope | None, sound: Sound | None) -> None:
    """Events in their owners' colours as high as they are strong, the envelope, and each attack with its offset."""
    if envelope is not None and envelope.values.max() > 0:
        axis.fill_between(envelope.times, envelope.values / envelope.values.max(), color="0.8", label="envelope")
    places = {track.id: place for place, track in enumerate(tracks)}
    for event in events or ():
        place = places.get(event.track) if event.track is not None else None
        colour = "0.3" if place is None else np.array(COLOURS[place % len(COLOURS)]) / 255
        axis.vlines(event.time, 0, event.strength, color=colour, linewidth=1 + 2 * event.confidence)
        axis.text(event.time, event.strength + 0.02, event.kind, fontsize=6, rotation=60, color=colour)
    found = attacks(sound.samples, sound.rate) if sound is not None else np.zeros(0)
    axis.plot(found, np.full(len(found), -0.12), "^", color="black", markersize=4, label="attacks of the sound")
    for event in events or ():
        nearest = found[np.argmin(np.abs(found - event.time))] if len(found) else np.inf
        if abs(nearest - event.time) < _OFFSETS:
            text = f"{1000 * (nearest - event.time):+.0f}"
            axis.text(nearest, -0.28, text, fontsize=6, ha="center", va="top")
    axis.set(ylabel="events, ms", ylim=(-0.55, 1.45), yticks=[0, 1])


def _plot_sound(place_axis, level_axis, sound: np.ndarray, rate: int) -> None:
    moments, difference, _, sounding = level_difference(sound, rate)
    # The place at which the panner would have made this level difference; it grows steadily from left to right.
    places = np.linspace(-1.0, 1.0, 201)
    left, right = pan_gains(places)
    azimuth = np.interp(difference[sounding], 20 * np.log10(right / left), places)
    place_axis.scatter(moments[sounding], azimuth, s=14, color="black", label="sound, by level difference")
    step = max(1, int(0.02 * rate))
    count = sound.shape[1] // step
    for channel, name, colour in ((0, "left", "tab:blue"), (1, "right", "tab:red")):
        power = np.square(sound[channel, : count * step]).reshape(count, step).mean(axis=1)
        level = np.maximum(10 * np.log10(power + 1e-12), -80)
        level_axis.plot((np.arange(count) + 0.5) * step / rate, level, color=colour, label=name, linewidth=1, alpha=0.8)
    level_axis.set(ylabel="level (dBFS)", ylim=(-81, 0))


def alignment_report(
    stereo: np.ndarray,
    rate: int,
    tracks: Tracks,
    *,
    depth: DepthSequence | None = None,
    reference: np.ndarray | None = None,
    events: Events | None = None,
    law: str = "auto",
) -> tuple[dict[str, Any], np.ndarray]:
    """Scores of a sound for a clip, and the figure uint8 RGB ``[H, W, 3]``.

    :param stereo: ``[2, N]``, as long as the clip.
    :param reference: ``[C, N]`` at 44.1 kHz, with ``rate`` the same: the true sound, for timing.
    :param events: what should sound when, for how far the sound's attacks are from it.
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
    if events is not None:
        check_events_fit(events, tracks.duration)
        found = attacks(stereo, rate)
        score = sync_score(found, events.times)
        report |= {
            "sync_f1": round(score.f1, 4),
            "sync_by_chance": round(sync_by_chance(found, events.times, tracks.duration), 4),
            "sync_hits": score.hits,
            "sync_misses": score.misses,
            "sync_other_attacks": score.others,
            "sync_offset_ms": None if score.offset is None else round(1000 * score.offset, 1),
        }
    return report, _plot_report(localisation, find_onsets(stereo, rate), truth, report, depth=depth, events=events)


def _plot_report(
    localisation: Localisation,
    onsets: np.ndarray,
    truth: Truth,
    scores: Mapping[str, Any],
    *,
    depth: DepthSequence | None = None,
    events: Events | None = None,
) -> np.ndarray:
    """A figure as uint8 RGB ``[900, 1100, 3]``.

    :param onsets: seconds at which something begins to sound.
    :param scores: names as in a clip's row; what is None is shown as a dash.
    """
    figure, canvas = _new_figure(1100, 900)
    grid = figure.add_gridspec(3, 2, width_ratios=[2.2, 1])
    place, level = figure.add_subplot(grid[0, :]), figure.add_subplot(grid[1, :])
    far, table = figure.add_subplot(grid[2, 0]), figure.add_subplot(grid[2, 1])
    tracks = truth.tracks
    owner = np.where(localisation.sounding, truth.owner(localisation.times), NOBODY)
    for number, (track, look) in enumerate(_draw_azimuth(place, tracks, 2.5)):
        own = owner == number
        distance = tracks.distance(track, localisation.times[own], depth) if own.any() else np.zeros(0)
        far.semilogx(distance, localisation.level_db[own], ".", **look)
    use = localisation.sounding
    spread = np.minimum(localisation.uncertainty[use], 1.0)
    dots: dict[str, Any] = {"fmt": "o", "color": "black", "markersize": 3, "elinewidth": 0.7, "alpha": 0.7}
    place.errorbar(localisation.times[use], localisation.azimuth[use], spread, label="sound", **dots)
    place.legend(loc="upper right", fontsize=8)
    level.plot(localisation.times, np.maximum(localisation.level_db, -80), color="black", linewidth=1, label="level")
    level.vlines(onsets, -80, 0, color="tab:red", linewidth=0.8, label="onsets found")
    if truth.step_times is not None:
        level.vlines(truth.step_times[0], -80, 0, color="tab:green", linewidth=0.8, linestyle=":", label="steps")
    if events is not None:
        level.vlines(events.times, -80, 0, color="tab:blue", linewidth=0.8, linestyle="--", label="events")
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
    return _pixels(canvas)
