"""What is in a set of rooms, and what the engine did with it, measured: metrics and a picture for docs/rooms.md.

``python -m research.rooms.report DIR [--figure FILE.png]`` prints the metrics of one split as JSON.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from stereosync_core.preview.overlay import draw_tracks
from stereosync_core.rendering.analysis import level_difference, placement_correlation

from .rooms import ENGINE_GAIN, ENGINE_LATENCY, RoomClip, RoomSet, engine_gains
from .walkers import RATE, TICS_PER_SECOND

_WINDOW = 0.12  # seconds of a step that are looked at


class LoneSteps(NamedTuple):
    """Every step of walkers who are alone, all ``[N]``: azimuth, metres, level difference in dB (right minus left), gain in dB
    over the dry step, and seconds from the plan's moment to the sound."""

    azimuth: np.ndarray
    distance: np.ndarray
    difference: np.ndarray
    gain: np.ndarray
    late: np.ndarray


def lone_steps(clip: RoomClip) -> np.ndarray:
    """Rows ``[N, 5]`` of a clip with one walker, see :class:`LoneSteps`; not those cut off by the clip's end or the next."""
    rows, voice, size = [], clip.voices()[0], round(_WINDOW * RATE)
    for moment in clip.steps[0].times:
        start, tic = round(moment * RATE), round(moment * TICS_PER_SECOND)
        sound = clip.sound[:, start + ENGINE_LATENCY : start + ENGINE_LATENCY + size].astype(np.float64)
        dry = voice[start : start + size].astype(np.float64)
        if sound.shape[1] < size or abs(clip.bearing[0, tic]) > np.pi / 2:
            continue
        left, right = (sound**2).sum(1) + 1e-12
        placed, given = np.abs(clip.sound[:, start : start + size]).max(0), np.abs(dry)
        onset = np.argmax(placed > 0.1 * placed.max()) - np.argmax(given > 0.1 * given.max())
        gain = 10 * np.log10((left + right) / (dry**2).sum())
        rows.append((clip.azimuth[0, tic], clip.distance[0, tic], 10 * np.log10(right / left), gain, onset / RATE))
    return np.array(rows).reshape(-1, 5)


def report(rooms: RoomSet) -> tuple[dict[str, Any], LoneSteps]:
    """Metrics of a set, and the steps they were taken from."""
    counts: dict[str, Counter] = {"cameras": Counter(), "surfaces": Counter(), "walkers": Counter()}
    visible, azimuth, distance, cadence, peaks, alone = [], [], [], [], [], []
    correlations, sides, levels, offsets = [], [], [], []
    whole = steps = 0
    for clip in rooms:
        counts["cameras"][clip.camera_kind] += 1
        counts["surfaces"][clip.surface] += 1
        counts["walkers"][str(len(clip.steps))] += 1
        visible.append(clip.visible.mean())
        azimuth.append(np.abs(clip.azimuth[clip.visible]))
        distance.append(clip.distance.ravel())
        cadence += [row["cadence"] for row in clip.facts["walkers"]]
        steps += sum(map(len, clip.steps))
        whole += clip.all_visible
        peaks.append(float(np.abs(clip.sound).max()))
        offsets += [
            np.abs(track.azimuth(track.times) - clip.azimuth[track.id - 1][clip.visible[track.id - 1]]) for track in clip.tracks
        ]
        _, side, level, sounding = level_difference(clip.sound, RATE)
        _, our_side, our_level, our_sounding = level_difference(clip.full_mix(), RATE)
        sides.append((side - our_side)[sounding & our_sounding])
        levels.append((level - our_level)[sounding & our_sounding])
        if len(clip.steps) == 1:
            alone.append(lone_steps(clip))
            if clip.all_visible and len(clip.tracks) and np.ptp(clip.azimuth[0]) > 0.2:
                correlations.append(placement_correlation(clip.sound, RATE, clip.tracks.tracks[0]))
    all_steps = LoneSteps(*np.concatenate([np.zeros((0, 5)), *alone]).T)
    far = all_steps.distance > 2.2
    size = sum(row["bytes"] for row in rooms.manifest["shards"])
    hours = len(rooms) * rooms.manifest["seconds"] / 3600

    def quantiles(values, digits: int = 2) -> list[float]:
        flat = np.concatenate([np.ravel(value) for value in values]) if len(values) else np.zeros(1)
        return [round(float(value), digits) for value in np.quantile(flat, [0.05, 0.25, 0.5, 0.75, 0.95])]

    metrics: dict[str, Any] = {
        "clips": len(rooms),
        "hours": round(hours, 3),
        "megabytes_an_hour": round(size / 1e6 / hours),
        **{name: dict(sorted(counter.items())) for name, counter in counts.items()},
        "steps": steps,
        "cadence_hz": quantiles([cadence]),
        "visible_part_of_time": round(float(np.mean(visible)), 3),
        "clips_with_all_steps_visible": round(whole / len(rooms), 3),
        "azimuth_from_middle_while_visible": quantiles(azimuth),
        "metres": quantiles(distance),
        "box_middle_against_place": quantiles(offsets, 3),
        "peak": [*quantiles([peaks], 3), round(max(peaks), 3)],
        "single_visible_walker_clips": len(correlations),
        "placement_correlation_median": round(float(np.nanmedian(correlations)), 4) if correlations else None,
        "placement_correlation_least": round(float(np.nanmin(correlations)), 4) if correlations else None,
        "single_walker_steps": len(all_steps.gain),
        "own_mix_side_error_db": round(float(np.abs(np.concatenate(sides)).mean()), 3),
        "own_mix_level_error_db": round(float(np.abs(np.concatenate(levels)).mean()), 3),
    }
    if far.sum() > 3:
        slope = np.polyfit(np.log2(all_steps.distance[far]), all_steps.gain[far], 1)[0]
        metrics |= {
            "level_against_distance_rank_correlation": round(
                float(spearmanr(all_steps.distance, all_steps.gain)[0]),  # type: ignore[arg-type]
                4,
            ),
            "level_db_a_doubling_of_distance": round(float(slope), 3),
            "onset_after_plan_ms": [round(1000 * float(q), 2) for q in np.quantile(all_steps.late, [0.05, 0.5, 0.95])],
        }
    return metrics, all_steps


