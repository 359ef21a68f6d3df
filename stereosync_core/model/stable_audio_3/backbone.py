"""The transformer of Stable Audio 3: diffusers' ``StableAudio3DiTModel``, with a loop over its blocks that is ours, so that an
adapter reaches them as it reaches those of :mod:`..backbone`."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import StereoSyncError
from ..backbone import Backbone, ForwardState


@dataclass
class _State(ForwardState):
    """``local_seq [B, T, channels]`` is the local condition, for the latents alone."""

    local_seq: Tensor | None = None

    def _after(self, block: nn.Module, hidden: Tensor) -> Tensor:
        if self.extra_context is not None:
            hidden = attend(block, hidden, self.extra_context)
        local = {"local_seq": self.local_seq, "num_memory_tokens": self.prepended}
        return block(hidden, self.context, self.modulation, self.rotary, **local)


def attend(block: Any, hidden: Tensor, context: Any) -> Tensor:
    """``hidden [B, P + T, D]`` plus a block's cross-attention to further tokens ``[B, M, D]``, by the first of its two
    softmaxes alone: over one token, as a timbre is, they are equal, and their difference is nothing. The block may be a
    host's."""
    attention, width = block.cross_attn, hidden.shape[-1]
    queries = attention.to_q(block.cross_attend_norm(hidden))[..., :width]
    keys, *_, values = attention.to_kv(context).split(width, dim=-1)
    queries, keys, values = (part.unflatten(-1, (-1, attention.dim_heads)).transpose(1, 2) for part in (queries, keys, values))
    queries, keys = attention.q_norm(queries).to(values), attention.k_norm(keys).to(values)
    made = nn.functional.scaled_dot_product_attention(queries, keys, values)
    return hidden + attention.to_out(made.transpose(1, 2).flatten(2))


class StableAudio3Backbone(Backbone):
    """A transformer of diffusers over latents ``[B, C, T]``; see :class:`..backbone.Backbone`."""

    def __init__(self, transformer: Any):
        nn.Module.__init__(self)
        self.dit, self.checkpointed, self.objective = transformer, False, "rectified_flow"
        names = ("io_channels", "cond_token_dim", "local_add_cond_dim")
        self.config = {name: int(getattr(transformer.config, name)) for name in names}
        if transformer.config.patch_size != 1:
            patches = f"takes patches of {transformer.config.patch_size} latent frames, as no release does"
            raise StereoSyncError(f"Stable Audio 3: the transformer {patches}; give a release's folder.")

    @property
    def width(self) -> int:
        return int(self.dit.config.embed_dim)

    @property
    def entry(self) -> nn.Linear:
        return self.dit.proj_in

    @property
    def local_channels(self) -> int:
        return self.config["local_add_cond_dim"]

    @staticmethod
    def blocks_of(dit: Any) -> nn.ModuleList:
        return dit.transformer_blocks

    def cached(self, tokens: Tensor | None) -> Tensor | None:
        return tokens

    def first_blocks(self, count: int) -> Any:
        dit = copy.copy(self.dit)
        dit._modules = {**dit._modules, "transformer_blocks": nn.ModuleList(list(self.blocks)[:count])}
        dit._parameters = {name: value for name, value in dit._parameters.items() if name != "prompt_padding_embedding"}
        for name in ("proj_out", "postprocess_conv"):
            dit._modules.pop(name)
        dit = copy.deepcopy(dit)
        for block in dit.transformer_blocks:  # what stays of a sound is the backbone's alone
            del block.to_local_embed
        return dit

    def project_out(self, state: ForwardState) -> Tensor:
        output = self.dit.proj_out(state.hidden[:, state.prepended :]).mT
        return self.dit.postprocess_conv(output) + output

    @staticmethod
    def begin(
        dit: Any,
        x: Tensor,
        t: Tensor,
        tokens: Any,
        global_cond: Tensor | None,
        extra_context: Any = None,
        local_cond: Tensor | None = None,
    ) -> ForwardState:
        """``tokens`` and ``global_cond`` are always there; ``local_cond [B, 1 + C, T]``: where sound stays, and its latents."""
        assert global_cond is not None
        timestep = dit.to_timestep_embed(dit.timestep_features(t.float()[:, None]).to(x))
        modulation = dit.global_cond_embedder(dit.to_global_embed(global_cond) + timestep)
        hidden = dit.proj_in((dit.preprocess_conv(x) + x).mT)
        memory = int(dit.config.num_memory_tokens)
        if memory:
            hidden = torch.cat([dit.memory_tokens.expand(len(x), -1, -1), hidden], dim=1)
        rotary = dit.rotary_pos_emb(hidden.shape[1], hidden.device)
        context, extra = (None if given is None else dit.to_cond_embed(given) for given in (tokens, extra_context))
        return _State(hidden, context, rotary, modulation, memory, extra, None if local_cond is None else local_cond.mT)


def from_native(weights: Mapping[str, Tensor], kind: Any) -> StableAudio3Backbone:
    """The transformer of the release's own weights, as a host holds them; none is copied but those of self-attention, which
    diffusers has in another order.

    :param kind: diffusers' class.
    :raises KeyError, ValueError, RuntimeError: when they are of another model.
    """
    width, channels = weights["transformer.project_in.weight"].shape
    head = len(weights["transformer.layers.0.self_attn.q_norm.gamma"])
    memory = weights.get("transformer.memory_tokens")
    attention = weights["transformer.layers.0.self_attn.to_qkv.weight"]
    inner = weights["transformer.layers.0.ff.ff.2.weight"].shape[1]
    with torch.device("meta"):
        dit = kind(
            io_channels=channels,
            embed_dim=width,
            depth=len({key.split(".")[2] for key in weights if key.startswith("transformer.layers.")}),
            num_heads=width // head,
            cond_token_dim=weights["to_cond_embed.0.weight"].shape[1],
            global_cond_dim=weights["to_global_embed.0.weight"].shape[1],
            local_add_cond_dim=weights["transformer.layers.0.to_local_embed.0.weight"].shape[1],
            timestep_features_dim=weights["to_timestep_embed.0.weight"].shape[1],
            ff_mult=inner / width,
            num_memory_tokens=0 if memory is None else len(memory),
            use_differential_attention=len(attention) == 5 * width,
        )
    state = {_renamed(key): _reordered(key, value.detach()) for key, value in weights.items()}
    # a host may hold them in half precision, too coarse for them, and has the padding elsewhere
    state["rotary_pos_emb.inv_freq"] = 10000.0 ** -(torch.arange(head // 4) / (head // 4))
    state["prompt_padding_embedding"] = torch.zeros(weights["to_cond_embed.0.weight"].shape[1])
    dit.load_state_dict(state, assign=True)
    return StableAudio3Backbone(dit.requires_grad_(False).eval())


def _renamed(key: str) -> str:
    for theirs, ours in (
        ("transformer.layers.", "transformer_blocks."),
        ("transformer.project_", "proj_"),
        ("transformer.", ""),
        ("ff.ff.0.proj.", "ff.proj_in."),
        ("ff.ff.2.", "ff.proj_out."),
    ):
        key = key.replace(theirs, ours)
    return key


def _reordered(key: str, value: Tensor) -> Tensor:
    if not key.endswith("self_attn.to_qkv.weight") or len(value) != 5 * value.shape[1]:
        return value
    query, keys, values, other_query, other_keys = value.chunk(5)
    return torch.cat([query, other_query, keys, other_keys, values])
