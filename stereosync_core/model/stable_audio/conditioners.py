"""The release's conditioners: text tokens and seconds, as tokens for cross-attention and as one global condition."""

import logging
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ...errors import StereoSyncError
from ..conditioning.paper import NumberToken
from ..denoiser import Conditioning
from .config import StableAudioConfig

_LOG = logging.getLogger(__name__)


class NumberConditioner(NumberToken):
    """Numbers ``[B]`` as vectors ``[B, width]``; smaller ones than ``low`` count as that, and larger ones as ``high``."""

    def __init__(self, width: int, low: float, high: float):
        super().__init__(width, frequencies=128)
        self.low, self.high = low, high

    def forward(self, numbers: Tensor) -> Tensor:
        scaled = (numbers.float().clamp(self.low, self.high) - self.low) / (self.high - self.low)
        scaled = scaled.to(self.frequencies)[:, None]
        phases = scaled * self.frequencies * 2 * math.pi  # in the release's order, for its numbers to the last bit
        return self.project(torch.cat([scaled, phases.sin(), phases.cos()], dim=-1))


class Conditioners(nn.Module):
    """All that the backbone is conditioned on, in the release's order."""

    #: Guidance moves away from zeros, and from no text, where nothing is given.
    empty: str | None = None

    def __init__(self, config: StableAudioConfig):
        super().__init__()
        self.cross_attn_ids, self.global_ids, self.text_tokens = config.cross_attn_ids, config.global_ids, config.text_tokens
        self.width = config.width
        self.numbers = nn.ModuleDict({name: NumberConditioner(config.width, *ends) for name, ends in config.numbers.items()})

    def forward(self, text: Tensor, seconds: Mapping[str, Sequence[float]], negative: Tensor | None = None) -> Conditioning:
        """Conditions of a batch.

        :param text: ``[B, N, D]`` of a T5 encoder, as native conditioning has it; ``[1, N, D]`` serves the whole batch.
            Shorter than the model's number of tokens it is continued with zeros, longer it is cut, with a note if that
            takes away anything but zeros.
        :param seconds: of each of the model's numbers (``seconds_total``, and ``seconds_start`` in 1.0), one for each of
            the batch. Others are not looked at.
        :param negative: a second text, of the unconditional half of guidance.
        :raises StereoSyncError: when a number is missing or not finite, or the text is of another width.
        """
        vectors = {name: self._number(name, seconds) for name in self.numbers}
        count = len(next(iter(vectors.values())))

        def tokens(of: Tensor) -> Tensor:
            parts = {"prompt": self._text(of).expand(count, -1, -1)} | {name: each[:, None] for name, each in vectors.items()}
            return torch.cat([parts[name] for name in self.cross_attn_ids], dim=1)

        global_cond = torch.cat([vectors[name] for name in self.global_ids], dim=-1)
        return Conditioning(tokens(text), global_cond, None if negative is None else tokens(negative))

    def _number(self, name: str, seconds: Mapping[str, Sequence[float]]) -> Tensor:
        if name not in seconds or not all(math.isfinite(value) for value in seconds[name]):
            raise StereoSyncError(f"Stable Audio: {name} is missing or not finite; give seconds.")
        device = next(self.parameters()).device
        return self.numbers[name](torch.tensor([float(value) for value in seconds[name]], device=device))

    def _text(self, text: Tensor) -> Tensor:
        if text.ndim != 3 or text.shape[-1] != self.width:
            raise StereoSyncError(
                f"Stable Audio: the conditioning is {tuple(text.shape)} and must be [batch, tokens, {self.width}]; "
                "encode the text with T5 base (CLIPLoader of type stable_audio)."
            )
        over = text[:, self.text_tokens :]
        if over.any():
            _LOG.warning("The prompt has %d tokens; the model sees the first %d.", text.shape[1], self.text_tokens)
        text = nn.functional.pad(text[:, : self.text_tokens], (0, 0, 0, max(0, self.text_tokens - text.shape[1])))
        return text.to(next(self.parameters()))


def renamed(key: str) -> str:
    """Key in :class:`Conditioners` for one of the release's, whose ``conditioner.conditioners.`` is taken off."""
    name, _, rest = key.partition(".")
    ours = {
        "embedder.embedding.0.weights": "frequencies",
        "embedder.embedding.1.weight": "project.weight",
        "embedder.embedding.1.bias": "project.bias",
    }
    return f"numbers.{name}.{ours[rest]}" if rest in ours else key
