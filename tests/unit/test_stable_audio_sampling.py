"""Stable Audio Open from conditions to sound: its conditioners, the samplers, clips of any length."""

import math

import numpy as np
import pytest
import torch

from stereosync_core import Envelope, SpatialConditioning, Tracks
from stereosync_core.model.guidance import guidance_branches, guided
from stereosync_core.model.loader import load_stable_audio
from stereosync_core.model.pipeline import GeneratedSound, StereoSyncPipeline
from stereosync_core.model.samplers import (
    dpmpp_3m_sde,
    initial_latents,
    log_sigma_times,
    log_snr_times,
    pingpong,
    seeded_noise,
)
from stereosync_core.model.stable_audio.conditioners import NumberConditioner
from stereosync_core.model.stable_audio.text import TextEncoder
from stereosync_core.model.windows import blend_windows
from tests.errors import refused
from tests.stable_audio_release import TEXT, write_release

pytestmark = pytest.mark.slow


def generate(model, prompt, seconds: float, **options) -> GeneratedSound:
    """Of a clip with nothing in it, in three steps unless something else is given."""
    scene = SpatialConditioning(Tracks((), seconds), None)
    return StereoSyncPipeline(model)(scene, prompt, **{"num_inference_steps": 3, **options})


@pytest.fixture(scope="module")
def model(release):
    return load_stable_audio(release)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return load_stable_audio(write_release(tmp_path_factory.mktemp("small"), "open_small"))


