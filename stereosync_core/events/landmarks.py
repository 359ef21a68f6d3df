"""Body landmarks of tracked people over a clip, streamed: square crops around their boxes, through :mod:`blazepose` in
batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.special import expit

from ..batches import batched, prefetched
from ..media.video import Source, frame_times, frames, probe
from ..scene import Track, Tracks
from ..scene_camera import CameraMotion
from .blazepose import SIZE, BlazePose, load_network

#: Frames a second that are looked at, at most.
MAX_RATE = 30.0
BATCH = 6
#: Side of the crop over the longer side of the box.
MARGIN = 1.3
#: Seconds before a track begins and after it ends in which its person is looked for.
AROUND = 0.4
#: Frame heights beyond the picture's edge at which a landmark may still be one at the edge.
_EDGE = 0.02
#: Mean presence from which a person is upright; from which, in a picture turned round, one is upside down; by how much it is
#: then larger; and pictures that are turned.
_UPRIGHT, _TURNED, _CLEARLY, _LOOKS = 0.85, 0.9, 0.1, 12
#: Names of the landmarks that events need, by their place in the network's output; (left, right).
SHOULDERS, WRISTS, INDEX_FINGERS = (11, 12), (15, 16), (19, 20)
HIPS, KNEES, ANKLES, HEELS, TOES = (23, 24), (25, 26), (27, 28), (29, 30), (31, 32)
#: Landmarks kept: the body's, without the network's own helpers.
KEPT = 33


@dataclass(frozen=True)
class Landmarks:
    """A tracked person's landmarks.

    :param id: the track's id.
    :param times: seconds ``[N]``, rising: presentation times of frames.
    :param points: ``[N, 33, 2]``, x to the right and y down, both in frame heights.
    :param world: ``[N, 33, 3]`` metres from the middle of the hips, y down, z away from the camera.
    :param visibility: ``[N, 33]``, probability that a landmark is seen.
    :param presence: ``[N]``, probability that a person is in the crop.
    :param heights: ``[N]`` of the box in frame heights.
    """

    id: int
    times: np.ndarray
    points: np.ndarray
    world: np.ndarray
    visibility: np.ndarray
    presence: np.ndarray
    heights: np.ndarray

    def without(self, camera: CameraMotion, aspect: float) -> Landmarks:
        """The landmarks as a camera that stands would see them, in their first size; they may leave the picture.

        :param aspect: width over height of the frame.
        """
        if camera.still or len(self.times) < 2:
            return self
        sides = np.array([aspect, 1.0])
        hips = self.middle(HIPS)
        path, size = camera.without(self.times, hips / sides)
        points = (path * sides)[:, None] + (self.points - hips[:, None]) / size[:, None, None]
        return replace(self, points=points, heights=self.heights / size)

    def middle(self, pair: tuple[int, int]) -> np.ndarray:
        """The middle ``[N, 2]`` of a left and a right landmark."""
        return self.points[:, pair].mean(1)


def picked_times(source: Source, rate: float = MAX_RATE) -> np.ndarray:
    """Presentation times of the frames that are looked at: all of them, or those nearest to a grid of ``rate`` a second."""
    times = frame_times(source)
    if len(times) < 2 or np.median(np.diff(times)) > 0.95 / rate:
        return times
    grid = np.arange(times[0], times[-1] + 0.5 / rate, 1 / rate)
    after = np.clip(np.searchsorted(times, grid), 1, len(times) - 1)
    return times[np.unique(np.where(times[after] - grid < grid - times[after - 1], after, after - 1))]


def crop_squares(track: Track, times: np.ndarray, aspect: float, max_gap: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squares ``[N, 3]`` (centre x, centre y, side, in frame heights) around a person, whether there is one ``[N]``, and the
    boxes' heights ``[N]``.

    Place and size change slowly, so that the landmarks do not tremble with the box.
    """
    boxes, present = _prolonged(track).at(times, max_gap)
    boxes = boxes * np.array([aspect, 1.0, aspect, 1.0])
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    sides = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    sides = gaussian_filter1d(maximum_filter1d(sides, 2 * round(0.3 / step) + 1, mode="nearest"), 0.2 / step, mode="nearest")
    centres = gaussian_filter1d(centres, min(0.05 / step, 3.0), axis=0, mode="nearest")
    return np.concatenate([centres, MARGIN * sides[:, None]], axis=1), present, boxes[:, 3] - boxes[:, 1]


