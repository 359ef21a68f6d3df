"""The prompt's encoder: T5Gemma by transformers, from the model's folder."""

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...checkpoints import MISFITS, within_folder
from ...errors import explained

_LOG = logging.getLogger(__name__)


class GemmaTextEncoder(nn.Module):
    """A text to the tokens that Stable Audio 3 was trained with.

    :param folder: of the model, with ``text_encoder`` and ``tokenizer``.
    :raises StereoSyncError: when one of these is missing or cannot be loaded.
    """

    def __init__(self, folder: Path, dtype: torch.dtype = torch.float32):
        from transformers import AutoTokenizer

        super().__init__()
        message = f"Stable Audio 3: the text encoder of '{folder}' cannot be loaded ({{line}}); download the model again."
        with (
            explained(message, ImportError, OSError, *MISFITS),
            within_folder(folder / "text_encoder", f"Stable Audio 3 '{folder}'"),
        ):
            from transformers import T5GemmaEncoderModel

            self.tokenizer: Any = AutoTokenizer.from_pretrained(str(folder / "tokenizer"), local_files_only=True)
            options = {"local_files_only": True, "use_safetensors": True, "dtype": dtype}
            self.network: Any = T5GemmaEncoderModel.from_pretrained(str(folder / "text_encoder"), **options).requires_grad_(
                False
            )

    @torch.inference_mode()
    def forward(self, text: str, tokens: int = 256) -> Tensor:
        """Tokens ``[1, N, width]`` of a text, at most ``tokens``; a longer text is cut, with a note."""
        if len(self.tokenizer(text)["input_ids"]) > tokens:
            _LOG.warning("The prompt is longer than %d tokens; the model sees the first of them.", tokens)
        ready = self.tokenizer(text, truncation=True, max_length=tokens, return_tensors="pt")
        return self.network(ready["input_ids"], attention_mask=ready["attention_mask"])[0]
