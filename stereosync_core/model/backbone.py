"""The diffusion transformer: stable-audio-tools' ``DiffusionTransformer``, with a loop over its blocks that is ours, so that
residuals (control branch, spatial conditions) can be added before any block; without them the output is the original's."""

import contextlib
import copy
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..errors import explained
from .cross_attention import CachedTokens, KeyValueCache, block_forward, cached_tokens
from .objectives import check_objective

#: Channels of a head that rotary embedding turns at least.
ROTATED = 32


def transformer_class() -> type[nn.Module]:
    """stable-audio-tools' ``DiffusionTransformer``, imported when first needed. Raises StereoSyncError when the package is not
    installed."""
    message = "Model: stable-audio-tools cannot be imported ({error}); run the pack's install.py with the host's Python."
    # it prints that flash_attn is not there
    with explained(message, ImportError), contextlib.redirect_stdout(io.StringIO()):
        from stable_audio_tools.models.dit import DiffusionTransformer
    return DiffusionTransformer


@dataclass
class ForwardState:
    """The hidden state ``[B, P + T, D]`` of a forward pass, with P tokens before the latents, and what the blocks condition it
    on; see :meth:`Backbone.forward`."""

    hidden: Tensor
    context: Tensor | KeyValueCache | None
    rotary: Any
    modulation: Tensor | None
    prepended: int
    extra_context: Tensor | KeyValueCache | None = None

    def apply(self, block: nn.Module, checkpointed: bool = False) -> None:
        """Take the hidden state through a block; ``checkpointed`` computes its activations again for the gradients."""
        if checkpointed and torch.is_grad_enabled():
            self.hidden = checkpoint(self._after, block, self.hidden, use_reentrant=False)
        else:
            self.hidden = self._after(block, self.hidden)

    def _after(self, block: nn.Module, hidden: Tensor) -> Tensor:
        extra = self.extra_context
        if isinstance(extra, KeyValueCache):
            hidden = extra.attend(block, hidden)
        elif extra is not None:
            hidden = hidden + block.cross_attn(block.cross_attend_norm(hidden), context=extra)
        if isinstance(self.context, KeyValueCache):
            return block_forward(block, hidden, self.context, self.rotary, self.modulation)
        return block(hidden, context=self.context, rotary_pos_emb=self.rotary, global_cond=self.modulation)