def draw(rooms: RoomSet, steps: LoneSteps, path: Path, clips: int = 5) -> None:
    """Frames with boxes, one clip's sound over its walker's place, and what place and distance do to the steps."""
    figure = Figure(figsize=(15, 11), dpi=80, layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=[1, 1.25])
    for n, pair in enumerate(upper.subplots(2, clips).T):
        clip = rooms[n * len(rooms) // clips]
        times, frames = clip.frames()
        for axis, at in zip(pair, (len(times) // 4, 3 * len(times) // 4), strict=True):
            axis.imshow(draw_tracks(frames[at].repeat(2, 0).repeat(2, 1), clip.tracks, float(times[at])))
            axis.set_title(f"{clip.camera_kind}, {clip.surface}, {times[at]:.1f} s", fontsize=9)
            axis.axis("off")
    grid = lower.add_gridspec(2, 2)
    alone = [clip for clip in rooms if len(clip.steps) == 1 and clip.all_visible]
    clip = max(alone, key=lambda one: np.ptp(one.azimuth[0]))
    axis = lower.add_subplot(grid[0, :])
    seconds = np.arange(clip.sound.shape[1]) / RATE
    peak = np.abs(clip.sound).max()
    for channel, name, offset in ((0, "left", 1), (1, "right", -1)):
        axis.plot(seconds, clip.sound[channel] / peak + offset, linewidth=0.6, label=name)
    axis.plot(clip.times, clip.azimuth[0], color="black", label="azimuth")
    axis.vlines(clip.steps[0].times, -2, 2, color="grey", linewidth=0.6, linestyle=":", label="steps of the plan")
    axis.set_xlim(0, clip.duration)
    axis.set_title(
        f"clip {clip.number}: {clip.camera_kind} camera, one walker on {clip.surface}; the engine's mix", fontsize=10
    )
    axis.legend(ncol=4, fontsize=9)
    left, right = lower.add_subplot(grid[1, 0]), lower.add_subplot(grid[1, 1])
    left.plot(steps.azimuth, np.clip(steps.difference, -45, 45), ".", markersize=3, alpha=0.5, label="steps")
    line = np.linspace(-1, 1, 101)
    places = 5 * np.stack([np.sin(np.arctan(line)), np.cos(np.arctan(line))], 1)
    gains = engine_gains(np.tile([0, 0, np.pi / 2], (101, 1)), places)
    left.plot(line, 20 * np.log10(gains[1] / gains[0]), "k", linewidth=1, label="panning law")
    left.set(xlabel="azimuth in the frame", ylabel="right minus left, dB")
    right.semilogx(steps.distance, steps.gain, ".", markersize=3, alpha=0.5, label="steps")
    metres = np.geomspace(2.2, max(float(steps.distance.max()), 3.0), 50)
    near = engine_gains(np.tile([0, 0, np.pi / 2], (50, 1)), np.stack([0 * metres, metres], 1))
    right.semilogx(
        metres, 10 * np.log10((near**2).sum(0)) + 20 * np.log10(ENGINE_GAIN), "k", linewidth=1, label="inverse distance"
    )
    right.set(xlabel="metres", ylabel="level over the dry step, dB")
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.legend(fontsize=9)
    FigureCanvasAgg(figure).print_png(str(path))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of one split")
    parser.add_argument("--figure", type=Path, metavar="FILE.png")
    arguments = parser.parse_args()
    rooms = RoomSet(arguments.folder)
    metrics, steps = report(rooms)
    print(json.dumps(metrics, indent=1))
    if arguments.figure:
        draw(rooms, steps, arguments.figure)


if __name__ == "__main__":
    main()