def write_t5(folder):
    """A tiny T5 with a vocabulary of three words."""
    from transformers import T5Config, T5EncoderModel, T5TokenizerFast

    words = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), ("▁steps", -1.0), ("▁on", -1.0), ("▁gravel", -1.0)]
    T5TokenizerFast(vocab=words, extra_ids=0).save_pretrained(folder)
    torch.manual_seed(0)
    config = T5Config(vocab_size=16, d_model=64, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    T5EncoderModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def t5(tmp_path_factory):
    return write_t5(tmp_path_factory.mktemp("t5"))


def test_stable_audio_open_takes_130_tokens_and_both_times_globally(model):
    conditioning = model.conditioners(TEXT, {"seconds_start": [0.0], "seconds_total": [30.0]})
    assert conditioning.cross_attn_tokens.shape == (1, 128 + 1 + 1, 64)
    assert torch.equal(conditioning.cross_attn_tokens[:, :12], TEXT)
    assert not conditioning.cross_attn_tokens[:, 12:128].any()
    assert torch.equal(conditioning.global_cond, conditioning.cross_attn_tokens[:, 128:].flatten(1))


def test_small_takes_65_tokens_and_the_length_alone(small):
    conditioning = small.conditioners(TEXT, {"seconds_start": [9.0], "seconds_total": [11.0]})
    assert conditioning.cross_attn_tokens.shape == (1, 64 + 1, 64)
    assert torch.equal(conditioning.global_cond, conditioning.cross_attn_tokens[:, 64])


def test_numbers_outside_their_range_count_as_its_ends():
    conditioner = NumberConditioner(8, 0, 512)
    made = conditioner(torch.tensor([-3.0, 0.0, 512.0, 9999.0, 100.0]))
    torch.testing.assert_close(made[0], made[1])
    torch.testing.assert_close(made[2], made[3])
    assert not torch.allclose(made[4], made[2])


def test_a_text_over_the_length_is_cut_with_a_note_and_padding_without(model, caplog):
    seconds = {"seconds_start": [0.0], "seconds_total": [30.0]}
    long = torch.cat([TEXT, torch.zeros(1, 200, 64)], dim=1)
    whole, cut = (model.conditioners(text, seconds).cross_attn_tokens for text in (TEXT, long))
    assert torch.equal(cut, whole)
    assert not caplog.records
    long[:, 150] = 1
    assert model.conditioners(long, seconds).cross_attn_tokens.shape == (1, 130, 64)
    assert "212 tokens; the model sees the first 128" in caplog.text


def test_conditions_that_are_not_whole(model):
    refused("seconds_total is missing", model.conditioners, TEXT, {"seconds_start": [0.0]})
    seconds = {"seconds_start": [math.nan], "seconds_total": [30.0]}
    refused("seconds_start is missing or not finite", model.conditioners, TEXT, seconds)
    said = r"\(1, 77, 1024\) and must be \[batch, tokens, 64\].*T5"
    refused(said, model.conditioners, torch.zeros(1, 77, 1024), seconds | {"seconds_start": [0.0]})


def test_a_prompt_becomes_tokens_and_zeros_after_its_end(t5, caplog):
    encoder = TextEncoder(t5)
    made = encoder("steps on gravel", 8)
    assert made.shape == (1, 8, encoder.width)
    assert (made.abs().sum(-1) > 0).tolist() == [[True] * 4 + [False] * 4]
    assert encoder("steps on gravel on gravel", 3).shape == (1, 3, 64)
    assert "6 tokens; the model sees the first 3" in caplog.text


def test_a_text_encoder_that_is_missing_incomplete_or_of_another_kind(t5, tmp_path):
    refused(r"nowhere' holds no config\.json, no weights, no tokenizer; give", TextEncoder, tmp_path / "nowhere")
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_bytes((t5 / name).read_bytes())
    TextEncoder(tmp_path)
    (tmp_path / "tokenizer.json").rename(tmp_path / "away")
    refused("holds no tokenizer", TextEncoder, tmp_path)
    (tmp_path / "away").rename(tmp_path / "tokenizer.json")
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    refused("damaged", TextEncoder, tmp_path)
    (tmp_path / "model.safetensors").write_bytes(whole)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    refused("is a bert model; give T5", TextEncoder, tmp_path)


def test_a_prompt_without_an_encoder(model):
    for text in ("steps", None):
        refused(r"no text encoder.*T5 base.*CLIPLoader", generate, model, text, 0.5)
    refused("no text encoder", generate, model, TEXT, 0.5, negative_prompt="noise")


def test_a_prompt_and_its_tokens_give_the_same_sound(model, t5):
    encoder = TextEncoder(t5)
    scene = SpatialConditioning(Tracks((), 0.5), None)
    by_text = StereoSyncPipeline(model, encoder)(scene, "steps on gravel", num_inference_steps=3)
    assert torch.equal(by_text.latents, generate(model, encoder("steps on gravel"), 0.5).latents)


def test_inputs_that_need_an_adapter(model):
    for options in ({"timbre": torch.zeros(16)}, {"envelope": Envelope(np.ones(2), np.arange(2.0))}):
        name = next(iter(options))
        refused(f"'{name}' needs a StereoSync adapter", generate, model, TEXT, 0.5, **options)


def test_the_schedules_fall_from_noise_to_sound():
    times = log_sigma_times(100)
    levels = [math.tan(t * math.pi / 2) for t in times]
    assert len(times) == 101
    assert (levels[0], levels[99], times[100]) == (pytest.approx(500), pytest.approx(0.3), 0)
    ratios = [levels[n + 1] / levels[n] for n in range(99)]
    assert ratios == pytest.approx([ratios[0]] * 99)
    times = log_snr_times(8)
    assert (len(times), times[0], times[-1]) == (9, 1, 0)
    assert times[1:-1] == pytest.approx([1 / (1 + math.exp(n - 6)) for n in range(1, 8)])
    for make in (log_sigma_times, log_snr_times):
        refused("0 steps", make, 0)


def gaussian(mean: float, spread: float):
    """The exact velocity of the objective ``v`` where sound is normally distributed."""

    def velocity(x, t):
        alpha, sigma = math.cos(t * math.pi / 2), math.sin(t * math.pi / 2)
        sound = mean + alpha * spread**2 / (alpha**2 * spread**2 + sigma**2) * (x - alpha * mean)
        return (alpha * x - sound) / sigma

    return velocity


def test_the_third_order_sampler_draws_from_the_distribution():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 64, 2000, generator=generator)
    times = log_sigma_times(60, sigma_min=0.01, sigma_max=80)
    made = dpmpp_3m_sde(gaussian(0.7, 0.4), initial_latents(noise, times[0], "v"), times, noise=seeded_noise(noise, generator))
    assert made.mean() == pytest.approx(0.7, abs=0.01)
    assert made.std() == pytest.approx(0.4, abs=0.02)


def test_without_fresh_noise_it_follows_the_flow_to_high_order():
    noise = torch.randn(1, 4, 50, generator=torch.Generator().manual_seed(0))
    velocity, exact = gaussian(0.7, 0.4), 0.7 + 0.4 * noise

    def error(steps):
        times = log_sigma_times(steps, sigma_min=1e-3, sigma_max=50)
        made = dpmpp_3m_sde(velocity, initial_latents(noise, times[0], "v"), times, noise=lambda *_: noise, eta=0.0)
        return (made - exact).abs().max()

    # the largest noise is not infinite, which leaves an error of its own of 0.7 / 50
    assert error(60) < 0.02
    assert (error(15) - error(60)).abs() < (error(8) - error(60)).abs()


