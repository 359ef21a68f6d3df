"""Train the contact network on simulated people, seen through random cameras with a pose network's errors.

    python -m research.training.contacts [--steps 6000] [--target stereosync_core/assets/contacts.safetensors]

No picture and no recording is used.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from scipy.ndimage import gaussian_filter1d

from stereosync_core.assets import FOLDER
from stereosync_core.events.body import RATE
from stereosync_core.events.contact_network import MIRRORED, ContactNetwork, features

from .walker_simulation import RATE as FINE_RATE
from .walker_simulation import SECONDS, Walk, simulate

FRAMES = 128
#: Seconds; how wide a contact's mark is in the targets.
MARK = 0.028
#: Of the simulated joints, those of contact_network.SEEN: all but the wrists.
_KEPT = [0, 1, *range(4, 14)]


def bank(seed: int, count: int) -> list[Walk]:
    random = np.random.default_rng(seed)
    return [simulate(random) for _ in range(count)]


def rotation(random: np.random.Generator) -> tuple[np.ndarray, float]:
    """Axes of a random camera (rows: right, down, away) and its distance in body heights."""
    azimuth = random.uniform(0, 2 * np.pi)
    elevation = random.choice(
        [random.uniform(-0.15, 0.2), random.uniform(0.2, 0.7), random.uniform(0.7, 1.3)], p=[0.68, 0.22, 0.1]
    )
    away = np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), -np.sin(elevation)])
    right = np.cross(away, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(away, right)
    roll = random.normal(0, 0.05)
    right, down = np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right
    return np.stack([right, down, away]), float(np.exp(random.uniform(np.log(1.8), np.log(12))))


def wobble(random: np.random.Generator, frames: int, shape: tuple[int, ...], seconds: float) -> np.ndarray:
    """Slow noise of unit size ``[frames, *shape]``."""
    noise = gaussian_filter1d(random.standard_normal((frames + 40, *shape)), seconds * RATE, axis=0)[20:-20]
    return noise / max(float(noise.std()), 1e-6)


def look(walk: Walk, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A window of a walk as the pose network would give it: points ``[N, 12, 2]``, world ``[N, 12, 3]`` and targets ``[N,
    6]``."""
    u = random.uniform
    tempo = u(0.85, 1.18)
    length = FRAMES / RATE * tempo
    begin = u(0, SECONDS - length)
    times = begin + np.arange(FRAMES) / RATE * tempo
    # pictures are taken at the clip's own rate, then brought to ours
    own = random.choice([30.0, 30.0, 25.0, 24.0, 20.0, 15.0], p=[0.4, 0.2, 0.15, 0.15, 0.05, 0.05])
    taken = np.arange(begin - 0.2, begin + length + 0.2, tempo / own)
    taken = taken + (random.random(len(taken)) < 0.03) * -tempo / own * random.choice([0, 1])  # doubled pictures
    fine = np.clip(taken * FINE_RATE, 0, len(walk.joints) - 1.001)
    low = fine.astype(int)
    joints = (
        walk.joints[low][:, _KEPT] * (1 - (fine - low))[:, None, None]
        + walk.joints[low + 1][:, _KEPT] * (fine - low)[:, None, None]
    )
    axes, distance = rotation(random)
    hips = joints[:, 2:4].mean(1)
    count = len(taken)
    path = gaussian_filter1d(hips, random.choice([0.01, u(0.02, 0.6)]) * own, axis=0, mode="nearest")
    follow = random.choice([0.0, 1.0, u(0, 1.2)], p=[0.45, 0.25, 0.3])
    target = hips[count // 2] * (1 - follow) + path * follow + random.normal(0, 0.15, 3)
    if random.random() < 0.35:  # held in the hand
        target = target + wobble(random, count, (3,), u(0.1, 0.5)) * u(0, 0.04)
    seen = (joints - target[:, None]) @ axes.T
    depth = np.maximum(seen[..., 2:] + distance, 0.5)
    points = seen[..., :2] / depth * distance
    # an equal size on the picture's average, as the body's height is measured there
    points = points / np.median(distance / depth[:, 2:4]) * u(0.9, 1.1)
    world = (joints - hips[:, None]) @ axes.T * 1.7 * u(0.85, 1.15)
    # from in front and from behind the pose network sees little depth, none, or the wrong way round
    world[..., 2] *= random.choice([u(0.6, 1.15), u(0.0, 0.6), u(-0.6, 0.0)], p=[0.6, 0.25, 0.15])
    if random.random() < 0.4:  # and feet that rise and fall less than they do; who sways must not pass for such a one
        steps = any(len(moments) for moments in (walk.landings, *walk.contacts))
        share = u(0.4, 0.9) if steps else u(1.0, 2.5)
        for values in (points, world):
            rest = gaussian_filter1d(values[:, 4:, 1], 0.8 * own, axis=0, mode="nearest")
            values[:, 4:, 1] = rest + share * (values[:, 4:, 1] - rest)
    world[..., 2] += world[..., 1] * random.normal(0, 0.1)
    scale = np.ones(12)
    scale[6:] = u(1.0, 2.0)
    speed = np.linalg.norm(np.gradient(points, axis=0), axis=-1, keepdims=True)
    quality = np.exp(random.normal(0, 0.5))
    points = points + quality * scale[:, None] * (
        random.standard_normal(points.shape) * 0.004
        + wobble(random, count, (12, 2), 0.1) * 0.005
        + wobble(random, count, (12, 2), 0.6) * 0.007
    )
    points = points + random.standard_normal(points.shape) * speed * 0.12 + wobble(random, count, (1, 2), 0.1) * u(0, 0.004)
    world = world + quality * scale[:, None] * (
        random.standard_normal(world.shape) * 0.012
        + wobble(random, count, (12, 3), 0.12) * 0.02
        + wobble(random, count, (12, 3), 0.6) * 0.02
    )
    # the worse the legs hide each other, the more often one is taken for the other
    hidden = gaussian_filter1d((np.linalg.norm(points[:, 6] - points[:, 7], axis=-1) < 0.09).astype(float), 1.0)
    for _ in range(random.poisson(u(0, 1.5))):
        at = int(random.choice(count, p=(hidden + 0.02) / (hidden + 0.02).sum()))
        span = slice(at, at + int(random.integers(1, random.choice([4, 4, 12, 40]))))
        kind = random.random()
        if kind < 0.45:
            points[span, 2:], world[span, 2:] = points[span][:, MIRRORED][:, 2:], world[span][:, MIRRORED][:, 2:]
        elif kind < 0.75:
            side, share = int(random.integers(2)), u(0.5, 1.0)
            for joint in range(4, 12, 2):
                for values in (points, world):
                    values[span, joint + side] += share * (values[span, joint + 1 - side] - values[span, joint + side])
        elif kind < 0.9:
            points[span], world[span] = points[at], world[at]
        else:
            points[span, 4:] += random.standard_normal(points[span, 4:].shape) * 0.08
    on_grid = lambda values: np.stack([np.interp(times, taken, column) for column in values.reshape(count, -1).T], 1)  # noqa: E731
    order = np.argsort(taken, kind="stable")
    taken, points, world = taken[order], points[order], world[order]
    points, world = on_grid(points).reshape(FRAMES, 12, 2), on_grid(world).reshape(FRAMES, 12, 3)
    targets = np.zeros((FRAMES, 6), dtype=np.float32)

    def mark(moments, place: int) -> None:
        for moment in moments:
            bump = np.exp(-0.5 * ((times - moment) / tempo / MARK) ** 2)
            targets[:, place] = np.maximum(targets[:, place], bump)

    mark(walk.landings, 1)
    for side in (0, 1):
        mark(walk.contacts[side], 2 + side)
        if len(walk.landings) == 0:
            mark(walk.contacts[side], 0)
        targets[:, 4 + side] = walk.grounded[np.clip((times * FINE_RATE).round().astype(int), 0, len(walk.grounded) - 1), side]
    if random.random() < 0.5:
        points, world, targets = points[:, MIRRORED] * [-1, 1], world[:, MIRRORED] * [-1, 1, 1], targets[:, [0, 1, 3, 2, 5, 4]]
    return points, world, targets


def batches(seed: int, size: int, walks: int = 1500):
    """Endless batches, of walks that are drawn anew as they are used up."""
    random = np.random.default_rng(seed)
    held = bank(seed + 1, walks // 4)
    while True:
        rows = []
        for _ in range(size):
            rows.append(look(held[int(random.integers(len(held)))], random))
        if len(held) < walks:
            held += [simulate(random) for _ in range(2)]
        else:
            held[int(random.integers(len(held)))] = simulate(random)
        points, world, targets = (np.stack(column) for column in zip(*rows, strict=True))
        yield torch.from_numpy(features(points, world)), torch.from_numpy(targets)


def loss_of(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy; marks weigh more than the frames between them."""
    weight = 1.0 + 4.0 * targets
    weight[..., 4:] = 0.5
    return (F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * weight).mean()


def _feed(queue, seed: int, size: int) -> None:
    torch.set_num_threads(1)
    for batch in batches(seed, size):
        queue.put(tuple(part.numpy() for part in batch))


def train(steps: int, target: Path, start: Path | None = None, size: int = 24, workers: int = 1, seed: int = 0) -> None:
    torch.manual_seed(seed)
    context = torch.multiprocessing.get_context("spawn")
    queue = context.Queue(maxsize=8)
    feeders = [context.Process(target=_feed, args=(queue, seed + 100 * (n + 1), size), daemon=True) for n in range(workers)]
    for feeder in feeders:
        feeder.start()
    network = ContactNetwork()
    if start is not None:
        network.load_state_dict({key: value.float() for key, value in load_file(start).items()})
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=0.1)
    average = {key: value.clone() for key, value in network.state_dict().items()}
    began, total = time.perf_counter(), 0.0
    for step in range(1, steps + 1):
        inputs, targets = (torch.from_numpy(part) for part in queue.get())
        loss = loss_of(network(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        decay = min(0.995, step / (step + 10))
        for key, value in network.state_dict().items():
            average[key].lerp_(value, 1 - decay)
        total += loss.item()
        if step % 100 == 0 or step == steps:
            print(f"{step} {total / 100:.4f} {time.perf_counter() - began:.0f} s", flush=True)
            total = 0.0
        if step % 250 == 0 or step == steps:
            save_file({key: value.half().contiguous() for key, value in average.items()}, target)
    for feeder in feeders:
        feeder.terminate()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--target", type=Path, default=FOLDER / "contacts.safetensors")
    parser.add_argument("--start", type=Path, help="weights to go on from")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    train(arguments.steps, arguments.target, arguments.start, workers=arguments.workers)
