"""Corners of small grey pictures, found, followed and matched, and the motion that most of them agree on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import maximum_filter, uniform_filter

from ..scene_camera import moved

#: Pixels of the long side of the pictures that are compared.
LONG_SIDE = 320
#: Corners of a picture, cells of a grid that have their share of them, half the side of what describes one, and pixels at the
#: edge without one.
_MOST, _CELLS, _REACH, _EDGE = 128, (4, 6), 5, 7
#: Least strength of a corner: the smaller eigenvalue of the structure tensor, in squared steps of 255 a pixel.
_LEAST_CORNER = 3.0
#: Pixels within which a corner is looked for, and distance ratio to the second best that a match may have.
_WINDOW, _RATIO = 48.0, 0.9
#: Steps of following a corner at each size, and part of its contrast that may be another.
_STEPS, _UNLIKE = 2, 0.6
#: Pixels by which a match may miss the motion, and matches that have to agree.
_MISS, _LEAST = 1.2, 12
#: Pixels below which nothing has moved: of a corner, and of the whole picture; share of the corners that rest where a camera
#: stands; and the same against those with another motion.
_RESTS, _STANDS, RESTING, _RATHER_RESTING = 0.3, 0.35, 0.6, 0.3
#: Random samples, share of a similarity's cost that a homography may leave to be taken instead, and the similarity's miss in
#: pixels that is good enough.
_TRIES, _BENT, _CLOSE = 64, 0.8, 0.15


class Corners(NamedTuple):
    """Corners of a picture: places ``[N, 2]`` in pixels, descriptors ``[N, D]``, and the picture ``[H, W]`` and its slopes
    along x and y, at full and at half size."""

    places: np.ndarray
    descriptors: torch.Tensor
    pyramid: list[torch.Tensor]
    slopes: list[tuple[torch.Tensor, torch.Tensor]]


class Found(NamedTuple):
    """A homography in pixels, the share of the pairs that agree with it, and their number."""

    motion: np.ndarray
    share: float
    count: int


#: Places ``[N, 2]`` in one picture and in another, and how many were looked for.
Pairs = tuple[np.ndarray, np.ndarray, int]


def _free(places: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Which places ``[N, 2]`` lie in none of the boxes."""
    inside = (places[:, None] >= taken[None, :, :2]) & (places[:, None] <= taken[None, :, 2:])
    return ~np.any(np.all(inside, axis=-1), axis=1)


@torch.inference_mode()
def find_corners(grey: torch.Tensor, taken: np.ndarray) -> Corners:
    """Corners after Shi and Tomasi, the strongest of each cell of the picture, described by what is around them."""
    from kornia.filters import spatial_gradient

    pyramid = pyramid_of(grey)
    slopes = [tuple(spatial_gradient(level[None, None])[0, 0]) for level in pyramid]
    along, down = slopes[0]
    x, y = along.numpy(), down.numpy()
    xx, xy, yy = (uniform_filter(product, 5) for product in (x * x, x * y, y * y))
    response = (xx + yy - np.hypot(xx - yy, 2 * xy)) / 2
    strong = (maximum_filter(response, 7) == response) & (response > _LEAST_CORNER)
    strong[:_EDGE], strong[-_EDGE:], strong[:, :_EDGE], strong[:, -_EDGE:] = False, False, False, False
    rows, columns = np.nonzero(strong)
    places = np.stack([columns, rows], axis=1).astype(np.float64)
    kept = np.flatnonzero(_free(places, taken))
    strength = response[rows[kept], columns[kept]]
    kept = kept[np.argsort(-strength, kind="stable")]
    cells = (places[kept] / (np.array(grey.shape[::-1]) / _CELLS[::-1])).astype(int) @ [1, _CELLS[1]]
    rank = np.zeros(len(kept), dtype=int)
    for cell in np.unique(cells):
        rank[cells == cell] = np.arange((cells == cell).sum())
    kept = np.sort(kept[np.argsort(rank, kind="stable")[:_MOST]])
    places = places[kept]
    fine = _crest(response, places.astype(int))
    patches = _patches(grey, places, _REACH)
    patches = patches - patches.mean(1, keepdim=True)
    return Corners(fine, F.normalize(patches, dim=1), pyramid, slopes)


def pyramid_of(grey: torch.Tensor) -> list[torch.Tensor]:
    return [grey, F.avg_pool2d(grey[None, None], 2)[0, 0]]


def _patches(values: torch.Tensor, places: np.ndarray, reach: int) -> torch.Tensor:
    """Squares ``[N, (2 reach + 1)²]`` of a picture ``[H, W]`` around whole places ``[N, 2]``."""
    around = np.arange(-reach, reach + 1)
    x, y = places.round().astype(int).T
    rows = torch.from_numpy((y[:, None, None] + around[:, None]).clip(0, values.shape[0] - 1))
    columns = torch.from_numpy((x[:, None, None] + around).clip(0, values.shape[1] - 1))
    return values[rows, columns].reshape(len(places), (2 * reach + 1) ** 2)


