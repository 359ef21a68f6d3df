"""The precision that networks compute in, and what the processor can do of it."""

import functools
import logging
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from .packed import PackedLinear, possible, time_in_turn

_LOG = logging.getLogger(__name__)
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
#: What a run whose numbers left a type's range is done again in.
WIDER = {torch.float16: torch.bfloat16, torch.bfloat16: torch.float32}
#: What half precision must save in a product: there is more to a step than products.
_WORTH = 0.8


class LSTM(nn.LSTM):
    """A recurrent layer that a processor computes in the weights' own precision, under autocast too: torch has none in half
    precision without AVX-512."""

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        if input.device.type != "cpu":
            return super().forward(input, hx)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.to(self.weight_ih_l0.dtype), hx)


def in_precision(module: nn.Module, dtype: torch.dtype) -> None:
    """Have a module compute in ``dtype``, but for the angles of the rotary embedding, which stay exact."""
    for name, value in (*module.named_parameters(), *module.named_buffers()):
        if not name.endswith("inv_freq"):
            # what was made in inference mode, as in ComfyUI's nodes, changes there alone; the rest stays fit for training
            with torch.inference_mode(value.is_inference()):
                value.data = value.data.to(dtype)


def fast_dtype(device: str | torch.device = "cpu") -> torch.dtype:
    """bfloat16, or float32 on a processor that is no faster in it."""
    return torch.bfloat16 if is_faster(torch.bfloat16, device) else torch.float32


def chosen_dtype(name: str, device: str | torch.device = "cpu") -> torch.dtype:
    """The dtype by its name in :data:`PRECISIONS`. One that the device is slower in is logged: it still halves the memory."""
    dtype = PRECISIONS[name]
    if dtype != torch.float32 and not is_faster(dtype, device):
        _LOG.warning("This processor is slower in %s than in fp32; it saves memory, not time.", name)
    return dtype


def is_faster(dtype: torch.dtype, device: str | torch.device = "cpu") -> bool:
    """Whether half precision ``dtype`` is faster than float32; taken for granted of anything but a processor."""
    return torch.device(device).type != "cpu" or _is_faster_on_cpu(dtype)


@functools.cache
def _is_faster_on_cpu(dtype: torch.dtype) -> bool:
    """What the processor lacks instructions for is slower; the rest is measured, once a process, in some 50 ms."""
    name = {torch.bfloat16: "_is_mkldnn_bf16_supported", torch.float16: "_is_mkldnn_fp16_supported"}[dtype]
    try:
        if not getattr(torch.ops.mkldnn, name)():
            return False
    except (RuntimeError, AttributeError):
        pass  # this build of torch does not know
    with torch.inference_mode():
        layer = (PackedLinear if possible() else nn.Linear)(1536, 1536)
        x = torch.randn(128, 1536)
        layer(x)  # which chooses whether to pack
        half, weight, bias = x.to(dtype), layer.weight.to(dtype), layer.bias.to(dtype)
        single_seconds, half_seconds = time_in_turn(lambda: layer(x), lambda: linear(half, weight, bias))
    return half_seconds < _WORTH * single_seconds
