"""The training loop: the same for every part, exact after a kill.

A step depends on the seed, its number and the weights alone: batches are drawn by a generator seeded with (seed, step, part). A
run that goes on from a checkpoint ends where an unbroken one does, to the last bit on the same machine, and processes that
share a step's parts (``accelerate launch``) come to the same weights as one that works on all, to rounding.
"""

import csv
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import get_ema_multi_avg_fn

from stereosync_core.errors import StereoSyncError, explained
from stereosync_core.media.output import replacing

CHECKPOINT = "checkpoint.pt"
#: Steps in a row whose gradient is not finite, which a training outlives.
MOST_UNUSABLE = 20
CURVES = "curves.csv"


class Task(Protocol):
    """What is trained."""

    name: str

    def build(self) -> nn.Module:
        """The network, with its first weights drawn from torch's generator."""
        ...

    def loss(self, network: nn.Module, generator: torch.Generator, device: torch.device) -> dict[str, Tensor]:
        """Losses of a batch drawn with ``generator`` (on the CPU); their sum is what falls."""
        ...

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Metrics on held-out clips."""
        ...


@dataclass(frozen=True)
class LoopSettings:
    """How to train.

    :param steps: in all.
    :param parts: batches of a step, whose gradients are averaged; several processes share them equally.
    :param rate: of learning, reached after ``warmup`` steps and falling along a cosine to ``final`` of it.
    :param ema: decay of the averaged weights that are kept in the end.
    :param save_every: seconds between checkpoints.
    :param validate_every: steps between validations; the last step always has one.
    :param precision: ``no`` (single), ``bf16`` or ``fp16``: accelerate's mixed precision.
    """

    steps: int
    parts: int = 1
    rate: float = 1e-3
    warmup: int = 100
    final: float = 0.02
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 1e-3
    clip: float = 1.0
    ema: float = 0.995
    seed: int = 0
    save_every: float = 60.0
    validate_every: int = 500
    precision: str = "no"

    def rate_at(self, step: int) -> float:
        """Learning rate of a step."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        part = (step - self.warmup) / max(self.steps - self.warmup, 1)
        return self.rate * (self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * min(part, 1.0))))


def train(
    task: Task,
    settings: LoopSettings,
    folder: Path,
    *,
    progress: Callable[[int, int, dict[str, float]], None] | None = None,
) -> nn.Module:
    """Train, or go on with the training in ``folder``; return the network with its averaged weights.

    Writes ``checkpoint.pt`` (weights, averages, optimizer, step; in torch's format, read back with ``weights_only``),
    ``curves.csv`` and ``curves.png`` there; of several processes the first does, which also validates and calls ``progress``.
    What that raises ends the training at the last checkpoint.

    :raises StereoSyncError: when the folder's checkpoint is of another task or other settings, losses stop being numbers, or a
        step's parts cannot be shared.
    """
    from accelerate import Accelerator

    accelerator = Accelerator(mixed_precision=settings.precision)
    several, first = accelerator.num_processes > 1, accelerator.is_main_process
    own_parts = range(accelerator.process_index, settings.parts, accelerator.num_processes)
    if settings.parts % accelerator.num_processes or not own_parts:
        raise StereoSyncError(
            f"Training: {accelerator.num_processes} processes cannot share {settings.parts} parts of a step; set 'parts' "
            "in the config's 'loop' to a multiple."
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    network = task.build().to(accelerator.device)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.rate, betas=settings.betas, weight_decay=settings.weight_decay)
    average = [parameter.detach().clone() for parameter in trained]
    begin = _restore(folder, task, settings, network, average, optimizer)
    rows = [row for row in curves(folder) if int(row["step"]) <= begin]
    # without the wrapper of distributed training, which knows forward alone: tasks call other methods too
    prepared = accelerator.prepare_model(network, evaluation_mode=several)
    optimizer = accelerator.prepare_optimizer(optimizer)
    saved, sums, count, unusable = time.monotonic(), {}, 0, 0
    for step in range(begin, settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate_at(step)
        prepared.train()
        losses: dict[str, Tensor] = {}
        for part in own_parts:
            # the network's own draws (dropout, noise) come from the global generator: seeded anew, a step stands for itself
            seed = settings.seed * 1_000_003 + step + (part << 40)
            torch.manual_seed(seed)
            with _attention(accelerator.device):
                with accelerator.autocast():
                    made = task.loss(prepared, torch.Generator().manual_seed(seed), accelerator.device)
                # what is recomputed for the gradients runs here, and must be computed alike
                accelerator.backward(torch.stack(list(made.values())).sum() / len(own_parts))
            losses = {name: losses.get(name, 0.0) + value.detach() / len(own_parts) for name, value in made.items()}
        if several:
            losses = accelerator.reduce(losses, "mean")  # type: ignore[assignment]
            _average(accelerator, [parameter.grad for parameter in trained if parameter.grad is not None])
        total = float(torch.stack(list(losses.values())).sum())
        if not math.isfinite(total):
            raise StereoSyncError(f"Training {task.name}: the loss is {total} at step {step}; lower the rate.")
        norm = accelerator.clip_grad_norm_(trained, settings.clip)
        # a norm of infinity would make all weights zero times infinity
        unusable = 0 if norm is None or math.isfinite(norm) else unusable + 1
        if unusable > MOST_UNUSABLE:
            raise StereoSyncError(f"Training {task.name}: gradients are not finite up to step {step}; lower the rate.")
        if not unusable:
            optimizer.step()
        optimizer.zero_grad()
        decay = min(settings.ema, (step + 1) / (step + 10))
        get_ema_multi_avg_fn(decay)(average, [parameter.detach() for parameter in trained], None)
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value)
        count += 1
        last = step + 1 == settings.steps
        if not first:
            continue
        if last or (step + 1) % settings.validate_every == 0:
            with averaged(trained, average):
                network.eval()
                valid = {f"valid {name}": value for name, value in task.validate(network).items()}
            row = {"step": step + 1, **{name: value / count for name, value in sums.items()}, **valid}
            rows.append({name: str(value) for name, value in row.items()})
            write_curves(folder, rows)
            sums, count = {}, 0
        if last or time.monotonic() - saved > settings.save_every:
            _save(folder, task, settings, network, average, optimizer, step + 1)
            saved = time.monotonic()
        if progress is not None:
            progress(step + 1, settings.steps, {name: float(value) for name, value in losses.items()})
    accelerator.wait_for_everyone()
    _set(trained, average)
    return network.eval()


