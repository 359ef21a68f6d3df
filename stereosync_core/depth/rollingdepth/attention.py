"""Cross-frame attention: the frames of a snippet look at each other in every self-attention of the UNet."""

from __future__ import annotations

from typing import Any

import torch


class CrossFrameAttention:
    """Attention processor for diffusers' stock UNet.

    Self-attention (``attn1``) takes the tokens ``[B * num_view, T, C]`` of a snippet's frames as one sequence
    ``[B, num_view * T, C]``; cross-attention to the text stays as it is. ``num_view`` comes from the UNet's
    ``cross_attention_kwargs``, which diffusers hands to every processor whose signature names it.
    """

    def __init__(self):
        from diffusers.models.attention_processor import AttnProcessor2_0

        self.stock = AttnProcessor2_0()

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
        num_view: int = 1,
    ) -> torch.Tensor:
        if encoder_hidden_states is not None or num_view == 1:
            return self.stock(attn, hidden_states, encoder_hidden_states, attention_mask, temb)
        frames, tokens, channels = hidden_states.shape
        together = hidden_states.reshape(frames // num_view, num_view * tokens, channels)
        return self.stock(attn, together, None, attention_mask, temb).reshape(frames, tokens, channels)