def test_pingpong_ends_at_the_sound_that_the_velocity_points_to():
    sound, noise = torch.full((1, 2, 5), 3.0), torch.randn(1, 2, 5)
    seen = []

    def velocity(x, t):
        seen.append(t)
        return (x - sound) / t

    made = pingpong(velocity, noise, log_snr_times(8), noise=seeded_noise(noise, torch.Generator()))
    torch.testing.assert_close(made, sound)
    assert seen == log_snr_times(8)[:-1]


@pytest.mark.parametrize("sampler", [None, "dpmpp_2m"])
def test_sound_is_exactly_as_long_as_the_clip_and_a_seed_means_the_same(model, sampler):
    steps = []
    options = {"sampler": sampler, "progress": lambda done, total: steps.append((done, total))}
    sound = generate(model, TEXT, 1.23, seed=7, **options).samples
    assert (sound.shape, sound.dtype) == ((2, round(1.23 * 44100)), np.float32)
    assert np.isfinite(sound).all()
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert np.array_equal(sound, generate(model, TEXT, 1.23, sampler=sampler, seed=7).samples)
    other = generate(model, TEXT, 1.23, sampler=sampler, seed=8).samples
    assert not np.allclose(sound, other)


def test_small_takes_eight_steps_without_guidance(small):
    steps = []
    scene = SpatialConditioning(Tracks((), 0.5), None)
    made = StereoSyncPipeline(small)(scene, TEXT, progress=lambda done, total: steps.append(total))
    assert made.latents.shape == (1, 4, math.ceil(0.5 * 44100 / 2048))
    assert steps == [8] * 8


def test_text_seconds_and_guidance_count(model):
    plain = generate(model, TEXT, 0.5).latents
    for other in (
        generate(model, -TEXT, 0.5),
        generate(model, TEXT, 0.5, guidance_scale=1.0),
        generate(model, TEXT, 0.5, negative_prompt=-TEXT),
    ):
        assert (other.latents - plain).abs().max() > 1e-3 * plain.abs().max()


def test_the_unconditional_half_has_neither_text_nor_seconds_in_cross_attention(model):
    conditioning = model.conditioners(TEXT, {"seconds_start": [0.0], "seconds_total": [1.0]})
    x, t = torch.randn(1, 4, 10), torch.tensor([0.5])
    with torch.inference_mode():
        wanted = model.denoiser(x, t, None, conditioning)
        zeros = torch.zeros_like(conditioning.cross_attn_tokens)
        nothing = model.backbone(x, t, zeros, conditioning.global_cond)
        made = guided(model.denoiser, guidance_branches(None, conditioning, 3.0, 3.0))(x, 0.5)
    torch.testing.assert_close(made, nothing + 3 * (wanted - nothing), atol=1e-4, rtol=1e-4)


def test_a_clip_longer_than_the_window_is_made_of_windows(small):
    assert small.window == 256
    seen = []

    def velocity(x, t):
        seen.append(x.shape)
        return x * t

    x = torch.randn(1, 4, 300)
    torch.testing.assert_close(blend_windows(velocity, [0, 44], 256, 20)(x, 0.5), x * 0.5)
    assert seen == [(2, 4, 256)]
    long = 14.0  # the window lasts 11.9 seconds
    sound = generate(small, TEXT, long, num_inference_steps=1)
    assert sound.samples.shape == (2, round(long * 44100))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"num_inference_steps": 0}, "Sampler: 0 steps"),
        ({"num_inference_steps": 2000}, "Sampler: 2000 steps"),
        ({"guidance_scale": math.nan}, "Sampler: guidance_scale"),
        ({"guidance_scale": 99.0}, "Sampler: guidance_scale is 99"),
        ({"sampler": "pingpong"}, "'pingpong' is not for this model; choose one of dpmpp_3m_sde"),
    ],
)
def test_options_that_make_no_sense(model, options, error):
    refused(error, generate, model, TEXT, 1.0, **options)


def test_what_no_model_of_this_kind_can_make(model, small):
    refused("'dpmpp_3m_sde' is not for this model; choose one of pingpong", generate, small, TEXT, 1.0, sampler="dpmpp_3m_sde")
    for duration in (0.0, -1.0, math.nan):
        refused("above zero", generate, model, TEXT, duration)


def test_the_autoencoder_goes_both_ways_at_any_length(model):
    sound = torch.randn(1, 2, 2048 * 3 + 100)
    with torch.inference_mode():
        latents = model.autoencoder.encode(sound)
        assert latents.shape == (1, 4, 4)
        assert model.autoencoder.decode(latents).shape == (1, 2, 4 * 2048)
        padded = model.autoencoder.encode(torch.nn.functional.pad(sound, (0, 2048 - 100)))
    assert torch.equal(latents, padded)