class Backbone(nn.Module):
    """The transformer over latents ``[B, C, T]``.

    :param config: arguments of ``DiffusionTransformer``; ``objective`` of :data:`OBJECTIVES` is ``diffusion_objective`` there.
    :ivar checkpointed: in training, compute the blocks' insides twice instead of keeping them (Chen et al., 2016).
    """

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.config, self.checkpointed = dict(config), False
        self.objective = check_objective(self.config.get("diffusion_objective", "v"))
        width, heads = self.config.get("embed_dim", 768), self.config.get("num_heads", 8)
        if heads < 1 or width % heads or width // heads < ROTATED:
            raise ValueError(f"{heads} attention heads for a width of {width}; each takes {ROTATED} or more")
        with explained("Model: the backbone's config has an entry that is not understood ({error}).", TypeError):
            self.dit = transformer_class()(**self.config)

    @property
    def width(self) -> int:
        """Of the hidden state."""
        return self.dit.transformer.dim

    @property
    def entry(self) -> nn.Linear:
        """The projection of the latents to the hidden state."""
        return self.dit.transformer.project_in

    @property
    def blocks(self) -> nn.ModuleList:
        return self.blocks_of(self.dit)

    @property
    def local_channels(self) -> int:
        """Of a local condition, which stands for what of a sound stays; 0 where it was trained without."""
        return 0

    @staticmethod
    def blocks_of(dit: Any) -> nn.ModuleList:
        """The blocks of a transformer, which may be a part of one."""
        return dit.transformer.layers

    def cached(self, tokens: Tensor | None) -> Tensor | CachedTokens | None:
        """Tokens for many steps, with what of them is the same in all."""
        return cached_tokens(self.blocks, tokens)

    def first_blocks(self, count: int) -> Any:
        """A copy of the front end and of the first ``count`` blocks."""
        dit, transformer = copy.copy(self.dit), copy.copy(self.dit.transformer)
        transformer._modules = {**transformer._modules, "layers": nn.ModuleList(list(self.blocks)[:count])}
        transformer._modules.pop("project_out", None)
        dit._modules = {**dit._modules, "transformer": transformer}
        dit._modules.pop("postprocess_conv", None)
        return copy.deepcopy(dit)

    def compile_blocks(self, **options: Any) -> None:
        """Have torch compile the blocks' self-attention and feed-forward layers, with its own ``options``, when they are first
        called: some minutes then, and less for each step after."""
        for block in self.blocks:
            for layer in (block.self_attn, block.ff):
                layer.compile(**options)

    def project_out(self, state: ForwardState) -> Tensor:
        """The output ``[B, C, T]`` after the last block."""
        output = self.dit.transformer.project_out(state.hidden).mT[:, :, state.prepended :]
        return self.dit.postprocess_conv(output) + output

    @staticmethod
    def begin(
        dit: Any,
        x: Tensor,
        t: Tensor,
        tokens: Tensor | CachedTokens | None,
        global_cond: Tensor | None,
        extra_context: Tensor | CachedTokens | None = None,
    ) -> ForwardState:
        """The front end of a ``DiffusionTransformer``: embeddings, first convolution, projection, prepended token."""
        timestep = dit.to_timestep_embed(dit.timestep_features(t[:, None].to(x.dtype)))
        summed = timestep if global_cond is None else timestep + dit.to_global_embed(global_cond)
        x = dit.preprocess_conv(x) + x
        transformer = dit.transformer
        hidden = transformer.project_in(x.mT)
        modulation, prepended = None, 0
        if dit.global_cond_type == "prepend":
            hidden, prepended = torch.cat([summed[:, None], hidden], dim=1), 1
        else:
            modulation = transformer.global_cond_embedder(summed)
        context, extra = (
            given.embedded(dit) if isinstance(given, CachedTokens) else None if given is None else dit.to_cond_embed(given)
            for given in (tokens, extra_context)
        )
        rotary = transformer.rotary_pos_emb.forward_from_seq_len(hidden.shape[1])
        return ForwardState(hidden, context, rotary, modulation, prepended, extra)

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        tokens: Tensor | CachedTokens | None = None,
        global_cond: Tensor | None = None,
        residuals: Sequence[Tensor | None] = (),
        extra_context: Tensor | CachedTokens | None = None,
        **more: Tensor,
    ) -> Tensor:
        """Velocity ``[B, C, T]``.

        :param t: ``[B]``, 0 = clean, 1 = noise.
        :param tokens: ``[B, N, cond_token_dim]`` for cross-attention; :class:`.cross_attention.CachedTokens` where they stay
            the same for many steps.
        :param global_cond: ``[B, global_cond_dim]``.
        :param residuals: for the first blocks, what is added to the block's input: ``[B, P + T, D]`` or ``[B, T, D]``, or None.
        :param extra_context: more tokens ``[B, M, cond_token_dim]``, which each block's cross-attention sees before the block,
            in a softmax of their own, so that tokens of zeros change nothing. (Decoupled cross-attention, Ye et al.,
            "IP-Adapter", 2023, with the keys and values that are there.)
        :param more: what else :meth:`begin` takes.
        """
        state = self.begin(self.dit, x, t, tokens, global_cond, extra_context, **more)
        for n, block in enumerate(self.blocks):
            if n < len(residuals) and residuals[n] is not None:
                state.hidden = add_residual(state.hidden, residuals[n])
            state.apply(block, self.checkpointed)
        return self.project_out(state)


def add_residual(hidden: Tensor, residual: Tensor) -> Tensor:
    """``hidden [B, P + T, D]`` plus a residual of its length, or of the latents' length alone."""
    return hidden + nn.functional.pad(residual, (0, 0, hidden.shape[1] - residual.shape[1], 0))
