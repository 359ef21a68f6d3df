"""Keys and values that are kept: the same output as without, for less work."""

import pytest
import torch
from torch import nn

from stereosync_core.model.backbone import Backbone
from stereosync_core.model.cross_attention import CachedTokens, cached_tokens

COMMON = {"io_channels": 4, "embed_dim": 128, "depth": 2, "num_heads": 4, "cond_token_dim": 64, "project_cond_tokens": False}
KINDS = {
    "plain": {},
    "grouped": {"embed_dim": 256},  # 4 heads of queries, one of keys and values
    **{norm: {"attn_kwargs": {"qk_norm": norm}} for norm in ("ln", "l2", "dyt")},
    "global": {"global_cond_dim": 32},
    "modulated": {"global_cond_dim": 32, "global_cond_type": "adaLN"},
}


def network(**options) -> Backbone:
    torch.manual_seed(0)
    made = Backbone({**COMMON, "diffusion_objective": "v", **options}).eval()
    for parameter in made.parameters():
        if parameter.ndim < 2 or not parameter.any():
            nn.init.normal_(parameter, std=0.2)
    return made


def inputs(batch: int = 3):
    generator = torch.Generator().manual_seed(1)
    x, tokens = torch.randn((batch, 4, 9), generator=generator), torch.randn((batch, 7, 64), generator=generator)
    return x, torch.full((batch,), 0.4), tokens, torch.randn((batch, 32), generator=generator)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("zeroed", [(), (2,), (0, 1, 2)])
@torch.no_grad()
def test_it_is_what_the_transformer_itself_gives(kind, zeroed):
    made = network(**KINDS[kind])
    x, t, tokens, globally = inputs()
    tokens[list(zeroed)] = 0
    global_cond = globally if "global_cond_dim" in KINDS[kind] else None
    kept = cached_tokens(made.blocks, tokens)
    assert isinstance(kept, CachedTokens)
    plain, first = made(x, t, tokens, global_cond), made(x, t, kept, global_cond)
    assert (plain - first).abs().max() < 1e-5 * plain.abs().max()
    assert torch.equal(first, made(x, t, kept, global_cond))
    plain, extra = made(x, t, tokens, global_cond, extra_context=tokens), made(x, t, kept, global_cond, extra_context=kept)
    assert (plain - extra).abs().max() < 1e-5 * plain.abs().max()


@torch.no_grad()
def test_keys_are_made_once_for_each_transformer_and_zeros_are_passed_over():
    made, other = network(), network(embed_dim=64, num_heads=2)
    x, t, tokens, _ = inputs()
    tokens[1:] = 0
    seen: dict[nn.Module, list[int]] = {}
    for block in (*made.blocks, *other.blocks):
        for layer in (block.cross_attn.to_kv, block.cross_attn.to_q):
            layer.register_forward_hook(lambda layer, given, _: seen.setdefault(layer, []).append(len(given[0])))
    kept = CachedTokens(tokens)
    for _ in range(3):
        made(x, t, kept)
        other(x, t, kept)
    for block in (*made.blocks, *other.blocks):
        assert seen[block.cross_attn.to_kv] == [1]
        assert seen[block.cross_attn.to_q] == [1, 1, 1]


@torch.no_grad()
def test_another_precision_is_cached_too():
    kept = CachedTokens(inputs()[2])
    half = torch.zeros(1, dtype=torch.bfloat16)
    assert kept.to(torch.zeros(1)) is kept
    assert kept.to(half) is kept.to(half)
    assert kept.to(half).tokens.dtype == torch.bfloat16


def test_attention_of_an_unknown_kind_goes_its_own_way():
    made = network(attn_kwargs={"differential": True})
    tokens = inputs()[2]
    assert cached_tokens(made.blocks, tokens) is tokens


@torch.no_grad()
def test_compiled_blocks_give_the_same():
    made = network()
    x, t, tokens, _ = inputs()
    plain = made(x, t, CachedTokens(tokens))
    compiled = []

    def backend(graph, _):
        compiled.append(graph)
        return graph.forward

    made.compile_blocks(backend=backend)
    assert (made(x, t, CachedTokens(tokens)) - plain).abs().max() < 1e-5 * plain.abs().max()
    assert compiled


@torch.no_grad()
@pytest.mark.half_precision
def test_under_autocast():
    made = network()
    x, t, tokens, _ = inputs()
    tokens[1:] = 0
    with torch.autocast("cpu", torch.bfloat16):
        plain, kept = made(x, t, tokens), made(x, t, CachedTokens(tokens))
    assert (plain - kept).abs().max() < 0.05 * plain.abs().max()
