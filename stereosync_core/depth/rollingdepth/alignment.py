"""Snippets brought together: one scale and one shift for each, so that they agree on the frames they share, and their mean.

The objective is the released one. The release lays all predictions out as rows x frames x points, most of them empty, and lets
autograd walk through that. Here only what a snippet covers is stored, the frames of a row are an unbroken run (so that a
frame's mean is a sum of slices), and the gradient, which has a closed form because the means are held fixed, is written out.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from ...errors import StereoSyncError
from .snippets import Snippets


@dataclass(frozen=True)
class AlignmentOptions:
    """Constants of the co-alignment; the defaults are the release's.

    :param border: pixels cut off at each edge; of the rest every ``factor``-th row and column is looked at.
    :param iterations: Adam steps of size ``rate``.
    :param scale_weight: how strongly scales below 1 are held up, and ``shift_weight`` shifts at 0.
    :param floor: smallest depth that an inverse is taken of.
    :param plateau: stop when the loss falls by less than this part over 100 iterations; 0 never stops early, as the release.
    """

    border: int = 2
    factor: int = 10
    iterations: int = 2000
    rate: float = 1e-3
    scale_weight: float = 0.1
    shift_weight: float = 10.0
    floor: float = 1e-3
    plateau: float = 0.0


RELEASED_ALIGNMENT = AlignmentOptions()
#: Stops where the loss no longer falls: several times fewer iterations, scales within the jitter of the full run.
FAST_ALIGNMENT = AlignmentOptions(plateau=0.002)
_BETAS, _EPSILON = (0.5, 0.9), 1e-8
_SMALLEST_MEAN = 1e-8
#: Iterations between two looks at the loss for the plateau, and looks in each of the two windows that are compared.
_LOOK, _WINDOW = 5, 20


def alignment_points(maps: torch.Tensor, options: AlignmentOptions) -> torch.Tensor:
    """The points ``[..., h', w']`` of maps ``[..., H, W]`` that the alignment looks at: a view."""
    border, factor = options.border, options.factor
    return maps[..., border : maps.shape[-2] - border : factor, border : maps.shape[-1] - border : factor]


class Objective:
    """Loss of the alignment and its gradient, in buffers that are made once.

    :param values: for each of ``snippets``, depth ``[K, L, ...]`` at the alignment's points, the clip's minimum removed.
    """

    def __init__(self, values: Sequence[torch.Tensor], snippets: Sequence[Snippets], options: AlignmentOptions):
        self.options, self.snippets, frame_count = options, snippets, snippets[0].frame_count
        # One row for each snippet and slot, slot by slot, so that rows of neighbouring snippets are neighbouring frames.
        self.depth = torch.cat([value.flatten(2).transpose(0, 1).flatten(0, 1).float() for value in values])
        device, (rows, points) = self.depth.device, self.depth.shape
        # Of each snippet: how often it counts, and how many there are in its pass.
        counts, repeats = torch.tensor([[group.count, group.repeats] for group in snippets]).T
        self.in_pass, self.weights = (each.repeat_interleave(counts).float().to(device) for each in (counts, repeats))
        # [0] is depth, [1] its inverse; differences and means likewise.
        self.pair = torch.empty(2, rows, points, device=device)
        self.means = torch.empty(2, frame_count, points, device=device)
        self.difference = torch.empty_like(self.pair)
        self.inverse_count = torch.zeros(frame_count, 1, device=device)
        self._runs: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]] = []
        owner, frame, row = [], [], 0
        for group, numbers in zip(snippets, torch.arange(len(self.weights)).split(counts.tolist()), strict=True):
            for slot in range(group.length):
                run, frames = slice(row, row + group.count), group.span(slot)
                self._runs.append((self.pair[:, run], self.means[:, frames], self.difference[:, run], group.repeats))
                self.inverse_count[frames] += group.repeats
                owner.append(numbers)
                frame.append(torch.arange(frames.start, frames.stop))
                row += group.count
        self.inverse_count.reciprocal_()
        self.owner, self.frame = torch.cat(owner).to(device), torch.cat(frame).to(device)
        # The release's mean is over rows x frames x points, with what no snippet covers counted as zero.
        self.entries = sum(group.repeats * group.length for group in snippets) * frame_count * points

    @property
    def start(self) -> torch.Tensor:
        """Scales 1 and shifts 0: float32 ``[2, snippets]``, all passes one after the other."""
        return torch.stack([torch.ones_like(self.in_pass), torch.zeros_like(self.in_pass)])

    @torch.inference_mode()
    def gradient(self, parameters: torch.Tensor, with_loss: bool = False) -> tuple[torch.Tensor, float]:
        """Gradient ``[2, snippets]`` at ``parameters`` (of a single repeat), and the loss where wanted."""
        depth, inverse = self.pair[0], self.pair[1]
        each = parameters.index_select(1, self.owner)
        torch.addcmul(each[1, :, None], self.depth, each[0, :, None], out=depth)
        torch.clamp(depth, min=self.options.floor, out=inverse).reciprocal_()
        self.means.zero_()
        for values, means, _, repeats in self._runs:
            means.add_(values, alpha=repeats)
        self.means.mul_(self.inverse_count)
        # a frame whose every point is the clip's minimum has the mean 0
        norms = self.means.abs().mean(dim=-1).clamp_(min=_SMALLEST_MEAN)
        weights = norms.mul_(self.entries).reciprocal_().index_select(1, self.frame)
        for values, means, difference, _ in self._runs:
            torch.sub(values, means, out=difference)
        loss = self._loss(parameters, weights) if with_loss else 0.0
        self.difference.sign_()
        # d(1/x)/dx = -1/x^2, and 0 where the floor holds
        clamped = depth < self.options.floor
        self.difference[1].mul_(inverse.mul_(inverse).neg_().masked_fill_(clamped, 0.0))
        by_shift = self.difference.sum(dim=-1)
        by_scale = self.difference.mul_(self.depth).sum(dim=-1)
        rows = torch.stack([by_scale, by_shift]).mul_(weights).sum(dim=1)
        of_passes = rows.split([group.length * group.count for group in self.snippets], dim=1)
        sums = [part.unflatten(1, (-1, group.count)).sum(dim=1) for part, group in zip(of_passes, self.snippets, strict=True)]
        gradient = torch.cat(sums, dim=1)
        scale, shift = parameters
        gradient[0] -= (1.0 - scale).clamp_(min=0.0).mul_(2 * self.options.scale_weight).div_(self.in_pass)
        gradient[1] += (shift * (2 * self.options.shift_weight)).div_(self.in_pass)
        return gradient, loss

    def _loss(self, parameters: torch.Tensor, weights: torch.Tensor) -> float:
        rows = (self.difference.abs().sum(dim=-1) * weights).sum(dim=0)
        data = (rows * self.weights[self.owner]).sum()
        scale, shift = parameters
        held = self.options.scale_weight * (1.0 - scale).clamp(min=0.0).square() + self.options.shift_weight * shift.square()
        return float(data + (held * self.weights / self.in_pass).sum())


@torch.inference_mode()
def co_align(
    values: Sequence[torch.Tensor],
    snippets: Sequence[Snippets],
    options: AlignmentOptions = RELEASED_ALIGNMENT,
    *,
    observe: Callable[[int, torch.Tensor, float], None] | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Scales ``[K]`` and shifts ``[K]``, float32, for each of ``snippets``.

    :param values: see :class:`Objective`; on the device that is to do the work.
    :param observe: called before each update with the iteration, the parameters ``[2, snippets]`` and the loss there.
    """
    objective = Objective(values, snippets, options)
    parameters = objective.start
    counts = [group.count for group in snippets]
    # A snippet alone agrees with itself.
    iterations = options.iterations if sum(counts) > 1 else 0
    mean, variance = torch.zeros_like(parameters), torch.zeros_like(parameters)
    (beta1, beta2), losses = _BETAS, []
    for iteration in range(iterations):
        look = options.plateau > 0 and iteration % _LOOK == 0
        gradient, loss = objective.gradient(parameters, with_loss=look or observe is not None)
        if observe is not None:
            observe(iteration, parameters, loss)
        if look:
            losses.append(loss)
            before, now = sum(losses[-2 * _WINDOW : -_WINDOW]), sum(losses[-_WINDOW:])
            if len(losses) >= 2 * _WINDOW and before - now < options.plateau * before:
                break
        # Adam. torch.optim.Adam gives the same bits, and its step takes as long again as the gradient.
        mean.lerp_(gradient, 1 - beta1)
        variance.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        denominator = variance.sqrt().div_((1 - beta2 ** (iteration + 1)) ** 0.5).add_(_EPSILON)
        parameters.addcdiv_(mean, denominator, value=-options.rate / (1 - beta1 ** (iteration + 1)))
        if progress is not None and iteration % 20 == 0:
            progress(iteration, options.iterations)
    if progress is not None:
        progress(options.iterations, options.iterations)
    scales, shifts = parameters.split(1)
    return list(zip(scales[0].split(counts), shifts[0].split(counts), strict=True))


