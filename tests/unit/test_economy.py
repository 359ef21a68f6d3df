"""What a sampler leaves out, and that it leaves out nothing unasked."""

from dataclasses import replace

import pytest
import torch

from stereosync_core.errors import StereoSyncError
from stereosync_core.model.economy import Economy, Reused
from stereosync_core.model.guidance import guided
from tests.small_model import diffusion
from tests.unit.test_generative_model import conditions


@pytest.fixture(scope="module", params=["aligned", "paper"])
def network(request):
    return diffusion(request.param)


def noise() -> torch.Tensor:
    return torch.randn((1, 8, 24), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_keys_that_are_kept_change_nothing(network):
    told, x = conditions(), noise()
    velocity = guided(network, told, cfg=2.0, space=3.0)
    for t in (1.0, 0.5):
        times = torch.full((1,), t)
        bare, blind, whole = (
            network(x, times, each) for each in (told.without_space().without_timbre(), told.without_space(), told)
        )
        plain = -bare - blind + 3 * whole
        assert (velocity(x, t) - plain).abs().max() < 1e-5 * plain.abs().max()


@torch.no_grad()
def test_outside_the_interval_the_conditions_alone_are_asked(network):
    told, x = conditions(), noise()
    velocity = guided(network, told, cfg=2.0, space=3.0, economy=Economy(guided_from=0.8, guided_to=0.3))
    always = guided(network, told, cfg=2.0, space=3.0)
    for t in (0.9, 0.1):
        assert torch.allclose(velocity(x, t), network(x, torch.full((1,), t), told), atol=1e-5)
    assert torch.equal(velocity(x, 0.5), always(x, 0.5))


@torch.no_grad()
def test_the_control_branch_is_asked_every_so_many_steps(network):
    asked: list[int] = []
    handle = network.control.register_forward_hook(lambda *_: asked.append(1))
    velocity = guided(network, conditions(), cfg=2.0, economy=Economy(control_every=3))
    made = [velocity(noise(), t) for t in (1.0, 0.8, 0.6, 0.4)]
    handle.remove()
    assert len(asked) == 2
    assert all(torch.isfinite(each).all() for each in made)


@torch.no_grad()
def test_equal_conditions_are_asked_once(network):
    told, sizes = conditions(), []
    handle = network.backbone.blocks[0].self_attn.register_forward_hook(lambda _, given, __: sizes.append(len(given[0])))
    blind = told.without_space()
    for each in (told, blind, blind.without_timbre(), replace(told, timbre=torch.zeros_like(told.timbre))):
        guided(network, each, cfg=2.0, space=3.0)(noise(), 0.5)
    handle.remove()
    assert sizes == [3, 2, 1, 2]


def test_reused_is_made_anew_in_time():
    counted = iter(range(9))
    reused = Reused(2)
    assert [reused(lambda: [torch.tensor(next(counted))])[0] for _ in range(5)] == [0, 0, 1, 1, 2]


@pytest.mark.parametrize("options", [{"guided_from": 0.2, "guided_to": 0.5}, {"guided_from": 1.5}, {"control_every": 0}])
def test_numbers_out_of_range(options):
    with pytest.raises(StereoSyncError, match="Sampler"):
        Economy(**options)
