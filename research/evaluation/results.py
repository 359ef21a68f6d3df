"""Tables and plots of a comparison, and the page that they stand on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from stereosync_core.errors import StereoSyncError
from stereosync_core.media.output import replacing

BEGIN, END = "<!-- evaluate: begin -->", "<!-- evaluate: end -->"
FIGURE = "evaluation.png"


def _shown(value: Any, digits: int = 2) -> str:
    if value is None:
        return "-"
    return f"{round(value, digits) + 0.0:.{digits}f}"  # the sum makes a plain zero of a negative one


#: Head, key and digits of the scores between a system's placement and its Frechet distance.
SCORES = (
    ("own law", "placement_own_law", 2),
    ("Spatial AV-Align", "spatial_av_align", 2),
    ("box recall", "spatial_av_align_precision", 2),
    ("corrected", "spatial_av_align_corrected", 2),
    ("gap closed", "placement_gap_closed", 2),
    ("distance", "distance_correlation", 2),
    ("dB a doubling", "level_db_a_doubling", 1),
    ("onset F1", "onset_f1", 2),
    ("offset ms", "offset_ms", 0),
    ("rise ms", "rise_ms", 0),
    ("width ms", "width_ms", 0),
    ("surface", "surface_right", 2),
    ("class", "class_right", 2),
    ("E-L1", "e_l1", 4),
)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The comparison as a Markdown table."""
    scores = [one for one in SCORES if any(one[1] in row for row in rows)]
    joint = ["joint Frechet"] if any(row.get("joint_frechet") is not None for row in rows) else []
    lines = [["system", "placement (95 %)", *(head for head, _, _ in scores), "Frechet (windows)", *joint]]
    for row in rows:
        place, low, high = (_shown(row[key]) for key in ("placement", "placement_low", "placement_high"))
        frechet = "-"
        if row.get("frechet") is not None:
            frechet = "{:.1f} ({}, {})".format(row["frechet"], *row["frechet_windows"])
        cells = [row["system"], f"{place} ({low} to {high})", *(_shown(row.get(key), digits) for _, key, digits in scores)]
        lines.append([*cells, frechet, *(_shown(row.get("joint_frechet"), 3) for _ in joint)])
    head, *others = ("| " + " | ".join(line) + " |" for line in lines)
    return "\n".join([head, "|" + "---|" * len(lines[0]), *others])


def _numbers(rows: Sequence[Mapping[str, Any]], key: str) -> np.ndarray:
    return np.array([np.nan if row[key] is None else row[key] for row in rows], dtype=np.float64)


def draw_comparison(rows: Sequence[Mapping[str, Any]], results: Mapping[str, Mapping[str, Any]], path: Path) -> Path:
    """Scores of all systems side by side, and placement against the published metric clip by clip."""
    figure = Figure(figsize=(13, 5.2), dpi=80, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.4, 1])
    scores = (
        ("placement", "placement"),
        ("spatial_av_align", "Spatial AV-Align, as published"),
        ("spatial_av_align_corrected", "corrected for chance"),
    )
    at = np.arange(len(rows))
    for n, (key, name) in enumerate(scores):
        values = _numbers(rows, key)
        bars = left.bar(at + (n - 1) * 0.27, values, 0.25, label=name, color=("#0072B2", "#E69F00", "#009E73")[n])
        left.bar_label(bars, ["" if np.isnan(value) else _shown(value) for value in values], fontsize=7, padding=2)
        if key == "placement":
            low, high = _numbers(rows, "placement_low"), _numbers(rows, "placement_high")
            left.errorbar(at - 0.27, values, [values - low, high - values], fmt="none", ecolor="black", capsize=2, linewidth=1)
    left.set_xticks(at, [row["system"] for row in rows], rotation=20, ha="right")
    left.axhline(0, color="black", linewidth=0.8)
    lowest = min([row[key] for row in rows for key, _ in scores if row[key] is not None], default=0.0)
    left.set(
        ylim=(min(lowest * 1.15, -0.2), 1.2), title="Sound in the middle: 0 on placement, credit from the published metric"
    )
    left.legend(fontsize=8, loc="lower right")
    left.grid(alpha=0.3, axis="y")
    colours = ("black", "#009E73", "#E69F00", "#D55E00", "#56B4E9", "#CC79A7", "#0072B2", "#999999", "#F0E442")
    for row, colour in zip(rows, colours, strict=False):
        pairs = [(one.align.score, one.placement.clip.score) for one, *_ in results[row["system"]].values()]
        points = np.array([pair for pair in pairs if None not in pair], dtype=np.float64).reshape(-1, 2)
        right.scatter(points[:, 0], np.maximum(points[:, 1], -1.5), s=9, alpha=0.5, color=colour, label=row["system"])
    right.axhline(0, color="black", linewidth=0.8)
    right.set(title="clip by clip", ylim=(-1.55, 1.05))
    right.set(xlabel="Spatial AV-Align of the clip, as published", ylabel="placement of the clip")
    right.legend(fontsize=8)
    right.grid(alpha=0.3)
    with replacing(Path(path)) as temporary, open(temporary, "wb") as handle:
        FigureCanvasAgg(figure).print_png(handle)
    return Path(path)


def write_results(
    page: Path, rows: Sequence[Mapping[str, Any]], results: Mapping[str, Mapping[str, Any]], report: Mapping[str, Any]
) -> None:
    """Put table and figure between the markers of a page; what is outside of them stays. Raises StereoSyncError when the page
    or its markers are missing."""
    try:
        text = Path(page).read_text(encoding="utf-8")
    except OSError as error:
        raise StereoSyncError(f"Results: '{page}' cannot be read ({error.strerror or error}).") from error
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise StereoSyncError(f"Results: '{page}' needs one line {BEGIN} and one line {END} after it, for what is written.")
    draw_comparison(rows, results, Path(page).parent / FIGURE)
    names = ",".join(row["system"] for row in rows)
    first = rows[0]
    about = (
        f"{report['clips']} clips; {first['events']} events and {first['placement_windows']} windows of one visible object in "
        f"{first['system']}.\nLocaliser: `{report['localiser']}`. Frechet distance: {report['embedding']}, every other clip "
        "against the recordings of the clips between,\nextrapolated to infinitely many windows."
    )
    body = f"""
    python -m research evaluate --set {report["set"]} --systems {names} --clips {report["clips"]} --write-results

{about}

{table(rows)}

![Scores by system, and clip by clip]({FIGURE})
"""
    start, stop = text.index(BEGIN) + len(BEGIN), text.index(END)
    with replacing(Path(page)) as temporary:
        temporary.write_text(text[:start] + "\n" + body + "\n" + text[stop:], encoding="utf-8")
