"""Linear layers on the CPU with their weights laid out for the processor beforehand, where that is faster.

torch multiplies single precision with MKL, which lays the weights out anew for each product; oneDNN's kernels take them as they
were laid out once. Which one wins depends on the processor and on the number of rows (docs/results.md), so it is measured, once
a process and a shape. The numbers are the same but for rounding. Packing costs the weights' size in memory once more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

#: Seconds that a process measures in all; afterwards the plain layer is taken for a shape that has not been measured.
BUDGET = 1.0
#: What packing must save to be worth its memory.
_WORTH = 0.95
#: Multiply-adds of a measured product, of a part of the weights where the whole has more: some 5 ms.
_WORK = 2**28
_wins: dict[tuple[int, int, int], bool] = {}
_spent = 0.0


class PackedLinear(nn.Linear):
    """A linear layer that keeps a second copy of its weights, in the processor's order.

    It is the plain layer wherever there is nothing to gain: with gradients, on other devices, in other precisions, and for
    shapes that the processor is faster at without.
    """

    def forward(self, input: Tensor) -> Tensor:
        single = input.dtype == self.weight.dtype == torch.float32
        if not single or input.device.type != "cpu" or torch.is_grad_enabled() or not _packing_wins(input, self.weight):
            return super().forward(input)
        return _product(input, self._packed(), self.bias)

    def _packed(self) -> Tensor:
        weight = self.weight.detach()
        # the version counts in-place changes; tensors made in inference mode have none
        state = (weight.data_ptr(), 0 if self.weight.is_inference() else self.weight._version)
        kept = self.__dict__.get("_kept")
        if kept is None or kept[0] != state:
            kept = (state, _reordered(weight))
            self.__dict__["_kept"] = kept
        return kept[1]

    def __getstate__(self) -> dict[str, Any]:
        """Without the second copy, which can be neither copied nor saved."""
        return {key: value for key, value in self.__dict__.items() if key != "_kept"}


def pack(module: nn.Module) -> None:
    """Have the module's linear layers packed, where and when that is faster. Does nothing where this build of torch cannot."""
    if not possible():
        return
    for layer in module.modules():
        if type(layer) is nn.Linear:
            layer.__class__ = PackedLinear


def possible() -> bool:
    """Whether this build of torch can, which the documentation does not promise."""
    try:
        with torch.no_grad():
            made = _product(torch.ones((2, 4)), _reordered(torch.ones((3, 4))), None)
            return torch.equal(made, torch.full((2, 3), 4.0))
    except (RuntimeError, AttributeError):
        return False  # the operators are not there, or not for this processor


def time_in_turn(*candidates: Callable[[], object], rounds: int = 3) -> list[float]:
    """Seconds of each candidate, its best of some rounds in turn, after one to warm up; far slower ones get one round."""
    global _spent
    began, best = time.perf_counter(), [float("inf")] * len(candidates)
    for candidate in candidates:
        candidate()
    for _ in range(rounds):
        for n, candidate in enumerate(candidates):
            if best[n] > 3 * min(best) and best[n] < float("inf"):
                continue
            start = time.perf_counter()
            candidate()
            best[n] = min(best[n], time.perf_counter() - start)
    _spent += time.perf_counter() - began
    return best


def _packing_wins(input: Tensor, weight: Tensor) -> bool:
    """For so many rows, to within a factor of two: equal shapes always get the same answer in a process."""
    outputs, inputs = weight.shape
    rows = input.numel() // inputs
    key = (rows.bit_length(), inputs, outputs)
    if key not in _wins:
        _wins[key] = rows > 0 and _spent < BUDGET and _measured(input.reshape(rows, inputs), weight)
    return _wins[key]


def _measured(x: Tensor, weight: Tensor) -> bool:
    part = weight.detach()[: max(64, _WORK // x.numel())]
    packed = _reordered(part)
    plain, with_packed = time_in_turn(lambda: linear(x, part), lambda: _product(x, packed, None))
    return with_packed < _WORTH * plain


def _reordered(weight: Tensor) -> Tensor:
    return torch.ops.mkldnn._reorder_linear_weight(weight.contiguous())


def _product(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
