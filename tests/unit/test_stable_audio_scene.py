"""Stable Audio Open with an adapter, from a scene to sound: guidance, windows, loudness, and numbers that half precision
cannot hold."""

import numpy as np
import pytest
import torch

from stereosync_core import DepthSequence, Envelope, SpatialConditioning, StereoSyncError
from stereosync_core.model.adapter import SpatialAdapter
from stereosync_core.model.denoiser import Conditioning, Denoiser
from stereosync_core.model.guidance import guidance_branches, guided
from stereosync_core.model.loader import load_stable_audio
from stereosync_core.model.oobleck import OobleckAutoencoder
from stereosync_core.model.pipeline import GeneratedSound, StereoSyncPipeline
from tests.errors import refused
from tests.stable_audio_release import TEXT
from tests.unit.test_conditioning import crossing
from tests.unit.test_generate import loud
from tests.unit.test_stable_audio_adapter import FRAMES, adapter_config, conditions, trained

pytestmark = pytest.mark.slow

SECONDS = FRAMES * 2048 / 44100
DEPTH = DepthSequence(np.linspace(0, 1, 2 * 12 * 16, dtype=np.float32).reshape(2, 12, 16), np.array([0.0, 0.9]))


@pytest.fixture
def model(release):
    base = load_stable_audio(release)
    base.denoiser.adapter = trained(base)
    return base


def generate(model, prompt=TEXT, seconds: float = SECONDS, use: str = "boxes and depth", **options) -> GeneratedSound:
    """Of a thing that crosses the picture, in three steps."""
    scene = SpatialConditioning(crossing(seconds), DEPTH, use)
    return StereoSyncPipeline(model)(scene, prompt, **{"num_inference_steps": 3, "guidance_scale": 2.0, **options})


def test_an_untrained_adapter_s_sound_is_the_release_s(release):
    model, given = load_stable_audio(release), {"envelope": loud(SECONDS), "timbre": torch.ones(16)}
    alone = generate(model).latents
    model.denoiser.adapter = SpatialAdapter(model, adapter_config())
    assert torch.equal(generate(model, **given).latents, alone)
    torch.testing.assert_close(generate(model, **given, spatial_scale=4.0).latents, alone, atol=1e-4, rtol=1e-4)