@contextmanager
def _attention(device: torch.device) -> Iterator[None]:
    """On a processor the gradients of fused attention are slower than those of plain products."""
    with sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext():
        yield


def _average(accelerator: Any, gradients: list[Tensor]) -> None:
    """Over the processes, in place."""
    whole = accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]), "mean")
    for gradient, part in zip(gradients, whole.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


@contextmanager
def averaged(parameters: list[nn.Parameter], average: list[Tensor]) -> Iterator[None]:
    """Inside, the parameters have their averaged values."""
    kept = [parameter.detach().clone() for parameter in parameters]
    _set(parameters, average)
    try:
        yield
    finally:
        _set(parameters, kept)


def _set(parameters: list[nn.Parameter], values: list[Tensor]) -> None:
    for parameter, value in zip(parameters, values, strict=True):
        parameter.data.copy_(value)


def _save(folder, task, settings, network, average, optimizer, step: int) -> None:
    state = {
        "task": task.name,
        "seed": settings.seed,
        "steps": settings.steps,
        "step": step,
        "network": network.state_dict(),
        "average": average,
        "optimizer": optimizer.state_dict(),
    }
    with replacing(folder / CHECKPOINT) as temporary:
        torch.save(state, temporary)


def _restore(folder, task, settings, network, average, optimizer) -> int:
    """Put a checkpoint's state where it belongs and return the step to go on with; 0 where there is none."""
    path = folder / CHECKPOINT
    if not path.exists():
        return 0
    with explained(f"Training: '{path}' cannot be read ({{error}}); delete it to begin anew.", Exception):
        state = torch.load(path, map_location="cpu", weights_only=True)
    other = [
        key for key, value in (("task", task.name), ("seed", settings.seed), ("steps", settings.steps)) if state[key] != value
    ]
    if other:
        raise StereoSyncError(
            f"Training: '{folder}' holds another training ({', '.join(other)} differ); give another --out, or delete it."
        )
    message = f"Training: '{path}' is of a network of other sizes; give another --out. ({{error}})"
    with explained(message, RuntimeError, ValueError):
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
    for value, kept in zip(average, state["average"], strict=True):
        value.copy_(kept)
    return state["step"]


def curves(folder: Path) -> list[dict[str, str]]:
    """Rows of ``curves.csv``."""
    path = Path(folder) / CURVES
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def write_curves(folder: Path, rows: list[dict[str, str]]) -> None:
    """``curves.csv``, and ``curves.png`` with every column over the steps."""
    from matplotlib.figure import Figure

    names = [name for name in rows[-1] if name != "step"]
    with replacing(folder / CURVES) as temporary, open(temporary, "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, ["step", *names])
        writer.writeheader()
        writer.writerows(rows)
    across, down = min(3, len(names)), math.ceil(len(names) / 3)
    figure = Figure(figsize=(4 * across, 2.6 * down), layout="constrained")
    for axes, name in zip(figure.subplots(down, across, squeeze=False).flat, names, strict=False):
        axes.plot([int(row["step"]) for row in rows], [float(row[name]) for row in rows])
        axes.set_title(name, fontsize=9)
        axes.grid(alpha=0.3)
    with replacing(folder / "curves.png") as temporary:
        figure.savefig(temporary, dpi=90, format="png")
