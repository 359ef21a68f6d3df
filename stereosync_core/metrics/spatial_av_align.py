"""Spatial AV-Align as SAVGBench (arXiv 2412.13462) defines it, and beside it box recall (key ``spatial_av_align_precision`` in
reports) and the score corrected for what the same events get in the middle: docs/metrics.md. Audio events, ten a second, have a
horizontal position 0..256; people's boxes, four a second, lie on a frame 256 pixels wide."""

from dataclasses import dataclass

import numpy as np

from .localiser import Localisation
from .truth import Counted, Truth, near_steps

EVENT_RATE, VIDEO_RATE = 10, 4
FRAME, REACH = 256.0, 40.0


@dataclass(frozen=True)
class Boxes:
    """Boxes in ``count`` video frames, frame n at n / 4 seconds: of each its frame ``[K]``, ``sides [K, 2]``, left and right in
    pixels of a frame 256 wide, and whether it ``should_sound`` ``[K]``."""

    count: int
    frames: np.ndarray
    sides: np.ndarray
    should_sound: np.ndarray


def boxes_of(truth: Truth, duration: float) -> Boxes:
    """The tracks' boxes. One should sound when a step of its object, seen, is within one video frame; all, when steps are not
    known."""
    count = max(int(np.ceil(duration * VIDEO_RATE - 1e-9)), 1)
    times = np.arange(count) / VIDEO_RATE
    frames, sides, should = [np.zeros(0, int)], [np.zeros((0, 2))], [np.zeros(0, bool)]
    steps = None if truth.objects is None else {one.id: one.times[one.visible] for one in truth.objects}
    for track in truth.tracks:
        boxes, seen = track.at(times, truth.tracks.max_gap)
        frames.append(np.flatnonzero(seen))
        sides.append(boxes[seen][:, [0, 2]] * FRAME)
        own = times[seen]
        # a frame's neighbours reach from the begin of the one before to the end of the one after
        reach = {"before": 2 / VIDEO_RATE - 1e-9, "after": 1 / VIDEO_RATE}
        should.append(np.ones(len(own), bool) if steps is None else near_steps(own, steps.get(track.id, np.zeros(0)), **reach))
    return Boxes(count, np.concatenate(frames), np.concatenate(sides), np.concatenate(should))


@dataclass(frozen=True)
class Counts(Counted):
    """What was counted: events with a box at their place (``hits``) and without (``misses``), boxes that should sound with an
    event at their place (``found``) and without (``unheard``), the same of events moved to the middle of the frame, and boxes
    of any kind."""

    hits: int = 0
    misses: int = 0
    found: int = 0
    unheard: int = 0
    centre_hits: int = 0
    centre_found: int = 0
    boxes: int = 0

    @property
    def score(self) -> float | None:
        """SAVGBench's score; None without events, or when no box was in the picture at any time."""
        return _part(self.hits, self.misses) if self.boxes else None

    @property
    def box_recall(self) -> float | None:
        """None without boxes that should sound."""
        return _part(self.found, self.unheard)

    @property
    def centre(self) -> float | None:
        """The score of the same events in the middle of the frame."""
        return _part(self.centre_hits, self.hits + self.misses - self.centre_hits) if self.boxes else None

    @property
    def corrected(self) -> float | None:
        """0 = as good as centre-panned, 1 = every event hits. None where the middle hits always, or nothing was counted."""
        if self.score is None or self.centre is None or self.centre >= 1.0:
            return None
        return (self.score - self.centre) / (1.0 - self.centre)


def _part(those: int, others: int) -> float | None:
    return those / (those + others) if those + others else None


def events_of(localisation: Localisation) -> tuple[np.ndarray, np.ndarray]:
    """Times in seconds ``[E]`` and positions 0..256 ``[E]`` of the events: the windows that sound, ten a second."""
    tenth = np.arange(len(localisation.times)) % 2 == 0  # windows overlap by half: every other one is a tenth of a second
    use = localisation.sounding & tenth
    return localisation.times[use], (localisation.azimuth[use] + 1) / 2 * FRAME


def align(times: np.ndarray, positions: np.ndarray, boxes: Boxes) -> Counts:
    """Counts of one clip from events at ``times`` ``[E]`` and horizontal ``positions`` ``[E]``."""
    at = np.clip((np.asarray(times) * VIDEO_RATE + 1e-9).astype(int), 0, boxes.count - 1)
    near = np.abs(at[:, None] - boxes.frames[None]) <= 1
    left, right = boxes.sides.T
    counts = {}
    for name, x in (("", np.asarray(positions)), ("centre_", np.full(len(at), FRAME / 2))):
        overlap = near & (left <= x[:, None] + REACH) & (right >= x[:, None] - REACH)
        counts[f"{name}hits"] = int(overlap.any(1).sum())
        counts[f"{name}found"] = int((overlap.any(0) & boxes.should_sound).sum())
    unheard = int(boxes.should_sound.sum()) - counts["found"]
    return Counts(**counts, misses=len(at) - counts["hits"], unheard=unheard, boxes=len(boxes.frames))


def spatial_av_align(localisation: Localisation, truth: Truth, duration: float) -> Counts:
    """Counts of one clip."""
    return align(*events_of(localisation), boxes_of(truth, duration))
