"""Events and sounds against the true times of clips: F1, offset, false alarms, and what chance gives.

    STEREOSYNC_CLIPS=FOLDER python -m research.evaluation.sync [--events FOLDER] [--sounds FOLDER] [--tracks FOLDER] [clip ...]

FOLDER holds NAME.mp4 with NAME.truth.json: events (time, kind, tol, x, who, minor), ``complete`` windows in which every
event of ``complete_kinds`` is there, ``uncertain`` moments that are neither hits nor misses, each person's ``path``, and where
known ``view`` and ``gait``, by which the rows are then pooled (:mod:`research.evaluation.drawn_people` writes such clips).
Without --events and --sounds, events are detected; the bundled walking clip joins with the times below. Where NAME.tracks.json
lies next to a clip, or in the folder of --tracks, these boxes are given to the detection and the tracker does not run.

A hit is of the event's kind and lies within the larger of its tolerance and 50 ms. False alarms count inside complete windows
alone, and for events only those of the windows' kinds and people. Chance is the mean over the same times shifted at random,
round the clip.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.signal import butter, sosfilt

from stereosync_core.assets import WALKING_CLIP, asset_path
from stereosync_core.errors import StereoSyncError
from stereosync_core.events.detect import detect_events
from stereosync_core.events.files import load_events
from stereosync_core.files import load_tracks
from stereosync_core.media.sound import require_sound
from stereosync_core.media.video import probe
from stereosync_core.scene import Tracks
from stereosync_core.scene_events import Events
from stereosync_core.tracking.registry import track_video

TOLERANCE = 0.05
#: What the truth calls an event, in the pack's kinds.
KINDS = {
    "step": "step",
    "jump_landing": "landing",
    "soft_landing": "landing",
    "clap": "clap",
    "kick": "impact",
    "drop": "impact",
    "bounce": "impact",
}
#: Heel strikes of the bundled walking clip's walker, read by eye off every frame around the feet (the last frame with the
#: toe up before the foot pitches down, the heel standing still): within a frame. The foot at 6.31 s lands on the frame's
#: edge; on the roof, a man waves and jumps off from 4.6 s on, and lands at about 6.7 s.
WALKING_TRUTH = {
    "events": [
        {"time": time, "kind": "step", "tol": 0.035, "who": "walker"}
        for time in (1.325, 1.99, 2.625, 3.25, 3.855, 4.475, 5.085, 5.71)
    ],
    "complete": [[0.0, 6.5]],
    "complete_kinds": ["step"],
    "uncertain": [6.31],
    "path": {"walker": [[1.3, 0.83, 0.95], [3.2, 0.53, 0.95], [4.5, 0.3, 0.95], [5.7, 0.12, 0.95], [6.4, 0.02, 0.95]]},
}
#: How far from a person's path an event's track may be, in frame widths.
_NEAR_PATH = 0.15


@dataclass(frozen=True)
class Score:
    """Hits, misses and false alarms of one clip, and the hits' offsets in seconds (late is positive)."""

    hits: int
    misses: int
    false_alarms: int
    offsets: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def f1(self) -> float:
        """1 where there was nothing to find and nothing was found."""
        total = 2 * self.hits + self.misses + self.false_alarms
        return 2 * self.hits / total if total else 1.0


