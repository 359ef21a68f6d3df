"""Keys and values that are kept: the same output as without, for less work."""

import pytest
import torch
from torch import nn

from stereosync_core.model.attended import Attended, attended
from stereosync_core.model.backbone import Backbone

COMMON = {"io_channels": 4, "embed_dim": 128, "depth": 2, "num_heads": 4, "cond_token_dim": 64, "project_cond_tokens": False}
KINDS = {
    "plain": {},
    "grouped": {"embed_dim": 256},  # 4 heads that ask, and one that answers
    "ln": {"attn_kwargs": {"qk_norm": "ln"}},
    "l2": {"attn_kwargs": {"qk_norm": "l2"}},
    "dyt": {"attn_kwargs": {"qk_norm": "dyt"}},
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
@pytest.mark.parametrize("silent", [(), (2,), (0, 1, 2)])
@torch.no_grad()
def test_it_is_what_the_transformer_itself_gives(kind, silent):
    made = network(**KINDS[kind])
    x, t, tokens, globally = inputs()
    tokens[list(silent)] = 0
    told = globally if "global_cond_dim" in KINDS[kind] else None
    kept = attended(made.blocks, tokens)
    assert isinstance(kept, Attended)
    plain, first = made(x, t, tokens, told), made(x, t, kept, told)
    assert (plain - first).abs().max() < 1e-5 * plain.abs().max()
    assert torch.equal(first, made(x, t, kept, told))
    plain, beside = made(x, t, tokens, told, beside=tokens), made(x, t, kept, told, beside=kept)
    assert (plain - beside).abs().max() < 1e-5 * plain.abs().max()


@torch.no_grad()
def test_keys_are_made_once_for_each_transformer_and_zeros_are_passed_over():
    made, other = network(), network(embed_dim=64, num_heads=2)
    x, t, tokens, _ = inputs()
    tokens[1:] = 0
    seen: dict[nn.Module, list[int]] = {}
    for block in (*made.blocks, *other.blocks):
        for layer in (block.cross_attn.to_kv, block.cross_attn.to_q):
            layer.register_forward_hook(lambda layer, given, _: seen.setdefault(layer, []).append(len(given[0])))
    kept = Attended(tokens)
    for _ in range(3):
        made(x, t, kept)
        other(x, t, kept)
    for block in (*made.blocks, *other.blocks):
        assert seen[block.cross_attn.to_kv] == [1]
        assert seen[block.cross_attn.to_q] == [1, 1, 1]


@torch.no_grad()
def test_another_precision_is_kept_beside():
    kept = Attended(inputs()[2])
    half = torch.zeros(1, dtype=torch.bfloat16)
    assert kept.to(torch.zeros(1)) is kept
    assert kept.to(half) is kept.to(half)
    assert kept.to(half).tokens.dtype == torch.bfloat16


def test_attention_of_an_unknown_kind_goes_its_own_way():
    made = network(attn_kwargs={"differential": True})
    tokens = inputs()[2]
    assert attended(made.blocks, tokens) is tokens


@torch.no_grad()
def test_compiled_blocks_give_the_same():
    made = network()
    x, t, tokens, _ = inputs()
    plain = made(x, t, Attended(tokens))
    compiled = []

    def backend(graph, _):
        compiled.append(graph)
        return graph.forward

    made.compile_blocks(backend=backend)
    assert (made(x, t, Attended(tokens)) - plain).abs().max() < 1e-5 * plain.abs().max()
    assert compiled


@torch.no_grad()
@pytest.mark.half_precision
def test_under_autocast():
    made = network()
    x, t, tokens, _ = inputs()
    tokens[1:] = 0
    with torch.autocast("cpu", torch.bfloat16):
        plain, kept = made(x, t, tokens), made(x, t, Attended(tokens))
    assert (plain - kept).abs().max() < 0.05 * plain.abs().max()
