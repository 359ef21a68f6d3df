"""An adapter over a frozen release: without effect at first, not when trained, and one clear error for what does not fit."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from research.equality.stable_audio_3_equality import random_model
from research.small_model import lively
from stereosync_core.model.adapter import SpatialAdapter, identity, load_adapter, save_adapter
from stereosync_core.model.conditioning.clip import ClipConditions
from stereosync_core.model.loader import load_stable_audio
from tests.errors import refused
from tests.stable_audio_release import write_release
from tests.unit.test_generative_model import conditions as some_conditions
from tests.unit.test_generative_model import without_envelope

FORMS = {"aligned": {"form": "aligned", "inner": 16}, "paper": {"form": "paper", "inner": 4}}
FRAMES = 20


def adapter_config(form: str = "aligned") -> dict:
    return {"conditions": FORMS[form], "control": {"blocks": 1}, "timbre": 16, "window": 40}


def conditions(tracks: int = 2) -> ClipConditions:
    return some_conditions(tracks, FRAMES)


@pytest.fixture(scope="module", params=["open_1_0", "open_small", "3"])
def base(request, tmp_path_factory):
    if request.param == "3":
        return random_model()
    return load_stable_audio(write_release(tmp_path_factory.mktemp("base"), request.param))


@pytest.fixture(params=list(FORMS))
def form(request):
    return request.param


def trained(base, form="aligned") -> SpatialAdapter:
    torch.manual_seed(0)
    adapter = lively(SpatialAdapter(base, adapter_config(form)))
    assert isinstance(adapter, SpatialAdapter)
    return adapter


def velocity(base, given=None, **options):
    """Of a release with its adapter, at a prompt that fills a part of the tokens."""
    generator = torch.Generator().manual_seed(3)
    width, channels = base.conditioners.width, base.autoencoder.latent_channels
    text, x = torch.randn(1, 12, width, generator=generator), torch.randn(1, channels, FRAMES, generator=generator)
    with torch.inference_mode():
        conditioning = base.conditioners(text, {"seconds_start": [0.0], "seconds_total": [1.0]})
        return base.denoiser(x.to(base.dtype), torch.tensor([0.6], dtype=base.dtype), given, conditioning, **options)


def test_a_new_adapter_leaves_the_release_as_it_is(base, form):
    base.denoiser.adapter = None
    alone = velocity(base)
    base.denoiser.adapter = SpatialAdapter(base, adapter_config(form))
    assert torch.equal(velocity(base, conditions()), alone)
    assert torch.equal(velocity(base, None), alone)


def test_every_condition_counts_once_it_is_trained(base, form):
    base.denoiser.adapter = trained(base, form)
    given = conditions()
    whole = velocity(base, given)
    others = [given.without_space(), given.without_timbre(), without_envelope(given)]
    for other in (*(velocity(base, one) for one in others), velocity(base, given, control_scale=0.0), velocity(base)):
        assert (other - whole).abs().max() > 1e-4


def test_what_is_encoded_once_a_clip_serves_at_every_step(base, form):
    base.denoiser.adapter = trained(base, form)
    given = conditions()
    with torch.inference_mode():
        output = base.denoiser.adapter.encode(given)
    assert torch.equal(velocity(base, given, control_output=output), velocity(base, given))


def test_it_holds_nothing_of_the_release_and_everything_in_it_is_trained(base, form):
    base.denoiser.adapter = None
    adapter = SpatialAdapter(base, adapter_config(form))
    assert not {id(value) for value in adapter.parameters()} & {id(value) for value in base.parameters()}
    assert all(value.requires_grad and value.dtype == torch.float32 for value in adapter.parameters())
    (first,) = adapter.control.kind.blocks_of(adapter.control.dit)
    assert torch.equal(first.self_attn.to_out.weight, base.backbone.blocks[0].self_attn.to_out.weight), "a copy at first"
    base.denoiser.adapter = adapter
    text = torch.randn(1, 5, base.conditioners.width)
    conditioning = base.conditioners(text, {"seconds_start": [0.0], "seconds_total": [1.0]})
    x = torch.randn(1, base.autoencoder.latent_channels, FRAMES)
    velocity = base.denoiser(x, torch.tensor([0.5]), conditions(), conditioning)
    velocity.square().mean().backward()
    doors = ("control.leave", "timbre", "space.into", "space.project", "space.number.project")
    began_at_zero = {name for name, value in adapter.named_parameters() if name.startswith(doors)}
    assert not any(adapter.get_parameter(name).any() for name in began_at_zero)
    assert all(adapter.get_parameter(name).grad.any() for name in began_at_zero)


def test_what_is_written_is_read_again_and_holds_what_was_trained_alone(base, form, tmp_path):
    adapter = trained(base, form)
    save_adapter(tmp_path, adapter)
    names = set(load_file(tmp_path / "adapter.safetensors"))
    assert names == {name for name, _ in adapter.named_parameters()}
    base.denoiser.adapter = adapter
    given = conditions()
    wanted = velocity(base, given)
    base.denoiser.adapter = load_adapter(tmp_path, base)
    assert base.denoiser.adapter.config["window"] == base.window == 40
    assert not any(value.requires_grad for value in base.denoiser.adapter.parameters())
    assert ((velocity(base, given) - wanted).norm() / wanted.norm()) < 1e-2, "half precision on the disk"


@pytest.mark.half_precision
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_near_and_the_fingerprint_is_the_same(release, form, dtype, tmp_path):
    whole, half = load_stable_audio(release), load_stable_audio(release, dtype)
    assert identity(half) == identity(whole)
    save_adapter(tmp_path, trained(whole, form))
    whole.denoiser.adapter, narrow = load_adapter(tmp_path, whole), load_adapter(tmp_path, half, dtype)
    half.denoiser.adapter = narrow
    assert narrow.control.enter.weight.dtype == dtype
    wanted, made = velocity(whole, conditions()), velocity(half, conditions())
    assert made.dtype == dtype
    assert ((made.float() - wanted).norm() / wanted.norm()) < 0.1


def test_no_track_at_all_is_no_trouble(base, form):
    base.denoiser.adapter = trained(base, form)
    assert torch.isfinite(velocity(base, conditions(tracks=0))).all()


@pytest.fixture
def folder(tmp_path, release):
    save_adapter(tmp_path / "adapter", trained(load_stable_audio(release)))
    return tmp_path / "adapter"


def test_an_adapter_of_another_release(folder, tmp_path, release):
    small = load_stable_audio(write_release(tmp_path / "small", "open_small"))
    refused(r"another model \(.*objective v\).*objective rectified_flow.*trained over", load_adapter, folder, small)
    weights = load_file(release / "model.safetensors")
    weights["model.model.transformer.project_in.weight"] *= -1
    save_file(weights, shutil.copytree(release, tmp_path / "tuned") / "model.safetensors")
    tuned = load_stable_audio(tmp_path / "tuned")
    refused(r"adapter' was trained over other weights than those of 'tuned'.*load", load_adapter, folder, tuned)


def test_missing_extra_and_misshapen_tensors_are_named(folder, release):
    base, path = load_stable_audio(release), folder / "adapter.safetensors"
    weights = load_file(path)
    for change, error in (
        ({"timbre.weight": None}, r"lacks timbre\.weight"),
        ({"lora.weight": torch.zeros(2)}, r"has also lora\.weight"),
        ({"timbre.weight": torch.zeros(2, 2)}, r"of another shape: timbre\.weight"),
        ({"timbre.weight": weights["timbre.weight"] * float("nan")}, "NaN"),
    ):
        save_file({key: value for key, value in {**weights, **change}.items() if value is not None}, path)
        refused(rf"adapter\.safetensors'.*{error}", load_adapter, folder, base)


def test_half_a_download_and_folders_that_are_none(folder, release, tmp_path):
    base, path = load_stable_audio(release), folder / "adapter.safetensors"
    whole = path.read_bytes()
    for rest in (whole[: len(whole) // 2], b""):
        path.write_bytes(rest)
        refused(r"adapter\.safetensors' is damaged.*again", load_adapter, folder, base)
    path.unlink()
    refused(r"adapter\.safetensors' is missing", load_adapter, folder, base)
    path.write_bytes(whole)
    config = json.loads((folder / "config.json").read_text())
    config["adapter"]["conditions"] = {"form": "aligned", "colour": "red"}
    (folder / "config.json").write_text(json.dumps(config))
    refused(r"cannot be understood.*colour", load_adapter, folder, base)
    (folder / "config.json").write_text("{}")
    refused("has no adapter; give a folder", load_adapter, folder, base)
    refused("nowhere", load_adapter, tmp_path / "nowhere", base)


def test_weights_that_half_precision_cannot_hold_are_not_written(release, tmp_path):
    adapter = trained(load_stable_audio(release))
    with torch.no_grad():
        adapter.timbre.weight[0, 0] = 1e6
    refused(r"timbre\.weight is not finite in half", save_adapter, tmp_path / "bad", adapter)
    assert not (tmp_path / "bad").exists()
