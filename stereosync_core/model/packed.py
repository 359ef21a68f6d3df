"""Linear layers on the CPU with their weights laid out for the processor beforehand, where that is faster.

torch multiplies single precision with MKL, which lays the weights out anew for each product; oneDNN's kernels take them as they
were laid out once, for their size in memory once more. Which one wins is measured, once a process and a shape
(docs/results.md).
"""

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

#: Seconds of measuring in a process; a shape that comes later takes the choice of the nearest one that was measured.
BUDGET = 0.8
#: By how much another way must be faster than packed. What is measured is a part of the weights, at which packing gains some
#: 15 % less than at the whole, which no cache holds.
_MARGIN = 1.1
#: Multiply-adds of a measured product where the weights have more: short ones, some of which nothing else interrupts.
_WORK = 2**27
#: With fewer rows than these the weights are read once in any order.
_FEW = 8
#: How a shape is multiplied: plainly, packed, or packed and so many rows at a time, which small caches may need.
_PLAIN, _WHOLE, _CHUNK = 0, 2**62, 128
_choices: dict[tuple[int, int, int], int] = {}
_spent = 0.0


class PackedLinear(nn.Linear):
    """A linear layer that keeps a second copy of its weights, in the processor's order.

    It is the plain layer wherever there is nothing to gain: with gradients, on other devices, in other precisions, when
    compiled, and for shapes that the processor is faster at without.
    """

    def forward(self, input: Tensor) -> Tensor:
        single = input.dtype == self.weight.dtype == torch.float32
        plain = not single or input.device.type != "cpu" or torch.is_grad_enabled() or not input.numel()
        if plain or torch.compiler.is_compiling():
            return super().forward(input)
        rows = _rows_at_a_time(input, self.weight)
        return super().forward(input) if rows == _PLAIN else _product(input, self._packed(), self.bias, rows)

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


def time_in_turn(*candidates: Callable[[], object], rounds: int = 8, limit: float = 0.06) -> list[float]:
    """Seconds of each candidate: its best of some rounds in turn, after one to warm up, and fewer of them past the limit."""
    global _spent
    began, best = time.perf_counter(), [float("inf")] * len(candidates)
    for candidate in candidates:
        candidate()
    for _ in range(rounds):
        for n, candidate in enumerate(candidates):
            start = time.perf_counter()
            candidate()
            best[n] = min(best[n], time.perf_counter() - start)
        if time.perf_counter() - began > limit:
            break
    _spent += time.perf_counter() - began
    return best


def _rows_at_a_time(input: Tensor, weight: Tensor) -> int:
    """Chosen by the sizes to within a factor of two: equal shapes always get the same answer in a process. Layers that differ
    in their outputs alone behave alike, unless they are small."""
    outputs, inputs = weight.shape
    rows = input.numel() // inputs
    if rows < _FEW:
        return _PLAIN
    key = (rows.bit_length(), inputs.bit_length(), min(outputs, 1024).bit_length())
    if key not in _choices and _spent < BUDGET:
        _choices[key] = _measured(input.reshape(rows, inputs), weight)
    elif key not in _choices:
        near = min(_choices, key=lambda known: math.dist(known, key), default=None)
        _choices[key] = _PLAIN if near is None else _choices[near]
    return _choices[key]


def _measured(x: Tensor, weight: Tensor) -> int:
    x = x[:1024]
    part = weight.detach()[: max(512, _WORK // x.numel())]
    packed = _reordered(part)
    chunked = [_CHUNK] if len(x) > _CHUNK else []
    whole, plain, *others = time_in_turn(
        lambda: _product(x, packed, None),
        lambda: linear(x, part),
        *(partial(_product, x, packed, None, rows) for rows in chunked),
    )
    return min(zip((whole, *(_MARGIN * seconds for seconds in (plain, *others))), (_WHOLE, _PLAIN, *chunked), strict=True))[1]


def _reordered(weight: Tensor) -> Tensor:
    return torch.ops.mkldnn._reorder_linear_weight(weight.contiguous())


def _product(x: Tensor, packed: Tensor, bias: Tensor | None, rows: int = _WHOLE) -> Tensor:
    if x.numel() > rows * x.shape[-1]:
        parts = x.reshape(-1, x.shape[-1]).split(rows)
        return torch.cat([_product(part, packed, bias) for part in parts]).unflatten(0, x.shape[:-1])
    return torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
