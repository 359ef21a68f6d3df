"""A given sound is refined, continued, or made anew in part: what stays of it, and what is refused."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from research.small_model import write_model
from stereosync_core import Envelope, Event, Events, Sound, SpatialConditioning, StereoSyncPipeline
from stereosync_core.metrics.localiser import LevelLocaliser
from stereosync_core.model.decoding import decode, encode
from stereosync_core.model.generative_model import GenerativeModel
from stereosync_core.model.inpainting import CROSSFADE, kept_frames, with_kept
from stereosync_core.model.loader import load_model, load_stable_audio
from stereosync_core.model.objectives import alpha_sigma, predict_x0
from stereosync_core.model.samplers import SAMPLERS, SCHEDULES, initial_latents, seeded_noise
from stereosync_core.model.source_sound import source_of, with_levels_of
from stereosync_core.model.stretches import all_but_event, fades, stretches_of_text, timed_texts
from stereosync_core.rendering.analysis import level_difference
from tests.errors import refused
from tests.stable_audio_release import TEXT, write_release
from tests.unit.test_conditioning import crossing

RATE, SECONDS = 44100, 2.0


def placed(seconds: float = SECONDS, side: float = 8.0, rate: int = RATE) -> Sound:
    """Three bursts of noise each second, the first ones on the left by ``side`` dB, the last on the right."""
    times = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(1).standard_normal(len(times)) * np.exp(-(times * 3 % 1) / 0.15)
    gain = np.where(times < seconds / 2, -side, side) / 40
    return Sound(0.1 * noise * np.stack([10**-gain, 10**gain]).astype(np.float32), rate)


@pytest.fixture(scope="module", params=["bundled", "open_1_0", "open_small"])
def model(request, tmp_path_factory) -> GenerativeModel:
    """Of each base, with random weights."""
    folder = tmp_path_factory.mktemp("model")
    if request.param == "bundled":
        return load_model(write_model(folder))
    return load_stable_audio(write_release(folder, request.param))


def made(model, seconds: float = SECONDS, **options):
    prompt = None if model.conditioners is None else options.pop("prompt", TEXT)
    scene = SpatialConditioning(crossing(seconds))
    return StereoSyncPipeline(model)(scene, prompt, **{"num_inference_steps": 3, "spatial_guidance": 0.0, **options})


def apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max())


def test_encoding_in_pieces_is_encoding_the_whole(model):
    sound = torch.tensor(placed(14.0).samples)[None]
    with torch.no_grad():
        whole = model.autoencoder.encode(sound)
    pieces = encode(model.autoencoder, sound)
    assert pieces.shape == whole.shape
    assert (pieces - whole).abs().max() < 1e-4 * whole.abs().max()


def test_strength_is_how_far_the_sound_is_left(model):
    """At 0 the latents are the sound's own; the less noise, the nearer they stay."""
    source = source_of(placed(), model, SECONDS)
    assert source is not None
    own = model.denoiser.restored(source.latents(model))
    scale = float(own.abs().max())

    def distance(strength):
        latents = made(model, audio=placed(), strength=strength, envelope=None, control_scale=0.0).latents
        return float((latents - own).square().mean().sqrt()) / scale

    distances = [distance(strength) for strength in (0.05, 0.5, 1.0)]
    assert distances[0] < distances[1] < distances[2]
    if model.conditioners is not None:  # the bundled one's are narrowed to one image afterwards
        torch.testing.assert_close(made(model, audio=placed(), strength=0.0).latents, own)


def test_a_sound_comes_back_as_loud_as_it_was(model):
    """What the latents do not carry goes around the model."""
    soft = Sound(placed().samples * 0.1, RATE)
    loud, quiet = (made(model, audio=one, strength=0.3).samples for one in (placed(), soft))
    assert level_of(loud) - level_of(quiet) == pytest.approx(20, abs=0.5)
    silence = made(model, audio=Sound(np.zeros_like(soft.samples), RATE)).samples
    assert silence.shape == (2, RATE * SECONDS)
    assert np.isfinite(silence).all()


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_schedules_begin_where_denoising_does(name):
    for start in (0.1, 0.5, 0.95, 1.0):
        times = SCHEDULES[name](6, start)
        assert len(times) == 7
        assert times[0] == pytest.approx(start, abs=2e-3 if start == 1 else 1e-9)
        assert times[-1] == 0
        assert all(one > other for one, other in pairwise(times))


