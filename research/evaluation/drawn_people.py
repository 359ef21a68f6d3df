"""Drawn people in short clips whose events are true by construction, from five views.

    python -m research.evaluation.drawn_people FOLDER [name ...] [--seed 0]
    python -m research sync FOLDER
    python -m research.evaluation.drawn_people FOLDER --true-landmarks
    python -m research sync FOLDER --events FOLDER/true-landmarks
    python -m research.evaluation.drawn_people FOLDER --moving-cameras

Writes VIEW-GAIT-N.mp4 (640x360, H.264, 25 or 30 frames a second), VIEW-GAIT-N.truth.json as
:mod:`research.evaluation.sync` reads it, and VIEW-GAIT-N.tracks.json with the true boxes, for a detector of photographed people
overlooks some drawn ones. With --true-landmarks, no picture is drawn, but the events are written that are found in the joints
themselves: what a pose network without error would give.
"""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from itertools import product
from pathlib import Path

import av
import numpy as np

from stereosync_core.events.detect import CONFIDENCE, contacts
from stereosync_core.events.files import save_events
from stereosync_core.events.landmarks import ANKLES, HEELS, HIPS, INDEX_FINGERS, KEPT, KNEES, SHOULDERS, TOES, WRISTS, Landmarks
from stereosync_core.files import save_tracks
from stereosync_core.scene import Track, Tracks
from stereosync_core.scene_events import Events

from .drawn_motions import DrawnMotion, motion
from .drawn_pictures import HEIGHT, VIEWS, WIDTH, DrawnClip, Film, film, pictures, seen_by

SECONDS = 4.6
#: Steps, jumps or claps a second, at least and at most; of two walks the first is slow and the second fast.
CADENCES = {
    "walk": (1.4, 2.2),
    "run": (2.4, 3.0),
    "march": (1.5, 2.1),
    "stairs": (1.4, 1.8),
    "jump": (0.5, 0.8),
    "clap": (1.0, 1.8),
}
#: Seconds at either end of what is seen whole that do not count.
EDGE = 0.15


def plan() -> list[DrawnClip]:
    """The whole set: every view of what steps, jumps and claps, some of the rest."""
    clips = []
    for n, view in enumerate(VIEWS):
        clips += [
            DrawnClip(view, "walk", 1, "tripod", (25, 30)[n % 2], stops=True),
            DrawnClip(view, "walk", 2, ("pan", "hand")[n % 2], (30, 25)[n % 2]),
            DrawnClip(view, "run", 1, "dolly", 30),
            DrawnClip(view, "march", 1, ("hand", "tripod")[n % 2], (25, 30)[n % 2]),
            DrawnClip(view, "jump", 1, ("tripod", "hand")[n % 2], (30, 25)[n % 2]),
            DrawnClip(view, "clap", 1, "tripod", (30, 25)[n % 2]),
        ][: 5 if view == "rear" else 6]  # hands that clap are not seen from behind
    more = {
        "stairs": ("side", "oblique", "rear", "above"),
        "wander": ("side", "front"),
        "stand": ("front",),
        "dance": ("side", "front", "above"),
        "sit": ("side", "oblique"),
        "wave": ("front", "rear"),
    }
    return clips + [
        DrawnClip(view, gait, 1, ("tripod", "hand")[n % 2], (25, 30)[n % 2])
        for gait in more
        for n, view in enumerate(more[gait])
    ]


def moving_plan() -> list[DrawnClip]:
    """Walks, runs, jumps and nobody's steps before cameras that move whatever the person does."""
    return [
        DrawnClip(view, gait, 11 + n, camera, (25, 30)[n % 2])
        for n, camera in enumerate(("sweep", "shake", "zoom"))
        for view, gait in (*product(("side", "oblique"), ("walk", "run", "jump")), ("front", "march"), ("side", "stand"))
    ]


def truth_of(clip: DrawnClip, moved: DrawnMotion, shot: Film, boxes: np.ndarray, times: np.ndarray) -> dict:
    """The truth as sync.py reads it: complete while the whole person is in the picture.

    :param boxes: ``[T, 4]`` in 0..1.
    """
    whole = (boxes[:, :2].min(1) > 0.005) & (boxes[:, 2:].max(1) < 0.995)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], whole.astype(int), [0]])))
    begin, end = max(zip(edges[::2], edges[1::2], strict=True), key=lambda run: run[1] - run[0])
    first, last = float(times[begin]) + EDGE, float(times[end - 1]) + 1 / clip.fps - EDGE
    truth = {
        "clip": f"{clip.name}.mp4",
        "fps": clip.fps,
        "duration": round(len(times) / clip.fps, 4),
        "view": clip.view,
        "gait": clip.gait,
        "camera": clip.camera,
        "events": [],
        "complete": [[round(first, 4), round(last, 4)]],
        "complete_kinds": ["step", "jump_landing", "clap", "drop"],
        "uncertain": [],
    }
    for moment, kind, place in moved.events:
        time, n = round(float(moment), 4), int(np.abs(times - moment).argmin())
        x = shot.project(np.tile(place, (len(times), 1, 1)))[0][n, 0, 0] / WIDTH
        if first <= moment <= last:
            truth["events"].append({"time": time, "kind": kind, "tol": 0.005, "x": round(float(x), 4), "who": "person"})
        else:
            truth["uncertain"].append(time)
    path = np.stack([times, (boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]], 1)[::5]
    return truth | {"path": {"person": path.round(4).tolist()}}


