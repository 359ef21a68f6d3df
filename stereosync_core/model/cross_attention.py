"""Cross-attention to tokens that stay the same from step to step: keys and values are made once a clip, not once a step. A clip
of the batch whose tokens are all zero, the unconditional half of guidance, is passed over: without biases its values are
zero."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class CachedTokens:
    """Tokens ``[B, N, token width]``, given to a transformer in place of a tensor for as many steps as they stay the same."""

    def __init__(self, tokens: Tensor):
        self.count = len(tokens)
        self.rows = tokens.flatten(1).any(1).nonzero()[:, 0]
        self.tokens = tokens[self.rows]
        self._embedded: dict[nn.Module, KeyValueCache] = {}
        self._others: dict[torch.dtype, CachedTokens] = {}

    def embedded(self, dit: nn.Module) -> KeyValueCache:
        """The tokens after a transformer's embedding; made at the first call, and kept."""
        if dit not in self._embedded:
            self._embedded[dit] = KeyValueCache(dit.to_cond_embed(self.tokens), self.rows, self.count)
        return self._embedded[dit]

    def to(self, like: Tensor) -> CachedTokens:
        """In the precision of ``like``, kept as well."""
        if like.dtype == self.tokens.dtype:
            return self
        if like.dtype not in self._others:
            self._others[like.dtype] = other = CachedTokens(self.tokens.to(like))
            other.rows, other.count = self.rows, self.count
        return self._others[like.dtype]


class KeyValueCache:
    """Tokens ``[R, N, D]`` after a transformer's embedding, of the clips ``rows [R]`` of a batch of ``count`` whose tokens are
    not all zero, and each block's keys and values of them."""

    def __init__(self, context: Tensor, rows: Tensor, count: int):
        self.context, self.rows, self.count = context, rows, count
        self._kept: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def keys_values(self, attention: Any) -> tuple[Tensor, Tensor]:
        """Keys and values ``[R, heads, N, head width]`` of a cross-attention."""
        if attention not in self._kept:
            keys, values = (
                part.unflatten(-1, (attention.kv_heads, -1)).transpose(1, 2)
                for part in attention.to_kv(self.context).chunk(2, dim=-1)
            )
            self._kept[attention] = (_normed(attention, keys, "k_norm"), values.contiguous())
        return self._kept[attention]

    def attend(self, block: Any, hidden: Tensor) -> Tensor:
        """``hidden [B, T, D]`` plus the output of a block's cross-attention."""
        if not len(self.rows):
            return hidden
        all_rows = len(self.rows) == self.count
        selected = hidden if all_rows else hidden[self.rows]
        attention = block.cross_attn
        keys, values = self.keys_values(attention)
        queries = attention.to_q(block.cross_attend_norm(selected)).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
        queries = _normed(attention, queries, "q_norm")
        grouped = attention.num_heads != attention.kv_heads
        output = nn.functional.scaled_dot_product_attention(queries, keys, values, enable_gqa=grouped)
        output = block.cross_attn_scale(attention.to_out(output.transpose(1, 2).flatten(2)))
        # under autocast one may be wider than the other
        return hidden + output if all_rows else hidden.index_add(0, self.rows, output.to(hidden))


def cached_tokens(blocks: nn.ModuleList, tokens: Tensor | None) -> Tensor | CachedTokens | None:
    """The tokens for many steps of a transformer; as they are where its attention is of a kind that is not known here."""
    known = all(not block.cross_attn.differential and not block.cross_attn.feat_scale for block in blocks)
    return CachedTokens(tokens) if known and tokens is not None else tokens


def block_forward(block: Any, hidden: Tensor, context: KeyValueCache, rotary: Any, modulation: Tensor | None) -> Tensor:
    """``hidden [B, T, D]`` after a block of stable-audio-tools' transformer, as its own ``forward`` has it."""
    if modulation is None:
        hidden = hidden + block.self_attn_scale(block.self_attn(block.pre_norm(hidden), rotary_pos_emb=rotary))
        hidden = context.attend(block, hidden)
        return hidden + block.ff_scale(block.ff(block.ff_norm(hidden)))
    parts = (block.to_scale_shift_gate + modulation).unsqueeze(1).chunk(6, dim=-1)
    scale_self, shift_self, gate_self, scale_ff, shift_ff, gate_ff = parts
    inner = block.self_attn(block.pre_norm(hidden) * (1 + scale_self) + shift_self, rotary_pos_emb=rotary)
    hidden = hidden + block.self_attn_scale(inner * torch.sigmoid(1 - gate_self))
    hidden = context.attend(block, hidden)
    inner = block.ff(block.ff_norm(hidden) * (1 + scale_ff) + shift_ff)
    return hidden + block.ff_scale(inner * torch.sigmoid(1 - gate_ff))


def _normed(attention: Any, vectors: Tensor, name: str) -> Tensor:
    if attention.qk_norm == "none":
        return vectors.contiguous()
    if attention.qk_norm == "l2":
        return nn.functional.normalize(vectors, dim=-1)
    return getattr(attention, name)(vectors).to(vectors.dtype)