@pytest.mark.parametrize(("objective", "name"), [(one, name) for one, known in SAMPLERS.items() for name in known])
def test_what_is_kept_comes_out_as_the_source_by_every_sampler(objective, name):
    generator = torch.Generator().manual_seed(0)
    source, noise = (torch.randn((1, 4, 12), generator=generator) for _ in range(2))
    kept = torch.arange(12) < 5
    seen = []

    def velocity(x, t):
        alpha, sigma = (float(value) for value in alpha_sigma(t, objective))
        if sigma > 1e-3:
            seen.append(((x - alpha * source) / sigma)[..., :5].std())
        return 0.3 * x

    times = SCHEDULES["log_sigma" if objective == "v" else "log_snr"](8, 0.9)
    masked = with_kept(velocity, source, kept, objective)
    x = initial_latents(noise, times[0], objective, source)
    out = SAMPLERS[objective][name](masked, x, times, objective=objective, noise=seeded_noise(noise, generator))
    torch.testing.assert_close(out[..., :5], source[..., :5], atol=1e-5, rtol=1e-5)
    assert (out[..., 5:] - source[..., 5:]).abs().max() > 0.1
    assert 0.5 < float(torch.stack(seen).mean()) < 1.6, "under as much noise as everywhere"
    t = torch.full((1,), 0.5)
    assert torch.allclose(predict_x0(noise, masked(noise, 0.5), t, objective)[..., :5], source[..., :5], atol=1e-5)


def test_samples_outside_of_a_stretch_are_the_source_s_own(model):
    whole = placed()
    edited = made(model, audio=whole, keep=[(0.0, 0.7), (1.2, 2.0)]).samples
    first, last = round(0.7 * RATE), round(1.2 * RATE)
    assert np.array_equal(edited[:, :first], whole.samples[:, :first])
    assert np.array_equal(edited[:, last:], whole.samples[:, last:])
    assert apart(edited[:, first:last], whole.samples[:, first:last]) > 1e-3
    assert np.array_equal(edited, made(model, audio=whole, keep="all but 0.7-1.2").samples)


def test_seams_are_no_louder_or_brighter_than_the_sound_itself(model):
    """Level and spectrum from one side of a seam to the other, against the same differences within a steady sound."""
    noise = 0.05 * np.random.default_rng(2).standard_normal((2, round(SECONDS * RATE)))
    steady = Sound(noise.astype(np.float32), RATE)
    edited = made(model, audio=steady, keep="all but 0.7-1.2", strength=0.02).samples
    step = np.abs(np.diff(edited)).max(0)
    width = round(CROSSFADE * RATE)
    for seam in (0.7, 1.2):
        near = slice(round(seam * RATE) - width, round(seam * RATE) + width)
        assert step[near].max() < 1.3 * step.max()
        assert abs(level_of(edited[:, near]) - level_of(noise)) < max(3.0, spread_of(edited, width))


@pytest.mark.slow
def test_level_and_spectrum_across_a_seam_differ_as_little_as_within_the_sound():
    """Of the bundled model's steps, one of them made anew on another surface: at each edge of the fade, against nine of ten
    moments of the sound that was there."""
    seconds, events = 3.0, Events(tuple(Event(time, "step", 1) for time in (0.3, 0.85, 1.4, 1.95, 2.5)), 3.0)
    scene, pipeline = SpatialConditioning(crossing(seconds)), StereoSyncPipeline(load_model())
    before = Sound(pipeline(scene, events=events, timbre="gravel", seed=1).samples, RATE)
    usual = np.percentile(differences_across(before.samples, np.arange(0.05, seconds - 0.05, 0.005)), 90, axis=0)
    for start, stop in ((0.6, 1.2), (1.23, 1.8)):
        options = {"audio": before, "keep": f"all but {start}-{stop}", "timbre": "wood", "events": events, "seed": 5}
        edited = pipeline(scene, **options).samples
        seams = [start, start + CROSSFADE, stop - CROSSFADE, stop]
        assert (differences_across(edited, seams) <= usual).all()
        inside = slice(round((start + CROSSFADE) * RATE), round((stop - CROSSFADE) * RATE))
        assert apart(edited[:, inside], before.samples[:, inside]) > 1e-3


