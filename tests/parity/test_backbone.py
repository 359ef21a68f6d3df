"""Our loop over the blocks gives what stable-audio-tools' own forward pass gives."""

import pytest
import torch

from research.small_model import LATENTS, diffusion_config, lively
from stereosync_core.model.backbone import Backbone

KINDS = {
    "prepended": {},
    "adaptive norms": {"global_cond_type": "adaLN"},
    "global condition": {"global_cond_dim": 24},
    "normalised keys": {"attn_kwargs": {"qk_norm": "ln"}},
    "cosine": {"diffusion_objective": "v"},
}


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("tokens", [0, 5])
def test_output_equals_the_reference(kind, tokens):
    torch.manual_seed(0)
    network = lively(Backbone({**diffusion_config()["backbone"], **KINDS[kind]}))
    x, t = torch.randn(2, LATENTS, 20), torch.tensor([0.2, 0.8])
    context = torch.randn(2, tokens, 32) if tokens else None
    global_cond = torch.randn(2, 24) if kind == "global condition" else None
    with torch.no_grad():
        wanted = network.dit(x, t, cross_attn_cond=context, global_embed=global_cond, use_checkpointing=False)
        made = network(x, t, context, global_cond)
    assert wanted.abs().max() > 0.01
    torch.testing.assert_close(made, wanted, atol=1e-6, rtol=1e-5)


def test_a_residual_of_zeros_changes_nothing_and_another_does():
    torch.manual_seed(0)
    network = lively(Backbone(diffusion_config()["backbone"]))
    x, t = torch.randn(1, LATENTS, 20), torch.tensor([0.5])
    with torch.no_grad():
        plain = network(x, t)
        torch.testing.assert_close(network(x, t, residuals=[None, torch.zeros(1, 20, 64)]), plain)
        assert (network(x, t, residuals=[None, torch.ones(1, 21, 64)]) - plain).abs().max() > 1e-3