def score(times: np.ndarray, truth: dict, counted: np.ndarray | None = None, kinds: list[str] | None = None) -> Score:
    """Times ``[N]`` in seconds against a clip's truth.

    :param counted: bool ``[N]``, False for what is no false alarm wherever it lies.
    :param kinds: of the events ``[N]``; a time then hits events of its own kind alone.
    """
    times = np.asarray(times, dtype=np.float64)
    major = [event for event in truth["events"] if not event.get("minor")]
    true = np.array([event["time"] for event in major])
    reach = np.array([max(event.get("tol", 0.0), TOLERANCE) for event in major])
    hit = np.zeros(len(times), dtype=bool)
    offsets = np.zeros(0)
    if len(times) and len(true):
        apart = np.abs(times[None] - true[:, None])
        if kinds is not None:
            apart[[[KINDS.get(event["kind"]) != kind for kind in kinds] for event in major]] = np.inf
        cost = np.where(apart <= reach[:, None] + 1e-9, apart, 1e3)
        rows, columns = linear_sum_assignment(cost)
        good = cost[rows, columns] < 1e3
        hit[columns[good]] = True
        offsets = times[columns[good]] - true[rows[good]]
    ignored = np.array([*truth["uncertain"], *(event["time"] for event in truth["events"] if event.get("minor"))])
    wrong = 0
    for place in np.flatnonzero(~hit):
        inside = any(first <= times[place] <= last for first, last in truth["complete"])
        near = len(ignored) and np.abs(ignored - times[place]).min() <= TOLERANCE
        wrong += inside and not near and (counted is None or bool(counted[place]))
    return Score(int(hit.sum()), len(true) - int(hit.sum()), int(wrong), offsets)


def chance(
    times: np.ndarray,
    truth: dict,
    duration: float,
    counted: np.ndarray | None = None,
    kinds: list[str] | None = None,
    shifts: int = 200,
) -> float:
    """Mean F1 of the same times, shifted at random round the clip."""
    random = np.random.default_rng(0)
    moved = [(np.asarray(times) + random.uniform(0.25, duration - 0.25)) % duration for _ in range(shifts)]
    return float(np.mean([score(one, truth, counted, kinds).f1 for one in moved]))


def sound_onsets(samples: np.ndarray, rate: int) -> np.ndarray:
    """Times at which the sound above 200 Hz rises by 6 dB within 40 ms, within 30 dB of the loudest."""
    mono = np.atleast_2d(samples).mean(0).astype(np.float64)
    treble = np.asarray(sosfilt(butter(2, 200, "highpass", fs=rate, output="sos"), mono))
    hop = max(1, round(0.005 * rate))
    count = len(treble) // hop
    power = (treble[: count * hop].reshape(count, hop) ** 2).mean(1) if count else np.zeros(0)
    if not len(power) or power.max() <= 1e-14:
        return np.zeros(0)
    level = 10 * np.log10(power / power.max() + 1e-6)
    span = round(0.04 / 0.005)
    before = np.concatenate([np.full(span, level.min()), level])
    quiet = np.lib.stride_tricks.sliding_window_view(before, span).min(1)[: len(level)]
    rise = level - quiet
    risen = (rise >= 6.0) & (level >= -30.0)
    starts = np.flatnonzero(risen & ~np.concatenate([[False], risen[:-1]]))
    moments: list[float] = []
    for start in starts:
        # the attack: where the rise is steepest
        first = max(0, start - span)
        place = first + int(np.argmax(np.diff(level[first : start + 2])))
        moment = (place + 1) * 0.005
        if not moments or moment - moments[-1] > 0.06:
            moments.append(moment)
    return np.array(moments)