def _crest(response: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Whole places ``[N, 2]`` moved to the top of the parabola through the response there."""
    x, y = places.T
    result = places.astype(np.float64)
    for axis, (right, down) in enumerate(((1, 0), (0, 1))):
        low, middle, high = (response[y + s * down, x + s * right] for s in (-1, 0, 1))
        bend = np.minimum(low - 2 * middle + high, -1e-9)
        result[:, axis] += np.clip(0.5 * (low - high) / bend, -0.5, 0.5)
    return result


@torch.inference_mode()
def resting_share(key: Corners, grey: torch.Tensor, taken: np.ndarray) -> float:
    """Share of the key picture's corners that are where they were: one step of Lucas and Kanade's registration each."""
    places = key.places[_free(key.places, taken)]
    if len(places) < _LEAST:
        return 0.0
    along, down = (_patches(slope, places, 3) for slope in key.slopes[0])
    change = _patches(grey - key.pyramid[0], places, 3)
    xx, xy, yy = (along * along).sum(1), (along * down).sum(1), (down * down).sum(1)
    bx, by = (along * change).sum(1), (down * change).sum(1)
    determinant = (xx * yy - xy * xy).clamp_min(1e-6)
    shift = torch.stack([yy * bx - xy * by, xx * by - xy * bx]) / determinant
    return float((shift.norm(dim=0) < _RESTS).float().mean())


@torch.inference_mode()
def followed(key: Corners, pyramid: list[torch.Tensor], guess: np.ndarray, taken: np.ndarray) -> Pairs:
    """Pairs of a key picture's corners and where they are in another, near where a guess expects them (Lucas and Kanade)."""
    expected = moved(guess, key.places) if len(key.places) else key.places
    start = key.places[_inside(expected, key.pyramid[0]) & _free(expected, taken)]
    if len(start) < _LEAST:
        return start, start, len(start)
    shape = torch.from_numpy(_slope(guess, np.array(key.pyramid[0].shape[::-1]) / 2)).float()
    around = torch.stack(torch.meshgrid(*[torch.arange(-4.0, 5.0)] * 2, indexing="xy"), dim=-1).reshape(-1, 2)
    begin, end = (torch.from_numpy(points).float() for points in (start, moved(guess, start)))
    for level, (before, now) in reversed(list(enumerate(zip(key.pyramid, pyramid, strict=True)))):
        size = 2.0**level
        template = _sampled(torch.stack([before, *key.slopes[level]]), begin / size - 0.5 * (1 - 1 / size), around)
        grey, along, down = template
        xx, xy, yy = (along * along).sum(1), (along * down).sum(1), (down * down).sum(1)
        determinant = (xx * yy - xy * xy).clamp_min(1e-6)
        for _ in range(_STEPS):
            change = _sampled(now[None], end / size - 0.5 * (1 - 1 / size), around @ shape.T)[0] - grey
            change = change - change.mean(1, keepdim=True)
            bx, by = (along * change).sum(1), (down * change).sum(1)
            shift = torch.stack([yy * bx - xy * by, xx * by - xy * bx], dim=1) / determinant[:, None]
            end = end - size * shift.clamp(-2, 2) @ shape.T
    good = (shift.norm(dim=1) < _RESTS) & (change.norm(dim=1) < _UNLIKE * (grey - grey.mean(1, keepdim=True)).norm(dim=1))
    return start[good.numpy()], end[good].double().numpy(), len(start)


def _sampled(pictures: torch.Tensor, places: torch.Tensor, around: torch.Tensor) -> torch.Tensor:
    """Pictures ``[C, H, W]`` at places ``[N, 2]`` in pixels and around them ``[K, 2]``: ``[C, N, K]``."""
    sides = torch.tensor([pictures.shape[2], pictures.shape[1]])
    grid = (places[:, None] + around + 0.5) * 2 / sides - 1
    return F.grid_sample(pictures[None], grid[None], mode="bilinear", padding_mode="border", align_corners=False)[0]


def _slope(matrix: np.ndarray, place: np.ndarray) -> np.ndarray:
    """How a homography turns and stretches what is around a place ``[2]``: ``[2, 2]``."""
    flat = matrix @ [*place, 1.0]
    return (matrix[:2, :2] - np.outer(flat[:2] / flat[2], matrix[2, :2])) / flat[2]


def _inside(places: np.ndarray, grey: torch.Tensor) -> np.ndarray:
    return np.all((places >= _EDGE) & (places <= np.array(grey.shape[::-1]) - 1 - _EDGE), axis=1)


@torch.inference_mode()
def matched(key: Corners, now: Corners, guess: np.ndarray, taken: np.ndarray) -> Pairs:
    """Pairs of corners of a key picture and of another that are alike, within reach of where a guess expects them."""
    from kornia.feature import match_smnn

    expected = moved(guess, key.places) if len(key.places) else key.places
    kept = np.flatnonzero(_free(expected, taken)) if len(expected) else np.zeros(0, dtype=int)
    if min(len(kept), len(now.places)) < _LEAST:
        return np.zeros((0, 2)), np.zeros((0, 2)), 0
    apart = torch.cdist(key.descriptors[kept], now.descriptors)
    far = np.abs(expected[kept][:, None] - now.places[None]).max(-1) > _WINDOW
    apart[torch.from_numpy(far)] = 4.0
    _, pairs = match_smnn(key.descriptors[kept], now.descriptors, _RATIO, apart)
    pairs = pairs.numpy()
    return key.places[kept[pairs[:, 0]]], now.places[pairs[:, 1]], len(pairs)


def agreed(pairs: Pairs, frame: np.ndarray, share: float) -> Found | None:
    """The motion that pairs of places agree on; None where less than a share of all that were looked for does.

    :param frame: the picture's corners ``[4, 2]``.
    """
    start, end, tried = pairs
    if len(start) < _LEAST:
        return None
    found, agree = fit(start, end)
    # what stands stays in place to the pixel, which nothing does that a moving camera passes
    resting = (np.linalg.norm(end - start, axis=1) < _MISS / 2) & ~agree
    if resting.sum() >= max(_LEAST, _RATHER_RESTING * agree.sum()):
        found, agree = np.eye(3), resting
    if agree.sum() < max(_LEAST, share * tried) or not _likely(found, frame):
        return None
    rest = np.linalg.norm(end - start, axis=1)[agree] < _RESTS
    stands = rest.mean() >= RESTING or np.abs(moved(found, frame) - frame).max() < _STANDS
    return Found(np.eye(3) if stands else found, float(agree.mean()), int(agree.sum()))


def _likely(found: np.ndarray, frame: np.ndarray) -> bool:
    """Whether a motion leaves the frame's corners ``[4, 2]`` a picture of about its size and shape."""
    depth = frame @ found[2, :2] + found[2, 2]
    if depth.min() < 0.5 or depth.max() > 2.0:
        return False
    sides = np.linalg.norm(np.diff(moved(found, frame[[0, 1, 3, 2, 0]]), axis=0), axis=1)
    change = sides / np.linalg.norm(np.diff(frame[[0, 1, 3, 2, 0]], axis=0), axis=1)
    return bool(change.min() > 0.4 and change.max() < 2.5)


def fit(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The motion ``[3, 3]`` that most pairs of points ``[N, 2]`` in pixels agree on, and which do ``[N]``.

    A similarity by random samples of two (RANSAC), then a homography where more agree with that: cameras that turn.
    """
    a, b = (points[:, 0] + 1j * points[:, 1] for points in (start, end))
    random = np.random.default_rng(0)
    one, other = random.integers(len(a), size=(2, _TRIES))
    apart = np.abs(a[one] - a[other]) > 0.1 * LONG_SIDE
    one, other = one[apart], other[apart]
    turn = (b[one] - b[other]) / (a[one] - a[other])
    likely = np.abs(np.log(np.abs(turn) + 1e-9)) < 0.35
    one, turn = one[likely], turn[likely]
    if not len(one):
        return np.eye(3), np.zeros(len(a), dtype=bool)
    # a turning camera's picture is no similarity at its edges: the first look is a rough one
    misses = np.abs(turn[:, None] * (a - a[one, None]) + b[one, None] - b)
    best = np.minimum(misses, 2 * _MISS).sum(1).argmin()
    agree = misses[best] < 2 * _MISS
    matrix = np.eye(3)
    for _ in range(3):
        if agree.sum() < _LEAST:
            break
        matrix = _similarity(a[agree], b[agree])
        agree = np.linalg.norm(moved(matrix, start) - end, axis=1) < _MISS
    if _cost(matrix, start[agree], end[agree]) < _CLOSE**2 * agree.sum():
        return matrix, agree
    bent, fitting = _homography(start, end, matrix)
    if fitting.any() and _cost(bent, start, end) < _BENT * _cost(matrix, start, end):
        return bent, fitting
    return matrix, agree


def _cost(matrix: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    """Squared misses, each up to what counts as one."""
    return float((np.minimum(np.linalg.norm(moved(matrix, start) - end, axis=1), _MISS) ** 2).sum())


def _similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The similarity with the least squared error from points to points, which are complex numbers."""
    turn = np.vdot(a - a.mean(), b - b.mean()) / max(float(np.sum(np.abs(a - a.mean()) ** 2)), 1e-9)
    shift = b.mean() - turn * a.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag], [0.0, 0.0, 1.0]])


def _homography(start: np.ndarray, end: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A homography near a first motion, and which pairs agree with it."""
    from kornia.geometry.homography import find_homography_dlt

    matrix, agree = first, np.linalg.norm(moved(first, start) - end, axis=1) < 4 * _MISS
    for reach in (2 * _MISS, _MISS):
        if agree.sum() < 3 * _LEAST:
            return first, np.zeros(len(start), dtype=bool)
        pairs = (torch.from_numpy(points[agree])[None] for points in (start, end))
        matrix = find_homography_dlt(*pairs)[0].numpy()
        agree = np.linalg.norm(moved(matrix, start) - end, axis=1) < reach
    return matrix, agree
