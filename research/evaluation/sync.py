"""Events and sounds against the true times of clips: F1, offset, false alarms, and what chance gives.

    python -m research sync [CLIPS] [SOUNDS] [--only NAME ...] [--events FOLDER] [--tracks FOLDER]

CLIPS holds NAME.mp4 with NAME.truth.json: events (time, kind, tol, x, who, minor), ``complete`` windows in which every
event of ``complete_kinds`` is there, ``uncertain`` moments that are neither hits nor misses, each person's ``path``, and where
known ``view`` and ``gait``, by which the rows are then pooled (:mod:`research.evaluation.drawn_people` writes such clips).
Without SOUNDS, events are detected; the bundled walking clip joins with the times below. Where NAME.tracks.json
lies next to a clip, or in the folder of --tracks, these boxes are given to the detection and the tracker does not run.

A hit is of the event's kind and lies within the larger of its tolerance and 50 ms. False alarms count inside complete windows
alone, and for events only those of the windows' kinds and people. Chance is the mean over the same times shifted at random,
round the clip.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from stereosync_core.assets import WALKING_CLIP, asset_path
from stereosync_core.errors import StereoSyncError
from stereosync_core.events.detect import detect_events
from stereosync_core.events.files import load_events
from stereosync_core.files import load_tracks
from stereosync_core.media.sound import require_sound
from stereosync_core.media.video import probe
from stereosync_core.metrics.sync import TOLERANCE, SyncScore, attacks, sync_score
from stereosync_core.scene import Tracks
from stereosync_core.scene_events import Events
from stereosync_core.tracking.registry import track_video

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


def score(times: np.ndarray, truth: dict, counted: np.ndarray | None = None, kinds: list[str] | None = None) -> SyncScore:
    """Times ``[N]`` in seconds against a clip's truth.

    :param counted: bool ``[N]``, False for what is no false alarm wherever it lies.
    :param kinds: of the events ``[N]``; a time then hits events of its own kind alone.
    """
    times = np.asarray(times, dtype=np.float64)
    major = [event for event in truth["events"] if not event.get("minor")]
    ignored = np.array([*truth["uncertain"], *(event["time"] for event in truth["events"] if event.get("minor"))])
    wrong = np.array([any(first <= time <= last for first, last in truth["complete"]) for time in times], dtype=bool)
    if len(ignored):
        wrong &= np.abs(times[:, None] - ignored).min(1) > TOLERANCE
    reach = np.array([max(event.get("tol", 0.0), TOLERANCE) for event in major])
    true = np.array([event["time"] for event in major])
    pairs = None if kinds is None else np.array([[KINDS.get(event["kind"]) == kind for kind in kinds] for event in major])
    return sync_score(times, true, reach, wrong if counted is None else wrong & counted, pairs)


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


def pooled(rows: list[tuple[dict, SyncScore]], by: str) -> list[str]:
    """Lines of a table of the clips whose truth has ``view`` and ``gait``, one for each value of one of them."""
    lines, rows = [], [(truth, row) for truth, row in rows if {"view", "gait"} <= truth.keys()]
    for value in dict.fromkeys(truth[by] for truth, _ in rows):
        scores = [row for truth, row in rows if truth[by] == value]
        hits, misses, wrong = (sum(getattr(row, name) for row in scores) for name in ("hits", "misses", "others"))
        f1 = np.mean([row.f1 for row in scores])
        middle = _middle(np.concatenate([row.offsets for row in scores]))
        lines.append(f"| {by}: {value} | {len(scores)} | {f1:.2f} | {hits} of {hits + misses} | {wrong} | {middle} |")
    return lines


def _middle(offsets: np.ndarray) -> str:
    return f"{1000 * np.median(offsets):+.0f} ms" if len(offsets) else "-"


def clips(folder: Path | None) -> dict[str, tuple[Path, dict]]:
    """The clips of a folder by name, with their truth; the bundled one first.

    :raises StereoSyncError: where there is no such folder.
    """
    found = {"walking (bundled)": (asset_path(WALKING_CLIP), WALKING_TRUTH)}
    if folder is not None:
        if not folder.is_dir():
            raise StereoSyncError(f"Sync: there is no folder '{folder}'; name the folder of clips with NAME.truth.json.")
        for path in sorted(folder.glob("*.truth.json")):
            name = path.name.removesuffix(".truth.json")
            found[name] = (path.with_name(name + ".mp4"), json.loads(path.read_text(encoding="utf-8")))
    return found


def measure(
    folder: Path | None,
    sounds: Path | None = None,
    *,
    names: Sequence[str] = (),
    events: Path | None = None,
    tracks: Path | None = None,
    classes: str = "person",
    max_tracks: int = 1,
) -> Iterator[tuple[str, dict, SyncScore]]:
    """A line of the table, the truth and the score, clip by clip.

    :param sounds: folder with NAME.wav or NAME.mp4, whose attacks are scored; without it, events are detected and scored.
    :param names: of the clips; all of them where empty.
    :param events: folder with NAME.json, scored instead of events that are detected; clips without one are left out.
    :param tracks: folder with NAME.tracks.json (default: ``folder``); the tracker runs where there is none.
    """
    for name, (path, truth) in clips(folder).items():
        saved = events and events / f"{name}.json"
        if (names and name not in names) or (saved and not saved.is_file()):
            continue
        info = probe(path)
        counted, kinds, others, note = None, None, 0, ""
        if sounds is not None:
            file = next(sounds.glob(f"{name}.*"), sounds / f"{name}.wav")
            sound = require_sound(file, name)
            times = attacks(sound.samples, sound.rate)
        else:
            given = (tracks or path.parent) / f"{name}.tracks.json"
            if given.is_file():
                boxes, note = load_tracks(given, info.duration, info.width / info.height), " boxes given |"
            else:
                boxes = track_video(path, classes=classes, max_tracks=max_tracks)
            found = load_events(saved, info.duration) if saved else detect_events(path, boxes)
            times, counted, kinds = kept_for(found, truth, boxes)
            others = len(found) - len(times)
        result = score(times, truth, counted, kinds)
        line = (
            f"| {name} | {result.f1:.2f} | {result.hits} of {result.hits + result.misses} | {result.others} | "
            f"{_middle(result.offsets)} | {chance(times, truth, info.duration, counted, kinds):.2f} | {others} |{note}"
        )
        yield line, truth, result
