"""Foot contacts of a walking, running, marching or climbing person: the contact network, and the trunk's rise and fall."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks
from scipy.special import expit, logit

from ..batches import batched
from ..scene_events import FEET, Event
from .body import RATE, Body
from .bounce import bounce_log_odds
from .contact_network import MIRRORED, OUTPUTS, SEEN, ContactNetwork, features, load_network
from .landmarks import ANKLES, HEELS, TOES

#: Frames that the network sees at once, as in training, and windows at once.
WINDOW, _BATCH = 128, 16
#: Probability from which a peak is kept at all, and seconds between two steps at least.
LEAST, SPACING = 0.08, 0.2
#: Probability from which a peak is worth more in a chain of steps than it costs, and seconds that end a chain.
WORTH, _PAUSE = 0.3, 1.3
#: Cost of uneven intervals (times the squared logarithm of their ratio), its bound, and log odds that an even rhythm adds.
_EVEN, _MOST_UNEVEN, _RHYTHM = 6.0, 1.5, 1.2
#: Mean visibility of the feet below which nothing is known of them, and above which all is.
_HIDDEN, _SEEN = 0.3, 0.6
#: Steps a second that are as strong as can be.
_HARDEST = 3.0


@torch.inference_mode()
def probabilities(body: Body, network: ContactNetwork | None = None) -> np.ndarray:
    """Probabilities ``[N, 6]`` of the network's outputs, frame by frame, from overlapping windows."""
    network = network if network is not None else load_network()
    points, world = body.points[:, SEEN], body.world[:, SEEN]
    short = max(0, WINDOW - len(points))
    points, world = (np.pad(values, ((0, short), (0, 0), (0, 0)), mode="edge") for values in (points, world))
    # a person and the mirror image step at the same moments, with the other foot
    views = [features(points, world), features(points[:, MIRRORED] * [-1, 1], world[:, MIRRORED] * [-1, 1, 1])]
    count = len(points)
    starts = sorted({*range(0, count - WINDOW, WINDOW // 2), count - WINDOW})
    total, weight = np.zeros((count, len(OUTPUTS))), np.zeros((count, 1))
    # a window knows its middle best
    trust = np.minimum(np.arange(1, WINDOW + 1), np.arange(WINDOW, 0, -1))[:, None].astype(float)
    for some in batched(starts, _BATCH):
        windows = [torch.from_numpy(np.stack([view[start : start + WINDOW] for start in some])) for view in views]
        plain, mirrored = (network(one).sigmoid().double().numpy() for one in windows)
        likely = (plain + mirrored[..., [0, 1, 3, 2, 5, 4]]) / 2
        for start, one in zip(some, likely, strict=True):
            total[start : start + WINDOW] += trust * one
            weight[start : start + WINDOW] += trust
    return (total / weight)[: len(body)]


def steps(body: Body, track: int | None, likely: np.ndarray) -> list[Event]:
    """Foot contacts with their feet; times between the frames.

    :param likely: the contact network's :func:`probabilities`.
    """
    curve = expit(_logit(likely[:, 0]) + bounce_log_odds(body, likely[:, 0]))
    peaks, _ = find_peaks(np.concatenate([[0.0], curve, [0.0]]), height=LEAST, distance=round(0.1 * RATE))
    peaks = peaks - 1
    moments = np.array([max(0.0, body.times[peak] + _offset(curve, peak) / RATE) for peak in peaks])
    chosen = regular(moments, curve[peaks])
    peaks, moments = peaks[chosen], moments[chosen]
    seen, trust = uniform_filter1d(body.visible(ANKLES + HEELS + TOES), 7), body.trust()
    rhythm = regularity(moments)
    found = []
    for n, peak in enumerate(peaks):
        span = slice(max(0, peak - 1), peak + 2)
        side = int(likely[span, 3].sum() > likely[span, 2].sum())
        odds = _logit(curve[peak]) + _RHYTHM * (rhythm[n] - 0.4)
        clear = np.clip((seen[peak] - _HIDDEN) / (_SEEN - _HIDDEN), 0, 1) * trust[peak]
        confidence = clear * expit(odds)
        gaps = [gap for gap in np.diff(moments[max(0, n - 1) : n + 2]) if gap < _PAUSE]
        strength = np.clip((1 / np.mean(gaps) if gaps else 1.2) / _HARDEST, 0.4, 1.0)
        found.append(Event(float(moments[n]), "step", track, FEET[side], float(strength), float(confidence)))
    return found


def regular(moments: np.ndarray, likely: np.ndarray) -> np.ndarray:
    """Places ``[M]`` of the steps that are likely and come at even intervals: the best chain of pairs (dynamic programming).

    :param moments: seconds ``[N]``, rising, of all that may be steps.
    :param likely: their probabilities ``[N]``.
    """
    count = len(moments)
    worth = _logit(likely) - _logit(WORTH)
    if count < 2:
        return np.flatnonzero(worth > 0)
    # for each step j, what the best chains are worth whose last two steps are i (at most a pause before) and j, and the pair
    # before; the last of them are chains that begin, or begin anew, at j
    pairs: list[tuple[list[int], np.ndarray, list[tuple[int, int]]]] = []
    ended, earlier = 0, (0.0, -1, -1)
    for j in range(count):
        while moments[j] - moments[ended] > _PAUSE:
            earlier = max(earlier, *((float(value), i, ended) for i, value in zip(*pairs[ended][:2], strict=True)))
            ended += 1
        before, values, came_from = [], [], []
        for i in range(ended, j):
            gap = moments[j] - moments[i]
            if not SPACING <= gap <= _PAUSE:
                continue
            ways, options = pairs[i][0], pairs[i][1].copy()
            uneven = np.log(gap / np.maximum(moments[i] - moments[ways[:-1]], 1e-3))
            options[:-1] -= np.minimum(_EVEN * uneven**2, _MOST_UNEVEN)
            options[-1] -= 0.3 * _MOST_UNEVEN
            way = int(options.argmax())
            before.append(i)
            values.append(worth[j] + options[way])
            came_from.append((ways[way], i))
        before.append(j)
        values.append(worth[j] + max(0.0, earlier[0]))
        came_from.append(earlier[1:] if earlier[0] > 0 else (-1, -1))
        pairs.append((before, np.array(values), came_from))
    best, i, j = max(
        (float(value), i, j) for j, (ways, values, _) in enumerate(pairs) for i, value in zip(ways, values, strict=True)
    )
    chain = []
    while best > 0 and j >= 0:
        chain.append(j)
        ways, _, came_from = pairs[j]
        i, j = came_from[ways.index(i)]
    return np.array(chain[::-1], dtype=int)


def regularity(moments: np.ndarray) -> np.ndarray:
    """How evenly each step lies between its neighbours, ``[N]`` in 0..1."""
    result = np.zeros(len(moments))
    gaps = np.diff(moments)
    for n in range(len(moments)):
        around = gaps[max(0, n - 2) : n + 2]
        around = around[around < _PAUSE]
        if len(around) > 1:
            result[n] = np.exp(-0.5 * (np.diff(np.log(around)) / 0.2) ** 2).mean()
    return result


def _logit(likely):
    return logit(np.clip(likely, 1e-3, 0.999))


def _offset(curve: np.ndarray, peak: int) -> float:
    """Frames by which the crest of a bell lies beside its highest sample."""
    if not 0 < peak < len(curve) - 1:
        return 0.0
    left, middle, right = np.log(np.clip(curve[peak - 1 : peak + 2], 1e-4, None))
    bend = left - 2 * middle + right
    return float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend < -1e-6 else 0.0
