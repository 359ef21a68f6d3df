"""The precision that networks compute in."""

from __future__ import annotations

import torch
from torch import nn

#: What a run whose numbers left a type's range is done again in.
WIDER = {torch.float16: torch.bfloat16, torch.bfloat16: torch.float32}


def in_precision(module: nn.Module, dtype: torch.dtype) -> None:
    """Have a module compute in ``dtype``, but for the angles of the rotary embedding, which stay exact."""
    for name, value in (*module.named_parameters(), *module.named_buffers()):
        if not name.endswith("inv_freq"):
            # what was made in inference mode, as in ComfyUI's nodes, changes there alone; the rest stays fit for training
            with torch.inference_mode(value.is_inference()):
                value.data = value.data.to(dtype)
