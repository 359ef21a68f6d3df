"""How well the registered trackers keep identities: HOTA, IDF1 and id switches.

    pip install --no-deps trackeval
    python -m research.measurements.evaluate_tracking [--crowd | --rooms FOLDER] [--weights masa_r50.pth] [--rate 10]
        [--size 1024]

The bundled walking clip with boxes read off its frames by hand (:data:`WALKING`); with ``--crowd`` a synthetic clip of eight
people who cross (:func:`make_crowd`); with ``--rooms`` the first ``--count`` clips of a folder of walking rooms, whose
true boxes are known. Without ``--weights`` MASA runs with random ones, which shows whether the path is sound and nothing about
MASA. TrackEval is installed without its dependencies because opencv-python would overwrite another pack's.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
import torch.nn.functional as F
from kornia.geometry.transform import resize
from kornia.utils import image_to_tensor

from research.bench.tracking import random_model
from stereosync_core.assets import WALKING_CLIP, asset_path
from stereosync_core.media.video import frames, probe
from stereosync_core.scene import Track, Tracks
from stereosync_core.tracking.detections import iou
from stereosync_core.tracking.masa.loader import load_masa
from stereosync_core.tracking.nanodet import load_nanodet
from stereosync_core.tracking.registry import TRACKERS

#: Seconds, and boxes in 0..1 of the frame of the woman who walks and of the man who dances, by eye to about a hundredth.
WALKING = {
    1: {
        1.5: (0.815, 0.559, 0.886, 0.947),
        2.0: (0.724, 0.551, 0.849, 0.938),
        3.0: (0.608, 0.523, 0.668, 0.928),
        4.0: (0.407, 0.521, 0.535, 0.937),
        5.0: (0.228, 0.508, 0.346, 0.943),
        6.0: (0.093, 0.520, 0.153, 0.938),
        6.4: (0.002, 0.537, 0.114, 0.938),
    },
    2: {
        1.0: (0.268, 0.041, 0.415, 0.453),
        1.5: (0.290, 0.075, 0.429, 0.446),
        2.0: (0.303, 0.056, 0.409, 0.451),
        3.0: (0.326, 0.063, 0.394, 0.441),
        4.0: (0.357, 0.086, 0.440, 0.463),
        5.0: (0.419, 0.051, 0.486, 0.463),
        6.4: (0.573, 0.609, 0.695, 0.900),
    },
}
#: The synthetic crowd: pixels, frames a second, seconds, poses a second, people.
WIDTH, HEIGHT = 960, 540
RATE, SECONDS, POSES_PER_SECOND = 20, 8, 5
PEOPLE = 8
#: Part of its own area that a person must show to count as seen.
SHOWN = 0.35
#: What is cut out around the box, and how much of that fades into the background, as parts of the box.
MARGIN, FADE = 0.06, 0.12
#: Seconds by which a true box may be older than the moment it is compared at.
CLOSE = 0.02
Example = tuple[Path, Tracks, np.ndarray]


def walking() -> Iterator[Example]:
    """The bundled clip, its true tracks, and the moments that they are known at."""
    path = asset_path(WALKING_CLIP)
    tracks = [_track(id_, boxes) for id_, boxes in WALKING.items()]
    moments = np.unique(np.concatenate([track.times for track in tracks]))
    yield path, Tracks(tuple(tracks), probe(path).duration, max_gap=CLOSE), moments


def _track(id_: int, boxes: Mapping[float, Any]) -> Track:
    return Track(id_, "person", np.array(list(boxes)), np.array(list(boxes.values())))


def crowd(rate: float) -> Iterator[Example]:
    """The synthetic crowd."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "crowd.mp4"
        yield path, make_crowd(path), np.arange(0.0, SECONDS, 1 / rate)


