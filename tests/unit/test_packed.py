"""Packed linear layers: the plain layers' numbers, and nothing else about them changed."""

import copy
import time
from unittest.mock import Mock

import pytest
import torch
from torch import nn

from stereosync_core.model import packed as module
from stereosync_core.model.packed import PackedLinear, pack, possible

pytestmark = [
    pytest.mark.half_precision,
    pytest.mark.skipif(not possible(), reason="this build of torch has no packed layers"),
]


@pytest.fixture(params=[module._WHOLE, 2, module._PLAIN], ids=["packed", "two rows at a time", "plain"])
def choice(request, monkeypatch) -> int:
    monkeypatch.setattr(module, "_choices", {})
    monkeypatch.setattr(module, "_measured", lambda *_: request.param)
    monkeypatch.setattr(module, "_FEW", 1)
    return request.param


@pytest.fixture
def layers(choice) -> tuple[nn.Module, nn.Module]:
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


def test_the_faster_way_is_taken_once_a_shape(monkeypatch):
    monkeypatch.setattr(module, "_choices", {})
    monkeypatch.setattr(module, "_spent", 0.0)
    layer, measured = nn.Sequential(nn.Linear(4, 4)), []
    pack(layer)

    def seconds(*candidates):
        measured.append(len(candidates))
        return [1.0, 0.95] if len(measured) == 1 else [1.0, 0.85]

    monkeypatch.setattr(module, "time_in_turn", seconds)
    with torch.no_grad():
        layer(torch.ones(7, 4))
        assert measured == [], "few rows are not worth it"
        for shape in ((8, 4), (15, 4), (3, 4, 4)):
            layer(torch.ones(shape))
        assert measured == [2]
        assert "_kept" in layer[0].__dict__, "packed"
        del layer[0].__dict__["_kept"]
        for rows in (16, 31):
            layer(torch.ones(rows, 4))
        assert measured == [2, 2]
        assert "_kept" not in layer[0].__dict__, "plain, which needs no copy"
        monkeypatch.setattr(module, "_spent", module.BUDGET)
        for rows in (32, 64, 32):
            layer(torch.ones(rows, 4))
        assert measured == [2, 2], "no measuring beyond the budget"
    chosen = {rows: module._choices[rows.bit_length(), 3, 3] for rows in (8, 16, 32, 64)}
    assert chosen == {8: module._WHOLE, 16: module._PLAIN, 32: module._PLAIN, 64: module._PLAIN}, "as the nearest shape"


def test_without_the_operators_layers_stay_plain(monkeypatch):
    monkeypatch.setattr(module, "_reordered", Mock(side_effect=AttributeError("no such operator")))
    assert not possible()
    layer = nn.Sequential(nn.Linear(4, 4))
    pack(layer)
    assert type(layer[0]) is nn.Linear


def test_times_are_of_each_in_turn_and_count(monkeypatch):
    monkeypatch.setattr(module, "_spent", 0.0)
    calls = []
    fast, slow = module.time_in_turn(lambda: calls.append("fast"), lambda: (calls.append("slow"), time.sleep(0.02)), limit=0.03)
    assert fast < slow
    assert calls == ["fast", "slow"] * 2, "one to warm up, and one round is past the limit"
    assert module._spent >= 0.04
    module.time_in_turn(lambda: calls.append("alone"), rounds=3, limit=60)
    assert calls[4:] == ["alone"] * 4