def _prolonged(track: Track) -> Track:
    """A track that begins and ends :data:`AROUND` seconds further out, straight on: detectors find people late and lose them
    early, and the pose network tells whether somebody is there."""
    times, boxes = track.times, track.boxes
    first, last = np.searchsorted(times, [times[0] + 0.3, times[-1] - 0.3], side="right")
    first, last = min(first, len(times) - 1), max(min(last, len(times) - 1) - 1, 0)
    ends = []
    for here, there, sign in ((0, first, -1.0), (-1, last, 1.0)):
        span = max(abs(times[there] - times[here]), 1e-6)
        middle = (boxes[[here, there], :2] + boxes[[here, there], 2:]) / 2
        way = (middle[0] - middle[1]) / span * AROUND if span > 0.1 else np.zeros(2)
        ends.append((times[here] + sign * AROUND, np.clip(boxes[here] + np.concatenate([way, way]), -1.0, 2.0)))
    return Track(
        track.id,
        track.label,
        np.concatenate([[ends[0][0]], times, [ends[1][0]]]),
        np.concatenate([ends[0][1][None], boxes, ends[1][1][None]]),
    )


def cut_square(frame: np.ndarray, square: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
    """The picture ``[3, 256, 256]`` in 0..1 inside a square, black beyond the frame, and the corner and pixel size of what was
    cut, ``(x, y, size of a pixel)`` in frame heights."""
    height, width = frame.shape[:2]
    side = max(8, round(square[2] * height))
    left, top = round(square[0] * height - side / 2), round(square[1] * height - side / 2)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    picture = np.zeros((side, side, 3), dtype=np.uint8)
    if x1 > x0 and y1 > y0:
        picture[y0 - top : y1 - top, x0 - left : x1 - left] = frame[y0:y1, x0:x1]
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None]
    pixels = F.interpolate(pixels, size=(SIZE, SIZE), mode="bilinear", antialias=side > SIZE)
    return pixels[0].float() / 255.0, np.array([left / height, top / height, side / SIZE / height])


def _inside(points: np.ndarray, aspect: float) -> np.ndarray:
    """Whether points ``[N, 2]`` are in the picture; the network goes on drawing legs where it has ended."""
    return np.all((points >= -_EDGE) & (points <= np.array([aspect, 1.0]) + _EDGE), axis=1)


def _long_side(sides, aspect: float) -> int:
    """Pixels of the picture's longer side at which the middle one of squares with these ``sides``, in frame heights, is as
    large as the network's input."""
    return max(SIZE, round(SIZE / float(np.median(sides)) * max(aspect, 1.0)))


@torch.inference_mode()
def upside_down(source: Source, tracks: Tracks, found: list[Landmarks], network: BlazePose | None = None) -> set[int]:
    """Ids of the tracks whose person is upside down: not well known as the picture is, but well with the picture turned round.

    :param found: the landmarks of the tracks, of which only doubtful ones are looked at again.
    """
    turned, info = set(), probe(source)
    aspect, people = info.width / info.height, {track.id: track for track in tracks}
    for one in found:
        feet_down = np.mean(one.middle(HEELS)[:, 1] > one.middle(HIPS)[:, 1])
        if one.presence.mean() > _UPRIGHT and feet_down > 0.5:
            continue
        times = one.times[np.unique(np.linspace(0, len(one.times) - 1, _LOOKS).astype(int))]
        squares, _, _ = crop_squares(people[one.id], times, aspect, tracks.max_gap)
        pictures = frames(source, times=times, max_side=_long_side(squares[:, 2], aspect))
        network = network if network is not None else load_network()
        weight, presence = network.stem.weight, []
        for batch in batched(zip(pictures, squares, strict=True), BATCH):
            crops = torch.stack([cut_square(frame, square)[0].flip(1, 2) for (_, frame), square in batch])
            presence.append(network(crops.to(weight.device, weight.dtype, memory_format=torch.channels_last))[2].float().cpu())
        if float(torch.cat(presence).mean()) > max(_TURNED, float(one.presence.mean()) + _CLEARLY):
            turned.add(one.id)
    return turned


