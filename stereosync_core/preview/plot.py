"""Place and level over time in one figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..media.sound import Sound, to_stereo
from ..rendering.analysis import level_difference
from ..rendering.panning import pan_gains
from ..scene import DepthSequence, Tracks, check_depth_fits
from .overlay import COLOURS

if TYPE_CHECKING:  # matplotlib takes a second to import, which a host's start has no use for
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

#: Larger than usual, so that the text is readable in a node on the canvas.
DPI = 130


def new_figure(width: int, height: int) -> tuple[Figure, FigureCanvasAgg]:
    """An empty figure of so many pixels, and what it is drawn on."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, layout="constrained")
    return figure, FigureCanvasAgg(figure)


def pixels(canvas: FigureCanvasAgg) -> np.ndarray:
    """The drawn figure, uint8 RGB ``[H, W, 3]``."""
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def plot_scene(
    tracks: Tracks,
    *,
    depth: DepthSequence | None = None,
    sound: Sound | None = None,
) -> np.ndarray:
    """A figure as uint8 RGB ``[720, 1000, 3]``: azimuth and distance of each object, and level and left/right difference.

    :param sound: None for a figure of the objects alone.
    :raises StereoSyncError: the depth belongs to a clip of another length.
    """
    if depth is not None:
        check_depth_fits(depth, tracks.duration)
    figure, canvas = new_figure(1000, 720)
    rows = 2 if sound is None else 3
    axes = figure.subplots(rows, 1, sharex=True)
    times = np.arange(0.0, tracks.duration, 0.02)
    for place, track in enumerate(tracks):
        colour = np.array(COLOURS[place % len(COLOURS)]) / 255
        _, visible = track.at(times, tracks.max_gap)
        name = f"{track.label} {track.id}"
        azimuth = track.azimuth(times, tracks.max_gap)
        axes[0].plot(times, np.where(visible, azimuth, np.nan), color=colour, label=name, linewidth=2)
        distance = tracks.distance(track, times, depth)
        axes[1].plot(times, np.where(visible, distance, np.nan), color=colour, linewidth=2, label=name)
    axes[0].set(ylabel="azimuth", ylim=(-1.05, 1.05), yticks=[-1, 0, 1], yticklabels=["left", "centre", "right"])
    axes[1].set(ylabel="distance (1 = median)")
    axes[1].set_ylim(bottom=0)
    if sound is not None:
        _plot_sound(axes[0], axes[2], to_stereo(sound.samples), sound.rate)
    for axis in axes:
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(loc="upper right", fontsize=8)
    axes[-1].set(xlabel="seconds", xlim=(0, tracks.duration))
    return pixels(canvas)


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
