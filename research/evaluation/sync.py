"""Events and sounds against the true times of clips: F1, offset, false alarms, and what chance gives.

    STEREOSYNC_CLIPS=FOLDER python -m research.evaluation.sync [--events FOLDER] [--sounds FOLDER] [--tracks FOLDER] [clip ...]

FOLDER holds NAME.mp4 with NAME.truth.json: events (time, kind, tol, x, who, minor), ``complete`` windows in which every
event of ``complete_kinds`` is there, ``uncertain`` moments that are neither hits nor misses, and each person's ``path``.
Without --events and --sounds, events are detected; the bundled walking clip joins with the times below.

A hit lies within the larger of the event's tolerance and 50 ms. False alarms count inside complete windows alone, and for
events only those of the windows' kinds and people. Chance is the mean over the same times shifted at random, round the clip.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np

from stereosync_core.assets import WALKING_CLIP, asset_path
from stereosync_core.errors import StereoSyncError
from stereosync_core.events.detect import detect_events
from stereosync_core.events.files import load_events
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


def score(times: np.ndarray, truth: dict, counted: np.ndarray | None = None) -> SyncScore:
    """Times ``[N]`` in seconds against a clip's truth.

    :param counted: bool ``[N]``, False for what is no false alarm wherever it lies.
    """
    times = np.asarray(times, dtype=np.float64)
    major = [event for event in truth["events"] if not event.get("minor")]
    ignored = np.array([*truth["uncertain"], *(event["time"] for event in truth["events"] if event.get("minor"))])
    wrong = np.array([any(first <= time <= last for first, last in truth["complete"]) for time in times], dtype=bool)
    if len(ignored):
        wrong &= np.abs(times[:, None] - ignored).min(1) > TOLERANCE
    reach = np.array([max(event.get("tol", 0.0), TOLERANCE) for event in major])
    true = np.array([event["time"] for event in major])
    return sync_score(times, true, reach, wrong if counted is None else wrong & counted)


def chance(times: np.ndarray, truth: dict, duration: float, counted: np.ndarray | None = None, shifts: int = 200) -> float:
    """Mean F1 of the same times, shifted at random round the clip."""
    random = np.random.default_rng(0)
    moved = [(np.asarray(times) + random.uniform(0.25, duration - 0.25)) % duration for _ in range(shifts)]
    return float(np.mean([score(one, truth, counted).f1 for one in moved]))


def kept_for(events: Events, truth: dict, tracks: Tracks | None) -> tuple[np.ndarray, np.ndarray]:
    """Times of the events of the kinds that the truth is about, and which of them may count as false alarms: the watched
    people's."""
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
    return np.array([event.time for event in wanted]), counted


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
    parser.add_argument("--classes", default="person,sports ball", help="what to track (default: person,sports ball)")
    parser.add_argument("--max-tracks", type=int, default=3)
    arguments = parser.parse_args()
    rows = []
    for name, (path, truth) in clips().items():
        if arguments.names and name not in arguments.names:
            continue
        duration = probe(path).duration
        counted, others = None, 0
        if arguments.sounds:
            sound = require_sound(next(arguments.sounds.glob(f"{name}.*")), name)
            times = attacks(sound.samples, sound.rate)
        else:
            tracks = track_video(path, classes=arguments.classes, max_tracks=arguments.max_tracks)
            saved = arguments.events / f"{name}.json" if arguments.events else None
            events = load_events(saved, duration) if saved else detect_events(path, tracks)
            times, counted = kept_for(events, truth, tracks)
            others = len(events) - len(times)
        result = score(times, truth, counted)
        rows.append(result)
        middle = f"{1000 * np.median(result.offsets):+.0f}" if len(result.offsets) else "-"
        print(
            f"| {name} | {result.f1:.2f} | {result.hits} of {result.hits + result.misses} | {result.others} | "
            f"{middle} ms | {chance(times, truth, duration, counted):.2f} | {others} |",
            flush=True,
        )
    print(f"mean F1 {np.mean([row.f1 for row in rows]):.3f}")


if __name__ == "__main__":
    main()