def staged(clip: DrawnClip, seed: int, seconds: float) -> tuple[np.random.Generator, np.ndarray, DrawnMotion, Film]:
    """The random numbers of a clip, its times ``[T]``, who moves about the middle of the room, and the camera."""
    random = np.random.default_rng([seed, *clip.name.encode()])
    times = np.arange(round(seconds * clip.fps)) / clip.fps
    low, high = CADENCES.get(clip.gait, (1.0, 1.0))
    if clip.gait == "walk":
        low, high = (low, 1.75) if clip.number == 1 else (1.85, high)
    moved = motion(clip.gait, times, random, cadence=random.uniform(low, high), stops=clip.stops)
    hips = moved.joints[:, 4:6].mean(1)
    middle = (hips.min(0) + hips.max(0)) / 2 * (1, 1, 0)
    events = [(moment, kind, place - middle) for moment, kind, place in moved.events]
    furniture = [(low - middle, high - middle) for low, high in moved.furniture]
    return random, times, DrawnMotion(moved.joints - middle, events, furniture), film(clip, hips - middle, random)


def write_clip(folder: Path, clip: DrawnClip, seed: int = 0, seconds: float = SECONDS) -> dict:
    """Writes a clip with its truth and boxes, the same ones for the same seed, and returns the truth."""
    random, times, moved, shot = staged(clip, seed, seconds)
    seen = seen_by(shot, moved.joints)
    boxes = seen.boxes / np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])
    with av.open(str(folder / f"{clip.name}.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=clip.fps, options={"preset": "fast", "crf": "18", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, picture in enumerate(pictures(clip, moved, shot, seen, random)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, clip.fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    truth = truth_of(clip, moved, shot, boxes, times)
    (folder / f"{clip.name}.truth.json").write_text(json.dumps(truth, indent=1), encoding="utf-8")
    there = (boxes[:, :2].max(1) < 1) & (boxes[:, 2:].min(1) > 0)
    track = Track(1, "person", times[there], np.clip(boxes[there], 0, 1))
    save_tracks(folder / f"{clip.name}.tracks.json", Tracks((track,), truth["duration"], aspect=WIDTH / HEIGHT))
    return truth


def write_events_of_joints(folder: Path, clip: DrawnClip, seed: int = 0, seconds: float = SECONDS) -> Events:
    """Writes and returns the events that are found in the joints as the camera sees them, without a picture."""
    _, times, moved, shot = staged(clip, seed, seconds)
    flat, _ = shot.project(moved.joints)
    from_hips = moved.joints - moved.joints[:, 4:6].mean(1, keepdims=True)
    points, world = np.zeros((len(times), KEPT, 2)), np.zeros((len(times), KEPT, 3))
    places = [*SHOULDERS, *WRISTS, *HIPS, *KNEES, *ANKLES, *HEELS, *TOES, 13, 14, *INDEX_FINGERS]
    points[:, places] = flat[:, : len(places)] / HEIGHT
    world[:, places] = np.einsum("tnk,tjk->tnj", from_hips, shot.axes)[:, : len(places)] * 1.7
    sure = np.ones(len(times))
    found = contacts(Landmarks(1, times, points, world, np.ones((len(times), KEPT)), sure, 0.5 * sure))
    events = Events(tuple(event for event in found if event.confidence >= CONFIDENCE), len(times) / clip.fps)
    save_events(folder / f"{clip.name}.json", events)
    return events


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help="clips (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--moving-cameras", action="store_true", help="clips before cameras that sweep, shake and zoom instead")
    parser.add_argument("--true-landmarks", action="store_true", help="write the events of the joints, no clips")
    arguments = parser.parse_args()
    folder = arguments.folder / "true-landmarks" if arguments.true_landmarks else arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    for clip in moving_plan() if arguments.moving_cameras else plan():
        if not arguments.names or clip.name in arguments.names:
            (write_events_of_joints if arguments.true_landmarks else write_clip)(folder, clip, arguments.seed)
            print(clip.name, flush=True)


if __name__ == "__main__":
    main()
