"""Stable Audio Open, loaded by us, gives stable-audio-tools' numbers; the same at full size is
``python -m research.equality.stable_audio_equality --full``."""

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from research.equality.reference_packages import installed
from research.equality.release_weights import release_shapes
from research.equality.stable_audio_equality import BOUNDS, compare, reduced
from research.equality.stable_audio_reference import EXPECTED, make
from stereosync_core.model.loader import load_stable_audio
from stereosync_core.model.stable_audio.config import RELEASES


@pytest.fixture(scope="module", params=RELEASES)
def release(request, tmp_path_factory):
    """A folder that stable-audio-tools has written, with what it makes of it; and the release's name."""
    if not installed():
        pytest.skip("stable-audio-tools' own requirements are not there: `python3 dev.py test` installs them")
    return make(reduced(request.param), tmp_path_factory.mktemp(request.param)), request.param


def test_every_number_equals_the_reference(release):
    folder, name = release
    found = compare(folder)
    assert len(found) == (len(BOUNDS) if name == "open_1_0" else len(BOUNDS) - 2)
    assert {quantity: value for quantity, value in found.items() if not value <= BOUNDS[quantity]} == {}


def test_a_weight_that_is_a_little_off_shows(release, tmp_path):
    folder, _ = release
    weights = load_file(folder / "model.safetensors")
    for key in ("pretransform.model.decoder.layers.1.layers.1.weight_g", "model.model.transformer.layers.2.ff_norm.beta"):
        weights[key] = weights[key] + 0.01
    save_file(weights, tmp_path / "model.safetensors")
    for name in ("model_config.json", EXPECTED):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    found = compare(tmp_path)
    assert {name for name, value in found.items() if value > BOUNDS[name]} >= {"velocity", "sampled latents", "decoded sound"}


def test_the_releases_of_the_other_tests_have_the_reference_s_keys_and_shapes(release):
    folder, name = release
    with safe_open(folder / "model.safetensors", "pt") as file:
        real = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 - a method, not a dict
    assert release_shapes(reduced(name)) == real


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_near(release, dtype):
    folder, _ = release
    wanted = load_file(folder / EXPECTED)
    model = load_stable_audio(folder, dtype)
    assert model.conditioners is not None
    conditioning = model.conditioners(wanted["texts"], {"seconds_start": [0.0, 3.5], "seconds_total": [11.25, 600.0]})
    with torch.inference_mode():
        made = model.denoiser(wanted["x"].to(dtype), wanted["t"].to(dtype), None, conditioning).float()
    assert ((made - wanted["velocity"]).norm() / wanted["velocity"].norm()) < 0.1
