"""What a sampler leaves out, and that it leaves out nothing by default."""

from dataclasses import replace

import pytest
import torch

from research.small_model import LATENTS, diffusion
from stereosync_core.model.guidance import guidance_branches, guided
from stereosync_core.model.speedups import ResidualCache, SamplerSpeedups
from tests.errors import refused
from tests.unit.test_generative_model import conditions


@pytest.fixture(scope="module", params=["aligned", "paper"])
def network(request):
    return diffusion(request.param)


def noise() -> torch.Tensor:
    return torch.randn((1, LATENTS, 24), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_cached_keys_change_nothing(network):
    given, x = conditions(), noise()
    velocity = guided(network, guidance_branches(given, None, 2.0, 3.0))
    for t in (1.0, 0.5):
        times = torch.full((1,), t)
        bare, blind, whole = (
            network(x, times, each) for each in (given.without_space().without_timbre(), given.without_space(), given)
        )
        plain = -bare - blind + 3 * whole
        assert (velocity(x, t) - plain).abs().max() < 1e-5 * plain.abs().max()


@torch.no_grad()
def test_outside_the_interval_one_level_is_evaluated(network):
    given, x = conditions(), noise()
    branches = guidance_branches(given, None, 2.0, 3.0)
    velocity = guided(network, branches, speedups=SamplerSpeedups(guidance_start=0.8, guidance_stop=0.3))
    always = guided(network, branches)
    for t in (0.9, 0.1):
        assert torch.allclose(velocity(x, t), network(x, torch.full((1,), t), given), atol=1e-5)
    assert torch.equal(velocity(x, 0.5), always(x, 0.5))


@torch.no_grad()
def test_the_control_branch_is_evaluated_every_so_many_steps(network):
    calls: list[int] = []
    handle = network.control.register_forward_hook(lambda *_: calls.append(1))
    velocity = guided(network, guidance_branches(conditions(), None, 2.0, 2.0), speedups=SamplerSpeedups(control_interval=3))
    made = [velocity(noise(), t) for t in (1.0, 0.8, 0.6, 0.4)]
    handle.remove()
    assert len(calls) == 2
    assert all(torch.isfinite(each).all() for each in made)


@torch.no_grad()
def test_equal_conditions_are_evaluated_once(network):
    given, sizes = conditions(), []
    handle = network.backbone.blocks[0].self_attn.register_forward_hook(lambda _, given, __: sizes.append(len(given[0])))
    blind = given.without_space()
    for each in (given, blind, blind.without_timbre(), replace(given, timbre=torch.zeros_like(given.timbre))):
        guided(network, guidance_branches(each, None, 2.0, 3.0))(noise(), 0.5)
    handle.remove()
    assert sizes == [3, 2, 1, 2]


def test_residuals_are_made_anew_in_time():
    counted = iter(range(9))
    cache = ResidualCache(2)
    assert [cache(lambda: [torch.tensor(next(counted))])[0] for _ in range(5)] == [0, 0, 1, 1, 2]


@pytest.mark.parametrize(
    "options", [{"guidance_start": 0.2, "guidance_stop": 0.5}, {"guidance_start": 1.5}, {"control_interval": 0}]
)
def test_numbers_out_of_range(options):
    refused("Sampler", SamplerSpeedups, **options)