def test_guidance_composes_and_the_envelope_is_in_all_levels(model):
    prompt = model.conditioners(TEXT, {"seconds_start": [0.0], "seconds_total": [1.0]})
    nothing = Conditioning(torch.zeros_like(prompt.cross_attn_tokens), prompt.global_cond)
    scene, x, t = conditions(), torch.randn(1, 4, FRAMES), torch.tensor([0.5])

    def composed(guidance_scale, spatial_scale, **options):
        branches = guidance_branches(scene, prompt, guidance_scale, spatial_scale)
        return guided(model.denoiser, branches, **options)(x, 0.5)

    with torch.inference_mode():
        bare = model.denoiser(x, t, scene.without_space().without_timbre(), nothing)
        text = model.denoiser(x, t, scene.without_space(), prompt)
        whole = model.denoiser(x, t, scene, prompt)
        three, two, one, blind = (composed(*scales) for scales in ((2.0, 3.0), (2.0, 2.0), (1.0, 1.0), (2.0, 0.0)))
        soft = composed(1.0, 1.0, control_scale=0.5)
    torch.testing.assert_close(three, bare + 2 * (text - bare) + 3 * (whole - text), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(two, bare + 2 * (whole - bare), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(one, whole, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(blind, bare + 2 * (text - bare), atol=1e-4, rtol=1e-4)
    assert (soft - one).abs().max() > 1e-4


def test_scene_envelope_and_timbre_count_in_the_sound(model):
    given = {"envelope": loud(SECONDS), "timbre": torch.ones(16)}
    whole = generate(model, **given).latents
    for other in (
        generate(model),
        generate(model, use="nothing", **given),
        generate(model, **given, control_scale=0.0),
        generate(model, **given, spatial_scale=5.0),
        generate(model, **given, spatial_scale=0.0),
        generate(model, None, **given),
    ):
        assert (other.latents - whole).abs().max() > 1e-3 * whole.abs().max()
    assert torch.equal(generate(model, **given, spatial_scale=2.0).latents, whole), "by default that of the guidance"


def test_a_clip_longer_than_the_adapter_s_window_is_made_of_windows(model, monkeypatch):
    seen = []
    forward = Denoiser.forward

    def watched(self, x, t, given, *rest):
        seen.append((x.shape[-1], given.envelope.shape[-1], given.scene.boxes.shape[2]))
        return forward(self, x, t, given, *rest)

    monkeypatch.setattr(Denoiser, "forward", watched)
    made = generate(model, seconds=100 * 2048 / 44100)
    assert made.latents.shape == (1, 4, 100)
    assert set(seen) == {(40, 40, 40)}


def test_sound_from_a_scene_is_as_long_and_as_loud_as_its_envelope(model):
    made = {
        level: generate(model, None, 0.77, envelope=loud(0.77, level), timbre=torch.zeros(16)).samples
        for level in (0.01, 0.1, 0.0)
    }
    assert made[0.1].shape == (2, round(0.77 * 44100))
    np.testing.assert_allclose(made[0.1], 10 * made[0.01], rtol=1e-3, atol=1e-6)
    assert not made[0.0].any()


def test_conditions_that_do_not_fit(model, release):
    refused("spatial_scale is 99", generate, model, spatial_scale=99.0)
    refused(r"\(3,\) was given, this model takes \[16\]", generate, model, timbre=torch.zeros(3))
    refused("loaded without its timbre encoder", generate, model, timbre="gravel")
    alone = load_stable_audio(release)
    with pytest.raises(StereoSyncError, match=r"'envelope' needs a StereoSync adapter, and .* has none; give the folder"):
        generate(alone, envelope=Envelope(np.ones(2), np.arange(2.0)))
    with pytest.raises(StereoSyncError, match="takes no timbre without a StereoSync adapter"):
        alone.timbre_size  # noqa: B018


def overflow_in(monkeypatch, *narrow: torch.dtype) -> None:
    """Have velocities not be finite in these types."""
    forward = Denoiser.forward

    def overflowing(self, *given):
        velocity = forward(self, *given)
        return velocity * (float("nan") if next(self.backbone.parameters()).dtype in narrow else 1)

    monkeypatch.setattr(Denoiser, "forward", overflowing)


@pytest.mark.parametrize("narrow", [(torch.float16,), (torch.float16, torch.bfloat16)])
def test_what_half_precision_cannot_hold_is_made_again_in_a_wider_type_with_a_note(release, monkeypatch, caplog, narrow):
    model = load_stable_audio(release, torch.float16)
    model.denoiser.adapter = adapter = trained(model)
    overflow_in(monkeypatch, *narrow)
    made = generate(model, envelope=loud(SECONDS))
    assert torch.isfinite(made.latents).all()
    assert len(caplog.records) == len(narrow)
    assert "not finite in torch.float16; the model goes on in torch.bfloat16" in caplog.text
    wanted = torch.bfloat16 if len(narrow) == 1 else torch.float32
    assert model.dtype == adapter.control.enter.weight.dtype == wanted
    assert model.backbone.dit.transformer.rotary_pos_emb.inv_freq.dtype == torch.float32


def test_what_single_precision_cannot_hold_is_an_error(model, monkeypatch):
    overflow_in(monkeypatch, torch.float32)
    refused("not finite; lower the guidance scale", generate, model)


def test_a_decoder_that_overflows_decodes_again(release, monkeypatch, caplog):
    model = load_stable_audio(release, torch.float16)
    plain = OobleckAutoencoder.decode

    def decode(self, latents, start=0):
        return plain(self, latents, start) * (float("nan") if latents.dtype == torch.float16 else 1)

    monkeypatch.setattr(OobleckAutoencoder, "decode", decode)
    assert np.isfinite(generate(model).samples).all()
    assert "decoded again in single precision" in caplog.text
