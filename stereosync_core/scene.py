"""The data that flows between the stages: depth maps, tracked boxes and envelopes, each with its own times in seconds.

Conventions, the same everywhere: time 0 is the presentation time of the clip's first frame; depth is float32 ``[T, H, W]``
in 0..1 with 1 = near; boxes are ``[x0, y0, x1, y1]`` in 0..1 of the frame; azimuth runs from -1 (left edge of the frame) to
1 (right edge); distance is relative, 1 = the clip's median.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from .errors import StereoSyncError
from .scene_camera import CameraMotion
from .scene_camera import freeze as freeze
from .scene_events import Events

#: Distance of the farthest depth value over that of the nearest. Relative depth has no scale of its own; four to one is what
#: a walker covers between the front and the back of an ordinary room.
DEPTH_RANGE = 4.0
DISTANCE_CUES = ("both", "boxes", "depth")
#: Weight of a thing that does not move at all, beside one that moves by its own height in a second.
_AT_REST = 0.1
#: Prominence a second below which a track is nothing beside the most prominent one: a detector's double, or a passer-by.
_FAINT = 0.2
#: Share of a track's time without more prominent ones: less, and it is a bystander, nobody who comes when another has left.
_ALONE = 0.75


def _times(values, name: str) -> np.ndarray:
    times = np.asarray(values, dtype=np.float64)
    if times.ndim != 1:
        raise StereoSyncError(f"{name}: times must be one list of seconds, got an array of shape {times.shape}.")
    if not np.isfinite(times).all():
        raise StereoSyncError(f"{name}: times contain NaN or infinite values; give seconds from the clip's start.")
    if len(times) > 1 and not (np.diff(times) > 0).all():
        raise StereoSyncError(f"{name}: times must rise from entry to entry; sort them and drop repeated ones.")
    return times


def interpolation(known: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices ``i``, ``j`` and weight ``w`` such that ``(1 - w) a[i] + w a[j]`` is ``a`` at the wanted times.

    Ends are held. ``known`` rises and is not empty.
    """
    right = np.clip(np.searchsorted(known, wanted), 0, len(known) - 1)
    left = np.clip(right - 1, 0, None)
    span = known[right] - known[left]
    weight = np.where(span > 0, (wanted - known[left]) / np.where(span > 0, span, 1.0), 0.0)
    return left, right, np.clip(weight, 0.0, 1.0)


