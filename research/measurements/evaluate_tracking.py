"""How well the registered trackers keep identities: HOTA, IDF1 and id switches.

    pip install --no-deps trackeval
    python -m research.measurements.evaluate_tracking [--rooms FOLDER] [--weights masa_r50.pth] [--rate 10] [--size 1024]

The bundled walking clip with boxes read off its frames by hand (:data:`WALKING`); with ``--rooms`` the first ``--count`` clips
of a folder of walking rooms, whose true boxes are known. Without ``--weights`` MASA runs with random ones, which shows whether
the path is sound and nothing about MASA. TrackEval comes without its dependencies: opencv-python would overwrite another's.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from research.bench.tracking import random_model
from stereosync_core.assets import WALKING_CLIP, asset_path
from stereosync_core.media.video import probe
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
#: Seconds by which a true box may be older than the moment it is compared at.
CLOSE = 0.02
Example = tuple[Path, Tracks, np.ndarray]


def walking() -> Iterator[Example]:
    """The bundled clip, its true tracks, and the moments that they are known at."""
    path = asset_path(WALKING_CLIP)
    tracks = [Track(id_, "person", np.array(list(boxes)), np.array(list(boxes.values()))) for id_, boxes in WALKING.items()]
    moments = np.unique(np.concatenate([track.times for track in tracks]))
    yield path, Tracks(tuple(tracks), probe(path).duration, max_gap=CLOSE), moments


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
    parser.add_argument("--rooms", type=Path, help="folder of walking rooms")
    parser.add_argument("--count", type=int, default=100, help="clips of it")
    parser.add_argument("--weights", type=Path, help="MASA's weights; random ones without")
    parser.add_argument("--rate", type=float, default=10.0, help="frames a second that are analysed")
    parser.add_argument("--size", type=int, default=1024, help="pixels of the long side for MASA")
    arguments = parser.parse_args()
    model = load_masa(arguments.weights) if arguments.weights else random_model()
    networks = {"nanodet": load_nanodet(), "masa": model}
    own: dict[str, dict[str, Any]] = {"masa": {"long_side": arguments.size}}
    examples = rooms(arguments.rooms, arguments.count, arguments.rate) if arguments.rooms else walking()
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
