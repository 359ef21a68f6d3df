"""Text tokens and a clip's length, as tokens for cross-attention and as one global condition."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import StereoSyncError
from ..denoiser import Conditioning

_LOG = logging.getLogger(__name__)


class DurationConditioners(nn.Module):
    """Text tokens, and the clip's length as a last token and as the global condition.

    :param embedder: of the length; ``padding [D]`` stands after a text's end; ``text_tokens`` is how many there are.
    """

    #: What guidance moves away from where nothing is given, as a text.
    empty: str | None = ""

    def __init__(self, embedder: nn.Module, padding: nn.Parameter, text_tokens: int = 256):
        super().__init__()
        self.embedder: Any = embedder
        self.padding, self.text_tokens, self.width = padding, text_tokens, len(padding)

    def forward(self, text: Tensor, seconds: Mapping[str, Sequence[float]], negative: Tensor | None = None) -> Conditioning:
        """Conditions of a batch, of ``seconds["seconds_total"]``.

        :param text: ``[1, N, D]`` of T5Gemma, without padding; longer than the model's number of tokens it is cut, with a note.
        :param negative: a second text, of the unconditional half of guidance; padding alone where None.
        :raises StereoSyncError: when the text is of another width.
        """
        total = torch.tensor([float(value) for value in seconds["seconds_total"]], device=self.padding.device)
        vectors = self.embedder(total)

        def tokens(of: Tensor) -> Tensor:
            return torch.cat([self._text(of).expand(len(vectors), -1, -1), vectors[:, None]], dim=1)

        return Conditioning(tokens(text), vectors, tokens(text[:, :0] if negative is None else negative))

    def _text(self, text: Tensor) -> Tensor:
        if text.ndim != 3 or text.shape[-1] != self.width:
            raise StereoSyncError(
                f"Stable Audio 3: the text is {tuple(text.shape)} and must be [batch, tokens, {self.width}]; encode it with "
                "its own text encoder."
            )
        if text.shape[1] > self.text_tokens:
            _LOG.warning("The prompt has %d tokens; the model sees the first %d.", text.shape[1], self.text_tokens)
        text = text[:, : self.text_tokens].to(self.padding)
        return torch.cat([text, self.padding.expand(len(text), self.text_tokens - text.shape[1], -1)], dim=1)
