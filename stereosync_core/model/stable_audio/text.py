"""The prompt's encoder: T5 by transformers, from a local folder. In ComfyUI the host's CLIP nodes take its place."""

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...checkpoints import MISFITS, within_folder
from ...errors import StereoSyncError, explained

_LOG = logging.getLogger(__name__)
_NEEDED = {
    "config.json": ("config.json",),
    "weights": ("model.safetensors", "model.safetensors.index.json"),
    "tokenizer": ("tokenizer.json", "spiece.model"),
}


def check_text_encoder(folder: Path) -> None:
    """Raises StereoSyncError for a folder without what :class:`TextEncoder` needs."""
    # looked for by name: transformers makes an empty tokenizer where there is none
    missing = [what for what, names in _NEEDED.items() if not any((Path(folder) / name).is_file() for name in names)]
    if missing:
        raise StereoSyncError(
            f"Text encoder: '{folder}' holds no {', no '.join(missing)}; give the folder of T5 base in transformers' form "
            "(config.json, model.safetensors, tokenizer.json)."
        )


class TextEncoder(nn.Module):
    """A text to the tokens that Stable Audio Open was trained with.

    :param folder: of T5 base, with config.json, model.safetensors, and tokenizer.json or spiece.model.
    :raises StereoSyncError: when the folder or one of these is missing, cannot be loaded, or is of another kind of model.
    """

    def __init__(self, folder: Path, dtype: torch.dtype = torch.float32):
        from transformers import AutoConfig, AutoTokenizer, T5EncoderModel

        super().__init__()
        where = str(folder)
        check_text_encoder(folder)
        message = f"Text encoder: '{where}' cannot be loaded ({{line}}); download T5 base again."
        with explained(message, ImportError, OSError, *MISFITS), within_folder(folder, f"Text encoder '{where}'"):
            kind = AutoConfig.from_pretrained(where, local_files_only=True).model_type
            if kind != "t5":
                raise StereoSyncError(f"Text encoder: '{where}' is a {kind} model; give T5 base.")
            self.tokenizer: Any = AutoTokenizer.from_pretrained(where, local_files_only=True)
            network: Any = T5EncoderModel.from_pretrained(where, local_files_only=True, use_safetensors=True, dtype=dtype)
        self.network: Any = network.requires_grad_(False).eval()

    @property
    def width(self) -> int:
        """Of a token."""
        return int(self.network.config.d_model)

    @torch.inference_mode()
    def forward(self, text: str, tokens: int = 128) -> Tensor:
        """Tokens ``[1, tokens, width]`` of a text, zeros after its end; a longer text is cut, as the release does, with a
        note."""
        length = len(self.tokenizer(text)["input_ids"])
        if length > tokens:
            _LOG.warning("The prompt has %d tokens; the model sees the first %d.", length, tokens)
        device = next(self.network.parameters()).device
        ready = self.tokenizer(text, truncation=True, max_length=tokens, padding="max_length", return_tensors="pt").to(device)
        found = self.network(input_ids=ready["input_ids"], attention_mask=ready["attention_mask"])
        return found.last_hidden_state * ready["attention_mask"][..., None]