def track_landmarks(
    source: Source,
    tracks: Tracks,
    *,
    rate: float = MAX_RATE,
    network: BlazePose | None = None,
    progress: Callable[[float, float], None] | None = None,
    watch: Callable[[float, np.ndarray], None] | None = None,
) -> list[Landmarks]:
    """Landmarks of every track while it is in the picture.

    :param tracks: people.
    :param rate: frames a second that are looked at, at most; a slower clip gives its own.
    :param network: the network on the device of choice; the bundled weights on the CPU when left out.
    :param progress: called with seconds done and in all; raising inside it stops the work.
    :param watch: called with the seconds and the picture of every frame that is looked at, whether somebody is in it or not.
    """
    if len(tracks) == 0 and watch is None:
        return []
    info = probe(source)
    times = picked_times(source, rate)
    plans = [crop_squares(track, times, info.width / info.height, tracks.max_gap) for track in tracks]
    shots = tracks.shot(times)
    seen = np.zeros((len(plans), len(times)), dtype=bool)
    for row, plan, track in zip(seen, plans, tracks, strict=True):
        row[:] = plan[1] & (shots == tracks.shot(track.start))
    if not seen.any() and watch is None:
        return []
    if network is None and seen.any():
        network = load_network()
    found = [_room_for(int(count)) for count in seen.sum(1)]
    filled = np.zeros(len(plans), dtype=int)
    waiting: list[tuple[int, int, torch.Tensor, np.ndarray]] = []

    @torch.inference_mode()
    def work() -> None:
        assert network is not None
        device, dtype = network.stem.weight.device, network.stem.weight.dtype
        pixels = torch.stack([item[2] for item in waiting]).to(device, dtype, memory_format=torch.channels_last)
        landmarks, world, presence = (output.float().cpu().numpy() for output in network(pixels))
        for (who, n, _, corner), raw, metres, probability in zip(waiting, landmarks, world, presence, strict=True):
            points = corner[:2] + (raw[:KEPT, :2] + 0.5) * corner[2]
            visibility = expit(raw[:KEPT, 3]) * _inside(points, info.width / info.height)
            row = (times[n], points, metres[:KEPT], visibility, probability, plans[who][2][n])
            for array, value in zip(found[who], row, strict=True):
                array[filled[who]] = value
            filled[who] += 1
        waiting.clear()

    # pictures just as large as the middle person's crops need them
    sides = [float(side) for row, (squares, _, _) in zip(seen, plans, strict=True) for side in squares[row, 2]] or [1.0]
    max_side = _long_side(sides, info.width / info.height)
    wanted = np.flatnonzero(seen.any(0)) if watch is None else np.arange(len(times))
    for n, (time, frame) in zip(wanted, prefetched(frames(source, times=times[wanted], max_side=max_side)), strict=True):
        if watch is not None:
            watch(time, frame)
        for who in np.flatnonzero(seen[:, n]):
            waiting.append((int(who), int(n), *cut_square(frame, plans[who][0][n])))
            if len(waiting) == BATCH:
                work()
        if progress is not None:
            progress(time, info.duration)
    if waiting:
        work()
    return [Landmarks(track.id, *arrays) for track, arrays in zip(tracks, found, strict=True) if len(arrays[0])]


def _room_for(count: int) -> tuple[np.ndarray, ...]:
    """Arrays for so many moments of :class:`Landmarks`; in single precision, for a long clip has many."""
    shapes = {"points": (count, KEPT, 2), "world": (count, KEPT, 3), "visibility": (count, KEPT), "presence": (count,)}
    return (np.zeros(count), *(np.zeros(shape, np.float32) for shape in shapes.values()), np.zeros(count))
