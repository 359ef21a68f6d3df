"""Linear layers on the CPU with their weights laid out for the processor beforehand.

torch multiplies single precision with MKL, which on AMD's processors takes half the time of oneDNN's kernels or less (measured:
2.2 to 2.5 times, docs/results.md) and lays the weights out anew for each product. The numbers are the same but for rounding. It
costs the weights' size in memory once more.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class PackedLinear(nn.Linear):
    """A linear layer that keeps a second copy of its weights, in the processor's order.

    It is the plain layer wherever there is nothing to gain: with gradients, on other devices, in other precisions.
    """

    def forward(self, input: Tensor) -> Tensor:
        single = input.dtype == self.weight.dtype == torch.float32
        if not single or input.device.type != "cpu" or torch.is_grad_enabled() or not input.numel():
            return super().forward(input)
        return torch.ops.mkldnn._linear_pointwise(input, self._packed(), self.bias, "none", [], "")

    def _packed(self) -> Tensor:
        weight = self.weight.detach()
        # in-place changes are told by the version, which tensors made in inference mode do not have
        state = (weight.data_ptr(), 0 if self.weight.is_inference() else self.weight._version)
        kept = self.__dict__.get("_kept")
        if kept is None or kept[0] != state:
            kept = (state, torch.ops.mkldnn._reorder_linear_weight(weight.contiguous()))
            self.__dict__["_kept"] = kept
        return kept[1]

    def __getstate__(self) -> dict[str, Any]:
        """Without the second copy, which can be neither copied nor saved."""
        return {key: value for key, value in self.__dict__.items() if key != "_kept"}


def pack(module: nn.Module) -> None:
    """Have the module's linear layers packed, when they are first used. Does nothing where this build of torch cannot."""
    if not possible():
        return
    for layer in module.modules():
        if type(layer) is nn.Linear:
            layer.__class__ = PackedLinear


def possible() -> bool:
    """Whether this build of torch can, which the documentation does not promise."""
    try:
        with torch.no_grad():
            probe, weight = torch.ones((2, 4)), torch.ones((3, 4))
            packed = torch.ops.mkldnn._reorder_linear_weight(weight)
            return torch.equal(torch.ops.mkldnn._linear_pointwise(probe, packed, None, "none", [], ""), torch.full((2, 3), 4.0))
    except (RuntimeError, AttributeError):
        return False  # the operators are not there, or not for this processor
