"""A placed sound through the model: how far its place, its time and its level survive as the strength grows, and how near it
comes to recordings."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from stereosync_core.errors import StereoSyncError
from stereosync_core.media.output import replacing
from stereosync_core.media.sound import Sound
from stereosync_core.metrics.clips import RATE
from stereosync_core.model.conditioning.spatial import SpatialConditioning
from stereosync_core.model.pipeline import StereoSyncPipeline
from stereosync_core.rendering.analysis import level_difference
from stereosync_core.rendering.spatialize import SpatializeSettings, spatialize
from stereosync_core.rendering.voices import event_voices

from ..rooms.rooms import RoomClip
from .systems import EvaluationClip, System

PLACED = "placed"
#: Head, key and digits of a row's scores.
SCORES = (
    ("placement", "placement_own_law", 2),
    ("onset F1", "onset_f1", 2),
    ("offset ms", "offset_ms", 1),
    ("level error dB", "level_error", 2),
    ("level difference error dB", "place_error", 2),
    ("Frechet", "frechet", 1),
)


def name_of(strength: float, match_levels: bool) -> str:
    return f"{strength:g}" + (" matched" if match_levels else "")


def seed_of(clip: EvaluationClip) -> int:
    """From the clip's name, so that any part of a set gives the same sounds."""
    return zlib.crc32(clip.name.encode()) % 2**31


def placed_sound(clip: RoomClip) -> np.ndarray:
    """What the renderer makes of a room's true events: steps by rule on its surface and bursts for the rest, in place."""
    voices = event_voices(clip.events(only_visible=True), clip.tracks, surface=clip.surface, rate=RATE, seed=seed_of(clip))[0]
    return spatialize(voices, RATE, clip.tracks, SpatializeSettings(), duration=clip.duration, depth=clip.depth)


class Refined:
    """A system: the placed sound of a clip, refined at a strength."""

    def __init__(self, pipeline: StereoSyncPipeline, strength: float, match_levels: bool = False):
        self.pipeline, self.strength, self.match_levels = pipeline, strength, match_levels
        self.level_errors: list[float] = []
        self.place_errors: list[float] = []

    def __call__(self, clip: EvaluationClip) -> np.ndarray:
        placed = room_sound(clip)
        assert isinstance(clip, RoomClip)
        made = self.pipeline(
            SpatialConditioning(clip.tracks, clip.depth),
            audio=Sound(placed, RATE),
            strength=self.strength,
            match_levels=self.match_levels,
            events=clip.events(only_visible=True),
            timbre=clip.surface,
            seed=seed_of(clip),
        ).samples
        _, wanted, level, sounding = level_difference(placed, RATE)
        if sounding.any():
            _, found, own, _ = level_difference(made, RATE)
            change = (own - level)[sounding]
            self.level_errors.append(float(np.abs(change - np.median(change)).mean()))
            self.place_errors.append(float(np.abs(found - wanted)[sounding].mean()))
        return made


def room_sound(clip: EvaluationClip) -> np.ndarray:
    """:func:`placed_sound` of a room. Raises StereoSyncError for any other clip, whose events are not known."""
    if not isinstance(clip, RoomClip):
        raise StereoSyncError("Refine: true events are known of walking rooms alone; give the folder of a split of rooms.")
    return placed_sound(clip)


def systems_for(
    pipeline: StereoSyncPipeline, strengths: Sequence[float], matched: Sequence[float]
) -> tuple[dict[str, System], dict[str, Refined]]:
    """The placed sound and its refinements, and the latter alone."""
    refined = {name_of(one, False): Refined(pipeline, one) for one in strengths}
    refined |= {name_of(one, True): Refined(pipeline, one, True) for one in matched}
    return {PLACED: room_sound, **refined}, refined


def add_errors(rows: list[dict[str, Any]], refined: dict[str, Refined]) -> None:
    """Level errors, and the shares of the placed sound that the issue of placement and onsets is about, to each row."""
    placed = next(row for row in rows if row["system"] == PLACED)
    for row in rows:
        if row["system"] in refined:
            system = refined[row["system"]]
            row |= {"level_error": float(np.mean(system.level_errors)), "place_error": float(np.mean(system.place_errors))}
        for share, key in (("placement_share", "placement_own_law"), ("onset_share", "onset_f1")):
            row[share] = row[key] / placed[key] if row.get(key) is not None and placed.get(key) else None
        nearer = None
        if row.get("frechet") is not None and placed.get("frechet"):
            nearer = 1 - row["frechet"] / placed["frechet"]
        row["frechet_nearer"] = nearer


def refine_table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = [["strength", *(head for head, _, _ in SCORES), "placement, F1 over the placed sound's", "Frechet nearer by"]]
    for row in rows:
        cells = ["-" if row.get(key) is None else f"{row[key]:.{digits}f}" for _, key, digits in SCORES]
        shares = [row[key] for key in ("placement_share", "onset_share")]
        kept = "-" if None in shares else ", ".join(f"{share:.2f}" for share in shares)
        nearer = "-" if row["frechet_nearer"] is None else f"{100 * row['frechet_nearer']:.0f} %"
        lines.append([row["system"], *cells, kept, nearer])
    head, *others = ("| " + " | ".join(line) + " |" for line in lines)
    return "\n".join([head, "|" + "---|" * len(lines[0]), *others])


def draw_curve(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Placement, onset F1 and Frechet distance over the strength, as parts of the placed sound's."""
    figure = Figure(figsize=(7, 4), dpi=80, layout="constrained")
    axis = figure.subplots()
    for suffix, style in (("", "-o"), (" matched", "--s")):
        own = [row for row in rows if row["system"] not in (PLACED, "recordings") and row["system"].endswith(suffix)]
        own = [row for row in own if suffix or not row["system"].endswith("matched")]
        at = [float(row["system"].removesuffix(suffix)) for row in own]
        for key, name, colour in (
            ("placement_share", "placement", "#0072B2"),
            ("onset_share", "onset F1", "#009E73"),
            ("frechet_nearer", "Frechet distance", "#D55E00"),
        ):
            values = [np.nan if row[key] is None else row[key] for row in own]
            values = [1 - value for value in values] if key == "frechet_nearer" else values
            if own:
                axis.plot(at, values, style, color=colour, label=name + suffix)
    axis.set(xlabel="strength", ylabel="over the placed sound's", ylim=(0, 1.2))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    with replacing(Path(path)) as temporary, open(temporary, "wb") as handle:
        FigureCanvasAgg(figure).print_png(handle)
