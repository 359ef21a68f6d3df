"""Stable Audio Open with an adapter, from a scene to sound: guidance, windows, loudness, and numbers that half precision
cannot hold."""

import logging

import numpy as np
import pytest
import torch

from stereosync_core.errors import StereoSyncError
from stereosync_core.model.generate import make_conditions
from stereosync_core.model.stable_audio import generate as generation
from stereosync_core.model.stable_audio.adapter import SpatialAdapter
from stereosync_core.model.stable_audio.conditioners import Told
from stereosync_core.model.stable_audio.generate import StableAudioSampling, generate, sample_latents
from stereosync_core.model.stable_audio.guidance import guided
from stereosync_core.model.stable_audio.model import load_stable_audio
from stereosync_core.scene import Envelope
from tests.stable_audio_release import write_release
from tests.unit.test_conditioning import crossing
from tests.unit.test_generate import loud
from tests.unit.test_stable_audio_adapter import FRAMES, adapter_config, conditions, learned

TEXT = torch.randn(1, 12, 64, generator=torch.Generator().manual_seed(3))
QUICK = StableAudioSampling(steps=3, cfg=2.0)
SECONDS = FRAMES * 2048 / 44100


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return write_release(tmp_path_factory.mktemp("open"))


@pytest.fixture
def model(release):
    base = load_stable_audio(release)
    base.adapter = learned(base)
    return base


def test_a_new_adapter_s_sound_is_the_release_s(release):
    model = load_stable_audio(release)
    alone = sample_latents(model, TEXT, SECONDS, options=QUICK)
    model.adapter = SpatialAdapter(model, adapter_config())
    assert torch.equal(sample_latents(model, TEXT, SECONDS, conditions=conditions(), options=QUICK), alone)
    made = sample_latents(model, TEXT, SECONDS, conditions=conditions(), space=4.0, options=QUICK)
    torch.testing.assert_close(made, alone, atol=1e-4, rtol=1e-4)


