"""A synthetic crowd with true boxes: cut-outs of the walker of the bundled clip cross one another in front of a blurred field.

Not a filmed crowd, and easier in one way and harder in another: everyone is the same woman in another tint and size, and takes
one of six poses five times a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
import torch.nn.functional as F
from kornia.geometry.transform import resize
from kornia.utils import image_to_tensor

from stereosync_core.assets import WALKING_CLIP, asset_path
from stereosync_core.media.video import frames
from stereosync_core.scene import Track, Tracks

WIDTH, HEIGHT = 960, 540
RATE, SECONDS, POSES_PER_SECOND = 20, 8, 5
PEOPLE = 8
#: Part of its own area that a person must show to count as seen.
SHOWN = 0.35
#: What is cut out around the box, and how much of that fades into the background, as parts of the box.
MARGIN, FADE = 0.06, 0.12

Box = Sequence[float]


def make_crowd(path: Path, poses: Mapping[float, Box], max_gap: float, seed: int = 0) -> Tracks:
    """Writes the clip and returns its true tracks, at every frame in which a person is seen.

    :param poses: seconds of the bundled clip at which to cut the walker out, and her box there in 0..1 of the frame.
    :param max_gap: of the tracks, seconds.
    :param seed: of places, ways, sizes and tints.
    """
    cutouts, field = _cut_out(poses)
    rng = np.random.default_rng(seed)
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
            for person, box in enumerate(_shown(boxes)):
                if box is not None:
                    seen[person][time] = box
            image = picture.permute(1, 2, 0).byte().numpy()
            container.mux(stream.encode(_frame(image, number)))
        container.mux(stream.encode(None))
    tracks = [
        Track(person + 1, "person", np.array(list(at)), np.array(list(at.values()))) for person, at in enumerate(seen) if at
    ]
    return Tracks(tuple(tracks), float(SECONDS), max_gap=max_gap)


def _cut_out(poses: Mapping[float, Box]) -> tuple[list[torch.Tensor], torch.Tensor]:
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


def _shown(boxes: np.ndarray) -> list[np.ndarray | None]:
    """Of each box the part inside the frame, in 0..1; None for whom the frame's edge or someone nearer hides."""
    result: list[np.ndarray | None] = []
    nearest = np.full((HEIGHT, WIDTH), -1)
    parts = np.round(boxes.clip(0, [WIDTH, HEIGHT, WIDTH, HEIGHT])).astype(int)
    for person, (x0, y0, x1, y1) in enumerate(parts):
        nearest[y0:y1, x0:x1] = person
    for person, box in enumerate(boxes):
        area = (box[2] - box[0]) * (box[3] - box[1])
        free = np.count_nonzero(nearest == person) >= SHOWN * area
        result.append(box.clip(0, [WIDTH, HEIGHT, WIDTH, HEIGHT]) / [WIDTH, HEIGHT, WIDTH, HEIGHT] if free else None)
    return result


def _frame(image: np.ndarray, number: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    frame.pts, frame.time_base = number, Fraction(1, RATE)
    return frame