def differences_across(samples: np.ndarray, moments, width: float = 0.02) -> np.ndarray:
    """dB from the ``width`` seconds before each moment to those after it ``[M, 2]``: of the level, and, this apart, of octaves'
    levels in the mean."""
    count, floor = round(width * RATE), 1e-5 * np.square(samples).max() * round(width * RATE)
    edges = np.maximum(np.round(np.geomspace(125, 16000, 8) * width).astype(int), 1)

    def octaves(part: np.ndarray) -> np.ndarray:
        power = np.square(np.abs(np.fft.rfft(part * np.hanning(count)))).sum(0)
        return np.array([power[low : max(high, low + 1)].sum() for low, high in pairwise(edges)]) + floor

    found = []
    for at in (round(moment * RATE) for moment in moments):
        before, after = octaves(samples[:, at - count : at]), octaves(samples[:, at : at + count])
        level = 10 * np.log10(after.sum() / before.sum())
        found.append((abs(level), np.abs(10 * np.log10(after / before) - level).mean()))
    return np.array(found)


def level_of(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.square(samples).mean()))


def spread_of(samples: np.ndarray, width: int) -> float:
    """dB between the loudest and the softest window in the inside of a sound."""
    levels = [level_of(samples[:, at : at + 2 * width]) for at in range(0, samples.shape[1] - 2 * width, width)]
    return max(levels) - min(levels)


def test_a_shorter_sound_is_continued(model):
    start = placed(1.0)
    longer = made(model, audio=start, keep=[(0.0, 1.0)]).samples
    kept = round((1.0 - CROSSFADE) * RATE) - 1
    assert np.array_equal(longer[:, :kept], start.samples[:, :kept])
    assert longer.shape == (2, RATE * SECONDS)
    assert np.abs(longer[:, RATE:]).max() > 1e-4


def test_takes_are_those_of_their_seeds_and_the_first_is_returned(model):
    batch = made(model, seed=5, takes=3)
    assert [one.seed for one in batch.takes] == [5, 6, 7]
    assert np.array_equal(batch.samples, batch.takes[0].samples)
    for take in batch.takes:
        alone = made(model, seed=take.seed)
        assert apart(take.latents.numpy(), alone.latents.numpy()) < 1e-3 * float(alone.latents.abs().max())
    assert apart(batch.takes[0].samples, batch.takes[1].samples) > 1e-3


def test_takes_of_a_long_clip_go_through_the_same_windows(model):
    model_window, model._window = model._window, 20
    try:
        batch, alone = made(model, seed=1, takes=2), made(model, seed=2)
    finally:
        model._window = model_window
    assert apart(batch.takes[1].latents.numpy(), alone.latents.numpy()) < 1e-3 * float(alone.latents.abs().max())


def test_prompts_over_time_fade_into_each_other(tmp_path):
    model = load_stable_audio(write_release(tmp_path))
    other = TEXT.flip(1) * 0.5
    first, second = made(model, prompt=TEXT).latents, made(model, prompt=other).latents
    both = made(model, prompt=[(0.0, 1.0, TEXT), (1.0, 2.0, other)]).latents
    assert apart(both.numpy(), first.numpy()) > 1e-3
    assert apart(both.numpy(), second.numpy()) > 1e-3
    same = made(model, prompt=[(0.0, 1.0, TEXT), (1.0, 2.0, TEXT)]).latents
    torch.testing.assert_close(same, first, atol=1e-4, rtol=1e-4)
    weights = fades([(0, 1), (1, 2)], np.array([0.1, 0.75, 1.0, 1.25, 1.9]), 2.0)
    np.testing.assert_allclose(weights, [[1, 1, 0.5, 0, 0], [0, 0, 0.5, 1, 1]], atol=1e-6)
    assert timed_texts("0-4 gravel steps; 4-8 wooden stairs") == [(0, 4, "gravel steps"), (4, 8, "wooden stairs")]
    assert timed_texts("80-90 bpm drums") is None