def test_guidance_composes_and_the_envelope_speaks_to_all_parts(model):
    told = model.conditioners(TEXT, {"seconds_start": [0.0], "seconds_total": [1.0]})
    nothing = Told(torch.zeros_like(told.tokens), told.globally)
    scene, x, t = conditions(), torch.randn(1, 4, FRAMES), torch.tensor([0.5])
    with torch.inference_mode():
        bare = model(x, t, nothing, scene.without_space().without_timbre())
        text = model(x, t, told, scene.without_space())
        whole = model(x, t, told, scene)
        three = guided(model, told, 2.0, scene, space=3.0)(x, 0.5)
        two = guided(model, told, 2.0, scene)(x, 0.5)
        one = guided(model, told, 1.0, scene)(x, 0.5)
        soft = guided(model, told, 1.0, scene, envelope=0.5)(x, 0.5)
    torch.testing.assert_close(three, bare + 2 * (text - bare) + 3 * (whole - text), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(two, bare + 2 * (whole - bare), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(one, whole, atol=1e-4, rtol=1e-4)
    assert (soft - one).abs().max() > 1e-4


def test_scene_envelope_and_timbre_have_a_say_in_the_sound(model):
    scene = conditions()
    whole = sample_latents(model, TEXT, SECONDS, conditions=scene, options=QUICK)
    for other in (
        sample_latents(model, TEXT, SECONDS, options=QUICK),
        sample_latents(model, TEXT, SECONDS, conditions=scene.without_space(), options=QUICK),
        sample_latents(model, TEXT, SECONDS, conditions=scene, envelope=0.0, options=QUICK),
        sample_latents(model, TEXT, SECONDS, conditions=scene, space=5.0, options=QUICK),
        sample_latents(model, None, SECONDS, conditions=scene, options=QUICK),
    ):
        assert (other - whole).abs().max() > 1e-3 * whole.abs().max()


def test_a_clip_longer_than_the_adapter_s_window_is_made_of_windows(model, monkeypatch):
    seen = []
    forward = type(model).forward

    def watched(self, x, t, told, scene, *rest):
        seen.append((x.shape[-1], scene.envelope.shape[-1], scene.scene.boxes.shape[2]))
        return forward(self, x, t, told, scene, *rest)

    monkeypatch.setattr(type(model), "forward", watched)
    made = sample_latents(model, TEXT, 100 * 2048 / 44100, conditions=conditions(frames=100), options=QUICK)
    assert made.shape == (1, 4, 100)
    assert set(seen) == {(40, 40, 40)}


def test_sound_from_a_scene_is_as_long_and_as_loud_as_it_says(model):
    made = {}
    for level in (0.01, 0.1, 0.0):
        told, loudest = make_conditions(model, crossing(0.77), None, loud(0.77, level), torch.zeros(16))
        assert loudest == pytest.approx(level, rel=0.05)
        made[level] = generate(model, None, 0.77, conditions=told, loudest=loudest, options=QUICK)
    assert made[0.1].shape == (2, round(0.77 * 44100))
    np.testing.assert_allclose(made[0.1], 10 * made[0.01], rtol=1e-3, atol=1e-6)
    assert not made[0.0].any()


def test_conditions_that_do_not_fit(model, release):
    with pytest.raises(StereoSyncError, match="for 25 latent frames and the sound has 20"):
        sample_latents(model, TEXT, SECONDS, conditions=conditions(frames=25), options=QUICK)
    with pytest.raises(StereoSyncError, match="'space' is 99"):
        sample_latents(model, TEXT, SECONDS, conditions=conditions(), space=99.0, options=QUICK)
    with pytest.raises(StereoSyncError, match=r"\(3,\) was given, this model takes \[16\]"):
        make_conditions(model, crossing(1.0), None, None, torch.zeros(3))
    alone = load_stable_audio(release)
    with pytest.raises(StereoSyncError, match="knows nothing of a scene; give the folder of an adapter"):
        sample_latents(alone, TEXT, SECONDS, conditions=conditions(), options=QUICK)
    with pytest.raises(StereoSyncError, match="knows no timbre"):
        make_conditions(alone, crossing(1.0), None, Envelope(np.ones(2), np.arange(2.0)), None)


def overflowing(*narrow: torch.dtype):
    """A velocity that is not finite in these types."""

    def make(model, told, cfg, *rest, **options):
        velocity = guided(model, told, cfg, *rest, **options)
        return lambda x, t: velocity(x, t) * (float("nan") if model.place[1] in narrow else 1)

    return make


@pytest.mark.parametrize("narrow", [(torch.float16,), (torch.float16, torch.bfloat16)])
def test_what_half_precision_cannot_hold_is_made_again_in_a_wider_type_with_a_note(release, monkeypatch, caplog, narrow):
    model = load_stable_audio(release, torch.float16)
    model.adapter = learned(model)
    monkeypatch.setattr(generation, "guided", overflowing(*narrow))
    with caplog.at_level(logging.WARNING):
        made = sample_latents(model, TEXT, SECONDS, conditions=conditions(), options=QUICK)
    assert torch.isfinite(made).all()
    assert len(caplog.records) == len(narrow)
    assert "not finite in torch.float16; the model goes on in torch.bfloat16" in caplog.text
    wanted = torch.bfloat16 if len(narrow) == 1 else torch.float32
    assert model.place[1] == model.adapter.control.enter.weight.dtype == wanted
    assert model.backbone.dit.transformer.rotary_pos_emb.inv_freq.dtype == torch.float32


def test_what_single_precision_cannot_hold_is_an_error(model, monkeypatch):
    monkeypatch.setattr(generation, "guided", overflowing(torch.float32))
    with pytest.raises(StereoSyncError, match="not finite; lower the guidance scale"):
        sample_latents(model, TEXT, SECONDS, options=QUICK)


def test_a_decoder_that_overflows_decodes_again(release, monkeypatch, caplog):
    model = load_stable_audio(release, torch.float16)
    plain = generation.decode

    def decode(autoencoder, latents, length):
        sound = plain(autoencoder, latents, length)
        return sound * np.float32("nan") if next(autoencoder.parameters()).dtype == torch.float16 else sound

    monkeypatch.setattr(generation, "decode", decode)
    with caplog.at_level(logging.WARNING):
        assert np.isfinite(generate(model, TEXT, SECONDS, options=QUICK)).all()
    assert "decoded again in single precision" in caplog.text
