"""Foot contacts of a walking, running, marching or climbing person, by the contact network."""

from __future__ import annotations

import numpy as np
import torch
from scipy.signal import find_peaks

from ..scene_events import FEET, Event
from .body import RATE, Body
from .contact_network import SEEN, ContactNetwork, features, load_network
from .landmarks import ANKLES, HEELS, TOES

#: Frames that the network sees at once, as in training.
WINDOW = 128
#: Probability from which a peak is kept at all, and seconds between two steps at least.
LEAST, SPACING = 0.2, 0.15
#: Steps a second that are as strong as can be.
_HARDEST = 3.0


@torch.inference_mode()
def probabilities(body: Body, network: ContactNetwork | None = None) -> np.ndarray:
    """Probabilities ``[N, 6]`` of the network's outputs, frame by frame, from overlapping windows."""
    network = network if network is not None else load_network()
    points, world = body.points[:, SEEN], body.world[:, SEEN]
    short = max(0, WINDOW - len(points))
    points, world = (np.pad(values, ((0, short), (0, 0), (0, 0)), mode="edge") for values in (points, world))
    seen = features(points, world)
    starts = sorted({*range(0, len(seen) - WINDOW, WINDOW // 2), len(seen) - WINDOW})
    windows = np.stack([seen[start : start + WINDOW] for start in starts])
    logits = network(torch.from_numpy(windows)).sigmoid().double().numpy()
    # a window knows its middle best
    trust = np.minimum(np.arange(1, WINDOW + 1), np.arange(WINDOW, 0, -1))[:, None].astype(float)
    total, weight = np.zeros((len(seen), logits.shape[2])), np.zeros((len(seen), 1))
    for start, one in zip(starts, logits, strict=True):
        total[start : start + WINDOW] += trust * one
        weight[start : start + WINDOW] += trust
    return (total / weight)[: len(body)]


def steps(body: Body, track: int | None, network: ContactNetwork | None = None) -> list[Event]:
    """Foot contacts with their feet; times between the frames."""
    likely = probabilities(body, network)
    curve = likely[:, 0]
    peaks, _ = find_peaks(np.concatenate([[0.0], curve, [0.0]]), height=LEAST, distance=max(1, round(SPACING * RATE)))
    peaks = peaks - 1
    seen = body.visible(ANKLES + HEELS + TOES)
    moments = np.array([body.times[peak] + _offset(curve, peak) / RATE for peak in peaks])
    gaps = np.diff(moments)
    found = []
    for n, peak in enumerate(peaks):
        span = slice(max(0, peak - 1), peak + 2)
        side = int(likely[span, 3].sum() > likely[span, 2].sum())
        near = [gap for gap in gaps[max(0, n - 1) : n + 1] if gap < 1.2]
        strength = np.clip((1 / np.mean(near) if near else 1.2) / _HARDEST, 0.4, 1.0)
        confidence = curve[peak] * np.clip(2 * seen[peak], 0, 1)
        found.append(Event(max(0.0, moments[n]), "step", track, FEET[side], float(strength), float(np.clip(confidence, 0, 1))))
    return found


def _offset(curve: np.ndarray, peak: int) -> float:
    """Frames by which the crest of a bell lies beside its highest sample."""
    if not 0 < peak < len(curve) - 1:
        return 0.0
    left, middle, right = np.log(np.clip(curve[peak - 1 : peak + 2], 1e-4, None))
    bend = left - 2 * middle + right
    return float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend < -1e-6 else 0.0