def test_levels_are_put_back_on_another_sound():
    whole = placed().samples
    other = Sound(0.05 * np.random.default_rng(3).standard_normal(whole.shape).astype(np.float32), RATE)
    back = with_levels_of(other.samples, whole)
    assert back.shape == whole.shape
    _, wanted, level, sounding = level_difference(whole, RATE)
    _, found, own, _ = level_difference(back, RATE)
    assert np.abs(found - wanted)[sounding].mean() < 1.0
    change = (own - level)[sounding]
    assert np.abs(change - change.mean()).mean() < 1.5
    assert np.corrcoef(back[0], whole[0])[0, 1] < 0.3, "it stays another sound"


def test_the_sound_s_levels_are_what_it_is_guided_to():
    """By the bundled model, where nothing else places it."""
    model, sound = load_model(), placed(side=12.0)
    options = {"audio": sound, "strength": 0.9, "spatial_scale": 0.0, "num_inference_steps": 8}
    errors = []
    for strength in (0.0, 1.0):
        out = made(model, spatial_guidance=strength, **options).samples
        _, wanted, _, sounding = level_difference(sound.samples, RATE)
        _, found, _, _ = level_difference(out, RATE)
        errors.append(float(np.abs(found - wanted)[sounding].mean()))
    assert errors[1] < 3.0
    assert errors[1] < errors[0]
    assert LevelLocaliser()(made(model, spatial_guidance=1.0, **options).samples, RATE).sounding.any()


def test_what_does_not_fit_is_one_clear_error(model):
    mono, slow = Sound(placed().samples[:1], RATE), placed(rate=48000)
    for word, options in {
        r"has 1 channel\(s\)": {"audio": mono},
        "48000 samples a second": {"audio": slow},
        r"lasts 1.00 s, the clip 2.00 s": {"audio": placed(1.0)},
        "lasts 3.00 s": {"audio": placed(3.0)},
        "strength is 1.5": {"audio": placed(), "strength": 1.5},
        "strength is -0.1": {"audio": placed(), "strength": -0.1},
        "strength is nan": {"audio": placed(), "strength": float("nan")},
        r"has 3 channel\(s\)": {"audio": Sound(np.concatenate([placed().samples, mono.samples]), RATE)},
        "no sound to keep": {"keep": [(0.0, 1.0)]},
        "does not lie in the clip": {"audio": placed(), "keep": [(1.0, 9.0)]},
        "0 takes": {"takes": 0},
        "is not understood": {"audio": placed(), "keep": "the first half"},
    }.items():
        refused(word, made, model, **options)


def test_stretches_of_a_text():
    assert stretches_of_text("0-2, 3.5-4", 8.0) == [(0, 2), (3.5, 4)]
    assert stretches_of_text("3-; 0-1.5s", 8.0) == [(0, 1.5), (3, 8)]
    assert stretches_of_text("all but 2-3", 8.0) == [(0, 2), (3, 8)]
    assert stretches_of_text("0-2, 1-3", 8.0) == [(0, 3)]
    assert stretches_of_text("", 8.0) == []
    events = Events((Event(1.0, "step", 1), Event(1.5, "clap", 1), Event(3.0, "step", 1)), 4.0)
    assert all_but_event(events, 1) == "all but 0.950-1.450"
    assert all_but_event(events, 3) == "all but 2.950-3.600"
    refused("no event 4", all_but_event, events, 4)
    assert kept_frames([(0.0, 0.5)], 4, 4.0).tolist() == [True, True, False, False]


def test_the_envelope_of_the_sound_is_followed_where_none_is_given(tmp_path):
    model = load_model(write_model(tmp_path))
    source = source_of(placed(), model, SECONDS)
    assert source is not None
    given = made(model, audio=placed(), envelope=source.envelope).samples
    assert np.array_equal(made(model, audio=placed()).samples, given)
    other = Envelope(np.ones(3) * 0.05, np.array([0.0, 1.0, 2.0]))
    assert apart(made(model, audio=placed(), envelope=other).samples, given) > 1e-3
    assert decode(model.autoencoder, made(model, audio=placed()).latents, 10).shape == (2, 10)
