"""MASA's two trackers: from boxes with embeddings, frame by frame, to identities, by the rules of the release in both its
forms. Time is in seconds: what the release counts in frames is turned with its own frame rate. Boxes are in the frame's own
pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import softmax

from ...errors import StereoSyncError
from ..detections import iou

#: Seconds by which a sum of times may be off.
TINY = 1e-6
#: Factor by which the gate widens in a second without a sight of the object: exp(6), as released.
WIDENING = 6.0


@dataclass(frozen=True)
class Settings:
    """What both forms have.

    :param init_score: score from which a box may begin a track, and ``obj_score`` from which it may carry one on.
    :param match_score: similarity from which a box is the same object.
    :param discard_score: an uncertain box this similar to an object is neither a new object nor backdrop.
    :param memory: seconds after which an object that is not seen is forgotten.
    :param momentum: weight of the newest embedding in an object's running mean.
    :param per_class: boxes are matched to objects of their own class alone. Not in the release.
    """

    init_score: float
    obj_score: float
    match_score: float
    discard_score: float = np.inf
    memory: float = 10 / 30
    momentum: float = 0.8
    per_class: bool = False


@dataclass(frozen=True)
class TaoSettings(Settings):
    """The form for open vocabularies, which MASA's demonstration uses; the values are those of the plug-and-play release.

    :param distractor_score: a box below this is dropped where it overlaps a stronger one by more than the intersection over
        union ``distractor_overlap``.
    :param max_distance: pixels that an object's centre may have moved before the similarity is cut; None = no limit.
    :param decay: pixels beyond that limit over which the similarity falls to 1/e.
    :param furthest: pixels that the limit does not exceed however long an object was away; None = as released, no bound.
    """

    init_score: float = 0.1
    obj_score: float = 0.01
    match_score: float = 0.5
    distractor_score: float = 0.5
    distractor_overlap: float = 0.3
    max_distance: float | None = 100.0
    decay: float = 100 / 30
    furthest: float | None = None


@dataclass(frozen=True)
class BddSettings(Settings):
    """The form for driving scenes: no distance gate, and boxes without an identity are kept as backdrop for a frame.

    :param backdrop_overlap: overlap from which an uncertain box repeats a stronger one, and ``class_overlap`` a certain box.
    """

    init_score: float = 0.5
    obj_score: float = 0.3
    match_score: float = 0.6
    discard_score: float = 0.5
    backdrop_overlap: float = 0.3
    class_overlap: float = 0.7


@dataclass(frozen=True)
class TrackedBoxes:
    """The boxes of one frame that have an identity, strongest first: ``boxes [N, 4]`` in pixels, ``ids [N]`` counted from 0,
    and ``rows [N]``, their places in what was given, for masks and the like."""

    rows: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    ids: np.ndarray

    def __getitem__(self, keep: np.ndarray) -> TrackedBoxes:
        return TrackedBoxes(*(values[keep] for values in vars(self).values()))


@dataclass
class TrackMemory:
    """An object's last box, the running mean of its embedding, and when it was last seen."""

    box: np.ndarray
    embedding: np.ndarray
    label: Any
    last: float