@dataclass(frozen=True)
class DepthSequence:
    """Relative depth of a clip.

    :param maps: float32 ``[T, H, W]`` in 0..1, 1 = near; inverse distance, linear from the farthest to the nearest.
    :param times: seconds ``[T]``, rising.
    :param range: distance at 0 over that at 1, where the depth is known in metres; a guess where it is relative.
    """

    maps: np.ndarray
    times: np.ndarray
    range: float = DEPTH_RANGE

    def __post_init__(self):
        if not (np.isfinite(self.range) and self.range >= 1):
            raise StereoSyncError(f"Depth: the farthest is {self.range} times as far as the nearest; give 1 or more.")
        maps = np.asarray(self.maps, dtype=np.float32)
        times = _times(self.times, "Depth")
        if maps.ndim != 3 or 0 in maps.shape:
            raise StereoSyncError(f"Depth: maps must be [T, H, W] and not empty, got shape {maps.shape}.")
        if len(maps) != len(times):
            raise StereoSyncError(f"Depth: {len(maps)} maps but {len(times)} times; give one time for each map.")
        # min and max see NaN as well, without the temporary array that isfinite would make of a long clip's maps
        low, high = float(maps.min()), float(maps.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise StereoSyncError("Depth: maps contain NaN or infinite values; repair the depth before giving it here.")
        if low < -1e-3 or high > 1 + 1e-3:
            raise StereoSyncError(
                f"Depth: values run from {low:.3g} to {high:.3g}, but 0..1 with 1 = near is expected; normalise them first."
            )
        freeze(self, maps=maps, times=times)

    @property
    def end(self) -> float:
        """Time of the last map in seconds."""
        return float(self.times[-1])

    def at(self, times) -> np.ndarray:
        """Maps float32 ``[len(times), H, W]`` at other times, linearly between neighbours, ends held."""
        left, right, weight = interpolation(self.times, np.atleast_1d(np.asarray(times, dtype=np.float64)))
        weight = weight.astype(np.float32)[:, None, None]
        return self.maps[left] * (1 - weight) + self.maps[right] * weight

    def nearness(self, times: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Nearness ``[N]`` of each box ``[N, 4]`` at each time ``[N]``: the upper quartile of the map in the box's middle half.

        A box holds its object and the background around it; the object is nearer, and sits in the middle.
        """
        _, height, width = self.maps.shape
        left, right, weight = interpolation(self.times, times)
        result = np.empty(len(times), dtype=np.float64)
        for n, (x0, y0, x1, y1) in enumerate(boxes):
            cx, cy, w, h = (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0
            columns = np.clip(np.array([(cx - w / 4) * width, (cx + w / 4) * width]).round().astype(int), 0, width - 1)
            rows = np.clip(np.array([(cy - h / 4) * height, (cy + h / 4) * height]).round().astype(int), 0, height - 1)
            window = (slice(rows[0], rows[1] + 1), slice(columns[0], columns[1] + 1))
            patch = self.maps[left[n]][window] * (1 - weight[n]) + self.maps[right[n]][window] * weight[n]
            result[n] = np.quantile(patch, 0.75)
        return result


@dataclass(frozen=True)
class Track:
    """One object's boxes over time.

    :param id: number that stays with the object.
    :param label: what it is, for example ``person``.
    :param times: seconds ``[N]``, rising.
    :param boxes: float ``[N, 4]`` as x0, y0, x1, y1 in 0..1 of the frame.
    :param scores: confidence ``[N]`` in 0..1; ones when left out.
    :param distances: relative distance ``[N]``, 1 = the clip's median, where it is known otherwise than from boxes and depth.
    """

    id: int
    label: str
    times: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray | None = None
    distances: np.ndarray | None = None

    def __post_init__(self):
        name = f"Track {self.id} ({self.label})"
        times = _times(self.times, name)
        boxes = np.asarray(self.boxes, dtype=np.float64).reshape(-1, 4) if np.size(self.boxes) else np.zeros((0, 4))
        scores = np.ones(len(times)) if self.scores is None else np.asarray(self.scores, dtype=np.float64)
        if len(times) == 0:
            raise StereoSyncError(f"{name}: has no boxes; leave empty tracks out.")
        if not len(times) == len(boxes) == len(scores):
            raise StereoSyncError(
                f"{name}: {len(times)} times, {len(boxes)} boxes and {len(scores)} scores; give equal numbers."
            )
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise StereoSyncError(f"{name}: boxes or scores contain NaN or infinite values.")
        if (boxes[:, 2:] < boxes[:, :2]).any():
            raise StereoSyncError(f"{name}: a box ends before it begins; boxes are x0, y0, x1, y1.")
        if boxes.min() < -1.0 or boxes.max() > 2.0:
            raise StereoSyncError(
                f"{name}: coordinates run from {boxes.min():.4g} to {boxes.max():.4g}, but 0..1 of the frame is expected; "
                "divide pixels by the frame's width and height."
            )
        distances = None if self.distances is None else np.asarray(self.distances, dtype=np.float64)
        if distances is not None and not (
            distances.shape == times.shape and np.isfinite(distances).all() and distances.min() > 0
        ):
            raise StereoSyncError(f"{name}: distances must be one finite number above zero for each time.")
        freeze(self, id=int(self.id), label=str(self.label), times=times, boxes=boxes, scores=scores, distances=distances)

    @property
    def start(self) -> float:
        return float(self.times[0])

    @property
    def end(self) -> float:
        return float(self.times[-1])

    def at(self, times, max_gap: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
        """Boxes ``[N, 4]`` at other times and a bool ``[N]``: whether the object is in the picture.

        Between two boxes at most ``max_gap`` seconds apart the box moves in a straight line. In a longer gap, and before the
        first and after the last box (with half a gap of grace), the object counts as off screen and its nearest box is held.
        """
        wanted = np.atleast_1d(np.asarray(times, dtype=np.float64))
        left, right, weight = interpolation(self.times, wanted)
        boxes = self.boxes[left] * (1 - weight[:, None]) + self.boxes[right] * weight[:, None]
        to_left, to_right = np.abs(wanted - self.times[left]), np.abs(wanted - self.times[right])
        nearest = np.where(to_left <= to_right, left, right)
        inside = (wanted >= self.times[0]) & (wanted <= self.times[-1])
        bridged = inside & (self.times[right] - self.times[left] <= max_gap + 1e-9)
        grace = np.minimum(to_left, to_right) <= self._grace(max_gap)
        boxes = np.where(bridged[:, None], boxes, self.boxes[nearest])
        return boxes, bridged | grace

    def _grace(self, max_gap: float) -> float:
        """Half the usual spacing of the boxes: a box stands for the time around it."""
        spacing = float(np.median(np.diff(self.times))) if len(self.times) > 1 else max_gap
        return min(spacing, max_gap) / 2 + 1e-9

    def azimuth(self, times, max_gap: float = 0.5) -> np.ndarray:
        """Azimuth ``[N]`` of the box's centre, -1 at the frame's left edge, 1 at its right."""
        boxes, _ = self.at(times, max_gap)
        return np.clip(boxes[:, 0] + boxes[:, 2] - 1.0, -1.0, 1.0)

    def elevation(self, times, max_gap: float = 0.5) -> np.ndarray:
        """Elevation ``[N]`` of the box's centre, -1 at the frame's lower edge, 1 at its upper."""
        boxes, _ = self.at(times, max_gap)
        return np.clip(1.0 - boxes[:, 1] - boxes[:, 3], -1.0, 1.0)

    @property
    def prominence(self) -> float:
        """Weight of the object in the sound: height times confidence summed over time, raised for what moves.

        A walker who crosses half the picture outweighs someone of the same size who stands all the time.
        """
        spacing = np.gradient(self.times) if len(self.times) > 1 else np.ones(1)
        heights = self.boxes[:, 3] - self.boxes[:, 1]
        seen = float(np.sum(np.minimum(spacing, 0.5) * heights * self.scores))
        # Positions half a second apart: the path of a box that only jitters stays short.
        stops = np.arange(self.start, self.end + 1e-9, 0.5)
        boxes, _ = self.at(stops)
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        path = float(np.linalg.norm(np.diff(centres, axis=0), axis=1).sum())
        speed = path / max(self.end - self.start, 0.5) / max(float(heights.mean()), 0.02)
        return seen * (_AT_REST + min(speed, 2.0))

    def _weight(self) -> float:
        """Prominence a second."""
        return self.prominence / max(self.end - self.start, 0.4)


@dataclass(frozen=True)
class Tracks:
    """All objects of a clip.

    :param tracks: any number of :class:`Track`, none at all included; ids differ.
    :param duration: length of the clip in seconds.
    :param max_gap: seconds between two boxes up to which an object counts as staying in the picture.
    :param aspect: width over height of the frame, which is not in relative boxes.
    :param cuts: seconds at which a new shot begins, rising; no track goes over one.
    :param camera: how the clip's camera moves, where the tracker has found it.
    """

    tracks: tuple[Track, ...]
    duration: float
    max_gap: float = 0.5
    aspect: float = 16 / 9
    cuts: tuple[float, ...] = ()
    camera: CameraMotion | None = None

    def __post_init__(self):
        tracks = tuple(self.tracks)
        if not np.isfinite(self.duration) or self.duration <= 0:
            raise StereoSyncError(f"Tracks: the clip's duration is {self.duration} seconds; it must be above zero.")
        if not (np.isfinite(self.aspect) and self.aspect > 0 and np.isfinite(self.max_gap) and self.max_gap > 0):
            raise StereoSyncError(f"Tracks: aspect {self.aspect} and max_gap {self.max_gap} must be above zero.")
        ids = [track.id for track in tracks]
        if len(set(ids)) != len(ids):
            raise StereoSyncError(f"Tracks: ids repeat ({sorted(ids)}); give every object a number of its own.")
        freeze(self, tracks=tracks, cuts=tuple(float(cut) for cut in _times(self.cuts, "Cuts")))

    def __len__(self) -> int:
        return len(self.tracks)

    def __iter__(self):
        return iter(self.tracks)

    def most_prominent(self, count: int) -> Tracks:
        """The tracks that take most of the picture, at most ``count`` at a time, most prominent first.

        Who comes when another has left stays, as does each shot's own; but what is faint beside its shot's most prominent one
        does not count as somebody who comes.
        """
        kept: list[Track] = []
        for track in sorted(self.tracks, key=lambda track: -track.prominence):
            moments = np.linspace(track.start, track.end, 33)
            taken = np.sum([(other.start <= moments) & (moments <= other.end) for other in kept], axis=0)
            rivals = [other for other in kept if self.shot(other.start) == self.shot(track.start)]
            faint = len(rivals) >= count and track._weight() < _FAINT * rivals[0]._weight()
            if np.mean(taken < count) > _ALONE and not faint:
                kept.append(track)
        return replace(self, tracks=tuple(kept))

    def shot(self, time) -> np.ndarray:
        """Number of the shot, from 0, that each of ``time`` seconds is in."""
        return np.searchsorted(np.asarray(self.cuts), np.asarray(time) + 1e-6)

    def in_turn(self) -> Track:
        """The most prominent track of every moment as one: where a single sound goes.

        :raises StereoSyncError: when there is none.
        """
        parts = sorted(self.most_prominent(1), key=lambda track: track.start)
        if not parts:
            raise StereoSyncError("Tracks: there is none to go along.")
        if len(parts) == 1:
            return parts[0]
        times, boxes, scores = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("times", "boxes", "scores")
        )
        _, first = np.unique(times, return_index=True)
        distances = None
        if any(part.distances is not None for part in parts):
            distances = np.concatenate([self.distance(part, part.times) for part in parts])[first]
        return Track(parts[0].id, parts[0].label, times[first], boxes[first], scores[first], distances)

    def distance(
        self, track: Track, times, depth: DepthSequence | None = None, cue: str = "both", max_gap: float | None = None
    ) -> np.ndarray:
        """Relative distance ``[N]`` of an object at ``times``; 1 = the median over the clip's boxes of all tracks. A track's
        own ``distances`` go before all cues.

        :param depth: depth maps; without them, distance comes from the boxes.
        :param cue: ``boxes`` - from the box's height: a thing twice as far is half as high (the height and not the area, for an
            arm stretched out changes the width). ``depth`` - from the map under the box. ``both`` - their geometric mean:
            boxes are cut off at the frame's edge, small depth networks err outdoors, and the errors differ.
        :param max_gap: seconds between two boxes that the object moves through; the tracks' own when left out.
        """
        if cue not in DISTANCE_CUES:
            raise StereoSyncError(f"Distance: '{cue}' is not known; choose {', '.join(DISTANCE_CUES)}.")
        times = np.atleast_1d(np.asarray(times, dtype=np.float64))
        if track.distances is not None:
            return np.interp(times, track.times, track.distances)
        boxes, _ = track.at(times, self.max_gap if max_gap is None else max_gap)
        result = np.ones(len(times))
        cues = [_distance_by_height] if depth is None or cue == "boxes" else [_distance_by_depth]
        if depth is not None and cue == "both":
            cues.append(_distance_by_height)
        for measure in cues:
            result *= (measure(times, boxes, depth) / self._median(measure, depth)) ** (1 / len(cues))
        return result

    def _median(self, measure: Callable[..., np.ndarray], depth: DepthSequence | None) -> float:
        """Of a cue of distance over all boxes; looked up in the maps once, and not for each track anew."""
        known = self.__dict__.setdefault("_medians", {})
        if (measure, id(depth)) not in known:
            everything = [measure(track.times, track.boxes, depth) for track in self.tracks]
            known[measure, id(depth)] = float(np.median(np.concatenate(everything))), depth  # whose id stays its own
        return known[measure, id(depth)][0]


def _distance_by_height(times: np.ndarray, boxes: np.ndarray, depth: DepthSequence | None) -> np.ndarray:
    return 1.0 / np.maximum(boxes[:, 3] - boxes[:, 1], 0.02)


def _distance_by_depth(times: np.ndarray, boxes: np.ndarray, depth: DepthSequence | None) -> np.ndarray:
    """Nearness taken as relative inverse distance between 1 and 1 / range."""
    assert depth is not None
    return 1.0 / (1.0 / depth.range + (1.0 - 1.0 / depth.range) * depth.nearness(times, boxes))


@dataclass(frozen=True)
class Envelope:
    """Loudness over time.

    :param values: float ``[N]``, not negative.
    :param times: seconds ``[N]``, rising.
    :param owners: where it is known whose sound it is: by track id, the share ``[N]`` in 0..1 that is this track's.
    :param events: what happens in it, where that is known.
    :param only_events: whether it was made from them, so that nothing else sounds.
    """

    values: np.ndarray
    times: np.ndarray
    owners: Mapping[int, np.ndarray] = field(default_factory=dict)
    events: Events | None = None
    only_events: bool = False

    def __post_init__(self):
        values, times = np.asarray(self.values, dtype=np.float64), _times(self.times, "Envelope")
        if values.ndim != 1 or len(values) != len(times) or len(values) == 0:
            raise StereoSyncError(f"Envelope: {values.shape} values and {times.shape} times; give two equal, non-empty lists.")
        if not np.isfinite(values).all() or values.min() < 0:
            raise StereoSyncError("Envelope: values must be finite and not negative.")
        if any(np.shape(shares) != values.shape for shares in self.owners.values()):
            raise StereoSyncError("Envelope: an owner's shares are not as many as the values; give one for each.")
        freeze(self, values=values, times=times)

    def at(self, times) -> np.ndarray:
        """Values ``[N]`` at other times, linearly between neighbours, ends held."""
        return np.interp(np.asarray(times, dtype=np.float64), self.times, self.values)


def check_tracks_fit(tracks: Tracks, duration: float) -> None:
    """Raise where tracks belong to a clip of another length."""
    last, first = max((track.end for track in tracks), default=0.0), min((track.start for track in tracks), default=0.0)
    if first < -0.25:
        raise StereoSyncError(f"Tracks: they begin at {first:.4g} s; give seconds from the clip's first frame.")
    if last > duration + 0.25 or abs(tracks.duration - duration) > max(0.25, 0.02 * duration):
        raise StereoSyncError(
            f"Tracks: they are for a clip of {max(tracks.duration, last):.2f} s, but this clip lasts {duration:.2f} s; track "
            "the same clip (after trimming, not before)."
        )


def check_depth_fits(depth: DepthSequence, duration: float) -> None:
    """Raise where depth belongs to a clip of another length. A single map holds for a whole clip."""
    spacing = float(np.median(np.diff(depth.times))) if len(depth.times) > 1 else duration
    if depth.end > duration + 0.25 or depth.end < duration - max(1.0, 3 * spacing):
        raise StereoSyncError(
            f"Depth: it reaches to {depth.end:.2f} s, but this clip lasts {duration:.2f} s; estimate depth on the same clip "
            "(after trimming, not before)."
        )
