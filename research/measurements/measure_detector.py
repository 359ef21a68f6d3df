"""Recall of the bundled detector on the walking clip at several input sizes: the figures behind its default.

    python -m research.measurements.measure_detector

The walker's place is read off the frames by hand (:data:`WALKER`); a frame counts where a person's box lies on it.
"""

from __future__ import annotations

import time

import numpy as np

from stereosync_core.assets import WALKING_CLIP, asset_path
from stereosync_core.media.video import frames, probe
from stereosync_core.tracking.nanodet import NanoDetDetector, input_size

#: Seconds and horizontal centre (0..1) of the walker, from behind the tree to the left edge.
WALKER = [(1.5, 0.858), (2.0, 0.795), (2.5, 0.715), (3.0, 0.635), (3.8, 0.51), (5.07, 0.28), (6.33, 0.08)]


def main() -> None:
    clip = asset_path(WALKING_CLIP)
    info = probe(clip)
    detector = NanoDetDetector("person")
    times = np.arange(WALKER[0][0], WALKER[-1][0], 1 / 9)
    truth = np.interp(times, *np.array(WALKER).T)
    print(f"{len(times)} frames, {info.width}x{info.height}")
    print("input       recall at score 0.5   0.35   0.2   0.1   ms a frame")
    for size in [(416, 416), *(input_size(info.width, info.height, side) for side in (320, 416, 512, 640, 768))]:
        best, began = [], time.perf_counter()
        for (_, image), place in zip(frames(clip, times=times, size=size), truth, strict=True):
            found = detector.detect_resized([image])[0]
            centre = (found.boxes[:, 0] + found.boxes[:, 2]) / 2
            near = (np.abs(centre - place) < 0.03) & (found.boxes[:, 3] > 0.7)
            best.append(found.scores[near].max() if near.any() else 0.0)
        took = 1000 * (time.perf_counter() - began) / len(times)
        recall = "   ".join(f"{np.mean(np.array(best) >= score):.2f}" for score in (0.5, 0.35, 0.2, 0.1))
        print(f"{size[0]:4}x{size[1]:<4}                   {recall}   {took:.0f}")


if __name__ == "__main__":
    main()