def make_crowd(path: Path) -> Tracks:
    """Writes a clip of eight people who cross, and returns its true tracks, at every frame in which a person is seen.

    Cut-outs of the walker of the bundled clip, wherever all of her is in the picture, in front of a blurred field. Not a filmed
    crowd, and easier in one way and harder in another: everyone is the same woman in another tint and size, and takes one of
    six poses five times a second.
    """
    cutouts, field = _cut_out({time: box for time, box in WALKING[1].items() if min(box) > CLOSE})
    rng = np.random.default_rng(0)
    heights = np.sort(rng.uniform(0.3, 0.62, PEOPLE)) * HEIGHT  # from far to near, in the order that they are painted
    heading = rng.permutation(np.resize([-1, 1], PEOPLE))
    speeds = heading * rng.uniform(0.06, 0.16, PEOPLE) * WIDTH
    middles = rng.uniform(0.1, 0.9, PEOPLE) * WIDTH - speeds * SECONDS / 2 * rng.uniform(0.4, 1.0, PEOPLE)
    tints = rng.uniform(0.55, 1.3, (PEOPLE, 3, 1, 1)).astype(np.float32)
    phases = rng.integers(0, len(cutouts), PEOPLE)
    seen: list[dict[float, np.ndarray]] = [{} for _ in range(PEOPLE)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "18"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(RATE * SECONDS):
            time, picture = number / RATE, field.clone()
            boxes = np.zeros((PEOPLE, 4))
            for person in range(PEOPLE):
                pose = (int(time * POSES_PER_SECOND) + phases[person]) % len(cutouts)
                middle = middles[person] + speeds[person] * time
                ground = HEIGHT * 0.45 + heights[person] * 0.8
                tinted = (cutouts[pose] * torch.from_numpy(tints[person])).clamp(max=255)
                boxes[person] = _paint(picture, tinted, middle, ground, heights[person], heading[person] > 0)
            for person, box in _shown(boxes):
                seen[person][time] = box
            image = np.ascontiguousarray(picture.permute(1, 2, 0).byte().numpy())
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    tracks = [_track(person + 1, at) for person, at in enumerate(seen) if at]
    return Tracks(tuple(tracks), float(SECONDS), max_gap=CLOSE)


def _cut_out(poses: Mapping[float, Sequence[float]]) -> tuple[list[torch.Tensor], torch.Tensor]:
    """The walker in each pose with a margin around her, float ``[3, h, w]``, and the blurred field ``[3, HEIGHT, WIDTH]``."""
    cutouts, field = [], torch.empty(0)
    for (_, picture), box in zip(frames(asset_path(WALKING_CLIP), times=list(poses)), poses.values(), strict=True):
        pixels = image_to_tensor(picture).float()
        height, width = pixels.shape[1:]
        x0, y0, x1, y1 = np.array(box) * [width, height, width, height]
        across, down = MARGIN * (x1 - x0), MARGIN * (y1 - y0)
        part = np.round([x0 - across, y0 - down, x1 + across, y1 + down]).astype(int).clip(0)
        cutouts.append(pixels[:, part[1] : part[3], part[0] : part[2]])
        field = resize(resize(pixels, (5, 8), "area"), (HEIGHT, WIDTH), "bicubic").clamp(0, 255)
    return cutouts, field


def _paint(
    picture: torch.Tensor, cutout: torch.Tensor, middle: float, ground: float, tall: float, mirrored: bool
) -> np.ndarray:
    """Puts a person ``tall`` pixels high onto the picture, feet at ``ground``; her box in pixels, inside the frame or not."""
    whole = 1 + 2 * MARGIN
    rows = max(2, round(tall * whole))
    columns = max(2, round(rows * cutout.shape[2] / cutout.shape[1]))
    person = F.interpolate(cutout[None], (rows, columns), mode="bilinear", antialias=True)[0]
    person = person.flip(2) if mirrored else person
    down, across = (_faded(count) for count in (rows, columns))
    left, top = round(middle - columns / 2), round(ground - tall * (1 + MARGIN))
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + columns, WIDTH), min(top + rows, HEIGHT)
    if x0 < x1 and y0 < y1:
        inside = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
        alpha = (down[:, None] * across)[inside]
        place = picture[:, y0:y1, x0:x1]
        place += alpha * (person[:, inside[0], inside[1]] - place)
    half = columns / whole / 2
    return np.array([middle - half, ground - tall, middle + half, ground])


def _faded(count: int) -> torch.Tensor:
    """1 in the middle of a line of ``count`` pixels, falling to 0 at both its ends."""
    return ((1 - ((torch.arange(count) + 0.5) * 2 / count - 1).abs()) / FADE).clamp(max=1)