class _Tracker(ABC):
    """``memory`` holds the objects by id, ``backdrop`` boxes of the last frame without one, and ``match`` the last frame's
    similarity (boxes by both of them), None where nothing was compared."""

    #: Class of the settings.
    form: Any

    def __init__(self, settings: Settings | None = None):
        self.settings: Any = settings or self.form()
        self.memory: dict[int, TrackMemory] = {}
        self.backdrop: list[TrackMemory] = []
        self.match: np.ndarray | None = None
        self._count = 0

    def update(
        self, time: float, boxes: np.ndarray, scores: np.ndarray | None, labels: Sequence[Any], embeddings: np.ndarray
    ) -> TrackedBoxes:
        """Identities for the boxes of the frame at ``time`` seconds; times rise from call to call.

        :param boxes: ``[N, 4]`` as x0, y0, x1, y1 in pixels of the frame.
        :param scores: ``[N]``; ones where there are none.
        :param labels: ``[N]``, anything that can be compared.
        :param embeddings: float32 ``[N, 256]``.
        :raises StereoSyncError: the numbers differ.
        """
        self.match = None
        boxes, kinds = np.asarray(boxes, dtype=np.float32).reshape(-1, 4), np.asarray(labels)
        scores = np.ones(len(boxes), dtype=np.float32) if scores is None else np.asarray(scores, dtype=np.float32)
        if not len(boxes) == len(scores) == len(kinds) == len(embeddings):
            raise StereoSyncError(
                f"Boxes: {len(boxes)} boxes, {len(scores)} scores, {len(kinds)} labels and {len(embeddings)} embeddings in a "
                "frame; give equal numbers."
            )
        order = np.argsort(-scores, kind="stable")
        if len(order) == 0:
            # As released: a frame without boxes is passed over, and nothing is forgotten in it.
            return TrackedBoxes(order, boxes, scores, kinds, np.zeros(0, dtype=np.int64))
        order = order[self._keep(boxes[order], scores[order])]
        boxes, scores, kinds, embeddings = boxes[order], scores[order], kinds[order], embeddings[order]
        ids = self._assign(time, boxes, scores, kinds, embeddings)
        fresh = (ids == -1) & (scores > self.settings.init_score)
        ids[fresh] = self._count + np.arange(fresh.sum())
        self._count += int(fresh.sum())
        self._remember(time, boxes, kinds, embeddings, ids)
        return TrackedBoxes(order, boxes, scores, kinds, ids)[ids > -1]

    def _assign(self, time, boxes, scores, labels, embeddings) -> np.ndarray:
        """Identities ``[N]`` out of the memory; -1 where it holds none, -2 where the box is discarded."""
        ids = np.full(len(boxes), -1, dtype=np.int64)
        if not self.memory:
            return ids
        settings = self.settings
        known = [*self.memory.values(), *self.backdrop]
        numbers = [*self.memory, *[-1] * len(self.backdrop)]
        match = self._similarity(time, boxes, embeddings, known)
        if settings.per_class:
            match = match * (labels[:, None] == np.array([track.label for track in known])[None])
        self.match = match.copy()
        for row in range(len(boxes)):
            best = int(match[row].argmax())
            if not match[row, best] > settings.match_score or numbers[best] < 0:
                continue
            if scores[row] > settings.obj_score:
                ids[row] = numbers[best]
                match[np.arange(len(match)) != row, best] = 0
            elif match[row, best] > settings.discard_score:
                ids[row] = -2
        return ids

    def _remember(self, time, boxes, labels, embeddings, ids) -> None:
        new = self.settings.momentum
        for row in np.flatnonzero(ids > -1):
            known = self.memory.get(int(ids[row]))
            embedding = embeddings[row] if known is None else (1 - new) * known.embedding + new * embeddings[row]
            self.memory[int(ids[row])] = TrackMemory(boxes[row], embedding, labels[row], time)
        longest = self.settings.memory - TINY
        self.memory = {id_: track for id_, track in self.memory.items() if time - track.last < longest}

    @abstractmethod
    def _keep(self, boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Which boxes ``[N]`` of a frame, strongest first, are associated."""

    @abstractmethod
    def _similarity(self, time: float, boxes: np.ndarray, embeddings: np.ndarray, known: list[TrackMemory]) -> np.ndarray:
        """Of boxes and what is remembered, ``[N, T]``."""


class TaoTracker(_Tracker):
    """The release's form for open vocabularies (:class:`TaoSettings`)."""

    form = TaoSettings

    def _keep(self, boxes, scores):
        """False for distractors: weak boxes on any stronger one, be that itself dropped."""
        return (scores >= self.settings.distractor_score) | (covered(boxes) <= self.settings.distractor_overlap)

    def _similarity(self, time, boxes, embeddings, known):
        memory = np.stack([track.embedding for track in known])
        first, second = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (embeddings, memory))
        match = (bisoftmax(embeddings @ memory.T) + first @ second.T) / 2
        return match if self.settings.max_distance is None else match * self._gate(time, boxes, known)

    def _gate(self, time: float, boxes: np.ndarray, known: list[TrackMemory]) -> np.ndarray:
        """Factor of the similarity ``[N, T]``: 1 within reach, falling beyond."""
        here, there = ((b[:, :2] + b[:, 2:]) / 2 for b in (boxes, np.stack([track.box for track in known])))
        distance = np.linalg.norm(here[:, None] - there[None], axis=-1)
        away = time - np.array([track.last for track in known])
        # The exponent is bounded because exp overflows after two minutes.
        reach = self.settings.max_distance * np.exp(np.minimum(WIDENING * away, 50.0))
        if self.settings.furthest is not None:
            reach = np.minimum(reach, self.settings.furthest)
        return np.exp(-np.maximum(distance - reach, 0.0) / self.settings.decay).astype(np.float32)


class BddTracker(_Tracker):
    """The release's form for driving scenes (:class:`BddSettings`)."""

    form = BddSettings

    def _keep(self, boxes, scores):
        """False for boxes that repeat a stronger one."""
        limit = np.where(scores < self.settings.obj_score, self.settings.backdrop_overlap, self.settings.class_overlap)
        return covered(boxes) <= limit

    def _similarity(self, time, boxes, embeddings, known):
        return bisoftmax(embeddings @ np.stack([track.embedding for track in known]).T)

    def _remember(self, time, boxes, labels, embeddings, ids):
        super()._remember(time, boxes, labels, embeddings, ids)
        rows = np.flatnonzero((ids == -1) & (covered(boxes) <= self.settings.backdrop_overlap))
        self.backdrop = [TrackMemory(boxes[row], embeddings[row], labels[row], time) for row in rows]


def covered(boxes: np.ndarray) -> np.ndarray:
    """Greatest overlap ``[N]`` of each box with any box before it."""
    return np.tril(iou(boxes, boxes), -1).max(axis=1)


def bisoftmax(products: np.ndarray) -> np.ndarray:
    """Mean of the softmax over the memory and that over the boxes (Fischer et al., "QDTrack", 2023)."""
    return (softmax(products, 1) + softmax(products, 0)) / 2