class SnippetMaps:
    """The decoded depth of all passes over a clip: about three maps a frame and pass, too many for memory on a long clip. They
    go to a file without a name, which the operating system keeps in memory while there is room; only the alignment's points and
    the minimum stay here."""

    def __init__(self, plan: Sequence[Snippets], shape: tuple[int, int], dtype: torch.dtype, options: AlignmentOptions):
        self.plan, self.shape, self.dtype, self._options = plan, shape, dtype, options
        self.minimum = float("inf")
        self._points: list[torch.Tensor] = []
        with _disk_errors():
            self._file = tempfile.TemporaryFile(prefix="stereosync_")  # noqa: SIM115 - stays open

    def add(self, maps: torch.Tensor) -> None:
        """Append the next maps ``[B, H, W]``, pass by pass, snippet by snippet and slot by slot. Raises StereoSyncError where a
        map is not finite, or the disk is full."""
        low, high = (float(value) for value in torch.aminmax(maps))
        if not (abs(low) < float("inf") and abs(high) < float("inf")):
            raise StereoSyncError(
                "RollingDepth: the model gave NaN or infinite depth. In half precision some graphics cards do that: choose "
                "bf16 or fp32 in the loader; if it stays, the weights are damaged: download them again."
            )
        self.minimum = min(self.minimum, low)
        maps = maps.to(device="cpu", dtype=self.dtype).contiguous()
        self._points.append(alignment_points(maps, self._options).clone())
        with _disk_errors():
            self._file.write(maps.view(torch.uint8).numpy().data)

    def points(self) -> list[torch.Tensor]:
        """What the alignment looks at: ``[K, L, h', w']`` of each pass, the clip's minimum removed."""
        parts = (torch.cat(self._points) - self.minimum).split([group.count * group.length for group in self.plan])
        return [part.unflatten(0, (group.count, group.length)) for part, group in zip(parts, self.plan, strict=True)]

    @torch.inference_mode()
    def merge(self, aligned: Sequence[tuple[torch.Tensor, torch.Tensor]], out: torch.Tensor) -> torch.Tensor:
        """Write each frame's mean of all predictions, by the scales and shifts ``[K]`` of each pass, into ``out`` ``[N, H,
        W]``, and return it; on the CPU in the snippets' own precision, as the release does it."""
        cast = [(scales.to("cpu", self.dtype), shifts.to("cpu", self.dtype)) for scales, shifts in aligned]
        for frame in range(len(out)):
            total, count, begin = torch.zeros(self.shape, dtype=self.dtype), 0, 0
            for group, (scales, shifts) in zip(self.plan, cast, strict=True):
                for slot in reversed(range(group.length)):
                    snippet = frame - slot * group.dilation
                    if 0 <= snippet < group.count:
                        depth = self._map(begin + snippet * group.length + slot) - self.minimum
                        total.add_(depth.mul_(scales[snippet]).add_(shifts[snippet]), alpha=group.repeats)
                        count += group.repeats
                begin += group.count * group.length
            out[frame] = total / count
        return out

    def _map(self, number: int) -> torch.Tensor:
        content = bytearray(self.shape[0] * self.shape[1] * self.dtype.itemsize)
        self._file.seek(number * len(content))
        if self._file.readinto(content) != len(content):  # type: ignore[attr-defined]
            raise StereoSyncError("RollingDepth: the temporary file of the snippets was cut short; make room and try again.")
        return torch.frombuffer(content, dtype=self.dtype).view(self.shape)

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StereoSyncError(
            f"RollingDepth: the depth of the snippets cannot be kept ({error.strerror}); make room in the temporary folder or "
            "lower the resolution."
        ) from error


@torch.inference_mode()
def normalize(maps: torch.Tensor, low: float = -1.0, high: float = 1.0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Stretch maps ``[N, H, W]`` in place so that the clip's minimum and maximum become ``low`` and ``high``; ``low`` where
    they are the same. ``dtype`` is whose rounding there is, as in the release."""
    least = maps.min().to(dtype)
    spread = (maps.max().to(dtype) - least).clamp(min=torch.finfo(dtype).tiny)
    for row in maps:  # one at a time, so that there is no second clip
        row.copy_((row.to(dtype) - least) / spread * (high - low) + low)
    return maps