def _shown(boxes: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Of the boxes in pixels, far to near, those that neither the frame's edge nor someone nearer hides: place, and the part of
    the box inside the frame, in 0..1."""
    size = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])
    inside = boxes.clip(0, size)
    nearest = np.full((HEIGHT, WIDTH), -1)
    for person, (x0, y0, x1, y1) in enumerate(np.round(inside).astype(int)):
        nearest[y0:y1, x0:x1] = person
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    for person, area in enumerate(areas):
        if np.count_nonzero(nearest == person) >= SHOWN * area:
            yield person, inside[person] / size


def rooms(folder: Path, count: int, rate: float) -> Iterator[Example]:
    """The first clips of a set of walking rooms."""
    from research.rooms.rooms import RoomSet

    with tempfile.TemporaryDirectory() as scratch:
        for number, clip in enumerate(RoomSet(folder)):
            if number == count:
                return
            path = clip.as_video(Path(scratch) / f"{number}.mp4")
            yield path, clip.tracks, np.arange(0.0, clip.duration, 1 / rate)


def compared(truth: Tracks, found: Tracks, moments: np.ndarray) -> dict[str, Any]:
    """What TrackEval's metrics take: ids of both sides, from 0, and the overlaps at each moment."""
    (true_ids, true_boxes), (ids, boxes) = _seen(truth, moments, exact=True), _seen(found, moments, exact=False)
    return {
        "num_timesteps": len(moments),
        "num_gt_ids": len(truth),
        "num_tracker_ids": len(found),
        "num_gt_dets": sum(map(len, true_ids)),
        "num_tracker_dets": sum(map(len, ids)),
        "gt_ids": true_ids,
        "tracker_ids": ids,
        "similarity_scores": [iou(theirs, ours) for theirs, ours in zip(true_boxes, boxes, strict=True)],
    }


def _seen(tracks: Tracks, moments: np.ndarray, exact: bool) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Numbers from 0 and boxes of what is seen at each moment; ``exact``: at a box of its own."""
    boxes, visible = np.zeros((len(tracks), len(moments), 4)), np.zeros((len(tracks), len(moments)), dtype=bool)
    for place, track in enumerate(tracks):
        boxes[place], visible[place] = track.at(moments, tracks.max_gap)
        if exact:
            visible[place] = np.abs(track.times[None] - moments[:, None]).min(axis=1) <= CLOSE
    ids = [np.flatnonzero(here) for here in visible.T]
    return ids, [boxes[here, number] for number, here in enumerate(ids)]


def score(name: str, examples: list[dict[str, Any]]) -> str:
    """One line of the table, over all clips."""
    try:
        from trackeval.metrics import CLEAR, HOTA, Identity
    except ImportError as error:
        raise SystemExit("TrackEval is missing: pip install --no-deps trackeval") from error
    silent = {"PRINT_CONFIG": False}
    result = []
    for metric in (HOTA(), Identity(silent), CLEAR(silent)):
        single = {str(number): metric.eval_sequence(example) for number, example in enumerate(examples)}
        result.append(metric.combine_sequences(single))
    hota, identity, clear = result
    figures = [np.mean(hota["HOTA"]), np.mean(hota["AssA"]), identity["IDF1"], clear["MOTA"]]
    return f"| {name} | " + " | ".join(f"{value:.3f}" for value in figures) + f" | {int(clear['IDSW'])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crowd", action="store_true", help="the synthetic crowd instead of the walking clip")
    parser.add_argument("--rooms", type=Path, help="folder of walking rooms")
    parser.add_argument("--count", type=int, default=100, help="clips of it")
    parser.add_argument("--weights", type=Path, help="MASA's weights; random ones without")
    parser.add_argument("--rate", type=float, default=10.0, help="frames a second that are analysed")
    parser.add_argument("--size", type=int, default=1024, help="pixels of the long side for MASA")
    arguments = parser.parse_args()
    model = load_masa(arguments.weights) if arguments.weights else random_model()
    networks = {"nanodet": load_nanodet(), "masa": model}
    own: dict[str, dict[str, Any]] = {"masa": {"long_side": arguments.size}}
    if arguments.rooms:
        examples = rooms(arguments.rooms, arguments.count, arguments.rate)
    else:
        examples = crowd(arguments.rate) if arguments.crowd else walking()
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in TRACKERS}
    for path, truth, moments in examples:
        for name, tracker in TRACKERS.items():
            tracks = tracker.track(path, networks[name], rate=arguments.rate, max_tracks=0, **own.get(name, {}))
            found[name].append(compared(truth, tracks, moments))
    print("| tracker | HOTA | AssA | IDF1 | MOTA | id switches |")
    print("|---|---|---|---|---|---|")
    for name, parts in found.items():
        random = name == "masa" and not arguments.weights
        print(score(f"{name}, random weights" if random else name, parts), flush=True)


if __name__ == "__main__":
    main()
