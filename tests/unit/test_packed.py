"""Packed linear layers: the plain layers' numbers, and nothing else about them changed."""

import copy

import pytest
import torch
from torch import nn

from stereosync_core.model.packed import PackedLinear, pack, possible

pytestmark = pytest.mark.skipif(not possible(), reason="this build of torch has no packed layers")


@pytest.fixture
def layers() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(24, 40), nn.GELU(), nn.Linear(40, 8, bias=False))
    packed = copy.deepcopy(plain)
    pack(packed)
    assert isinstance(packed[0], PackedLinear)
    return plain, packed


@pytest.mark.parametrize("shape", [(3, 24), (2, 5, 24), (2, 3, 5, 24), (1, 24), (0, 24)])
def test_equal_to_the_plain_layer(layers, shape):
    plain, packed = layers
    x = torch.randn(shape)
    with torch.inference_mode():
        torch.testing.assert_close(packed(x), plain(x))
    torch.testing.assert_close(packed(x), plain(x))  # with gradients


def test_changed_weights_are_packed_anew(layers):
    plain, packed = layers
    x = torch.randn(3, 24)
    with torch.no_grad():
        packed(x)
        for network in layers:
            network[0].weight.mul_(2)
        torch.testing.assert_close(packed(x), plain(x))
        packed.load_state_dict({key: value + 1 for key, value in plain.state_dict().items()})
        assert (packed(x) - plain(x)).abs().max() > 0.1


def test_gradients_copies_and_other_precisions(layers):
    plain, packed = layers
    x = torch.randn(3, 24)
    with torch.no_grad():
        packed(x)
    copied = copy.deepcopy(packed)
    assert copied.state_dict().keys() == plain.state_dict().keys()
    for network in (plain, copied):
        network(x).sum().backward()
    assert torch.equal(plain[0].weight.grad, copied[0].weight.grad)
    with torch.no_grad():
        half = copied.to(torch.bfloat16)(x.bfloat16())
        assert half.dtype == torch.bfloat16


def test_layers_made_in_inference_mode():
    with torch.inference_mode():
        layer = nn.Sequential(nn.Linear(4, 4))
        x = torch.randn(2, 4)
        plain = layer(x)
        pack(layer)
        torch.testing.assert_close(layer(x), plain)