def kept_for(events: Events, truth: dict, tracks: Tracks | None) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Times of the events of the kinds that the truth is about, which of them may count as false alarms (the watched
    people's), and their kinds."""
    kinds = {KINDS[event["kind"]] for event in truth["events"] if event["kind"] in KINDS}
    kinds |= {KINDS[kind.split()[0]] for kind in truth["complete_kinds"] if kind.split()[0] in KINDS}
    wanted = [event for event in events if event.kind in kinds]
    watched = {event.get("who") for event in truth["events"]} & set(truth["path"])
    counted = np.ones(len(wanted), dtype=bool)
    for place, event in enumerate(wanted):
        track = next((track for track in tracks or () if track.id == event.track), None)
        if track is None or not watched:
            continue
        box = track.at([event.time])[0][0]
        foot = np.array([(box[0] + box[2]) / 2, box[3]])
        paths = [np.array(truth["path"][who]).T for who in watched]
        away = [np.abs(foot - [np.interp(event.time, path[0], row) for row in path[1:]]).max() for path in paths]
        counted[place] = min(away) < _NEAR_PATH
    return np.array([event.time for event in wanted]), counted, [event.kind for event in wanted]


def pooled(rows: list[tuple[dict, Score]], by: str) -> list[str]:
    """Lines of a table of the clips whose truth has a ``view`` or a ``gait``, one for each."""
    lines = []
    for value in dict.fromkeys(truth[by] for truth, _ in rows if by in truth):
        scores = [row for truth, row in rows if truth.get(by) == value]
        hits, misses, wrong = (sum(getattr(row, name) for row in scores) for name in ("hits", "misses", "false_alarms"))
        f1 = np.mean([row.f1 for row in scores])
        middle = _middle(np.concatenate([row.offsets for row in scores]))
        lines.append(f"| {by}: {value} | {len(scores)} | {f1:.2f} | {hits} of {hits + misses} | {wrong} | {middle} |")
    return lines


def _middle(offsets: np.ndarray) -> str:
    return f"{1000 * np.median(offsets):+.0f} ms" if len(offsets) else "-"


def clips() -> dict[str, tuple[Path, dict]]:
    """The clips by name, with their truth; the bundled one first."""
    found = {"walking (bundled)": (asset_path(WALKING_CLIP), WALKING_TRUTH)}
    folder = os.environ.get("STEREOSYNC_CLIPS")
    if folder:
        if not Path(folder).is_dir():
            raise StereoSyncError(
                f"STEREOSYNC_CLIPS: there is no folder '{folder}'; name the folder of clips with NAME.truth.json."
            )
        for path in sorted(Path(folder).glob("*.truth.json")):
            name = path.name.removesuffix(".truth.json")
            found[name] = (path.with_name(name + ".mp4"), json.loads(path.read_text(encoding="utf-8")))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="clips (default: all)")
    parser.add_argument("--events", type=Path, metavar="FOLDER", help="score NAME.json of events instead of detecting")
    parser.add_argument("--sounds", type=Path, metavar="FOLDER", help="score the onsets of NAME.wav or NAME.mp4 instead")
    parser.add_argument("--tracks", type=Path, metavar="FOLDER", help="NAME.tracks.json lie here (default: next to the clips)")
    parser.add_argument("--classes", default="person,sports ball", help="what to track (default: person,sports ball)")
    parser.add_argument("--max-tracks", type=int, default=3)
    arguments = parser.parse_args()
    rows = []
    for name, (path, truth) in clips().items():
        if arguments.names and name not in arguments.names:
            continue
        info = probe(path)
        duration = info.duration
        counted, kinds, others, note = None, None, 0, ""
        if arguments.sounds:
            sound = require_sound(next(arguments.sounds.glob(f"{name}.*")), name)
            times = sound_onsets(sound.samples, sound.rate)
        else:
            given = (arguments.tracks or path.parent) / f"{name}.tracks.json"
            if given.is_file():
                tracks, note = load_tracks(given, duration, info.width / info.height), " boxes given |"
            else:
                tracks = track_video(path, classes=arguments.classes, max_tracks=arguments.max_tracks)
            saved = arguments.events / f"{name}.json" if arguments.events else None
            events = load_events(saved, duration) if saved else detect_events(path, tracks)
            times, counted, kinds = kept_for(events, truth, tracks)
            others = len(events) - len(times)
        result = score(times, truth, counted, kinds)
        rows.append((truth, result))
        print(
            f"| {name} | {result.f1:.2f} | {result.hits} of {result.hits + result.misses} | {result.false_alarms} | "
            f"{_middle(result.offsets)} | {chance(times, truth, duration, counted, kinds):.2f} | {others} |{note}",
            flush=True,
        )
    print(*pooled(rows, "view"), *pooled(rows, "gait"), sep="\n")
    print(f"mean F1 {np.mean([row.f1 for _, row in rows]):.3f}")


if __name__ == "__main__":
    main()
