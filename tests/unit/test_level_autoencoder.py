"""The autoencoder of levels and components, and the timbre of any sound."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from research.measurements.measure_autoencoder import level_errors, round_trip
from research.training import components
from research.training.components import ComponentsTask, drawn_crops, hop_energy
from stereosync_core.metrics.sync import attacks
from stereosync_core.model.attacks import moments_of
from stereosync_core.model.conditioning.features import event_features
from stereosync_core.model.conditioning.sound_timbre import SoundTimbre
from stereosync_core.model.folder import in_eight_bits, read_weights, save_part
from stereosync_core.model.level_autoencoder import BANDS, DETAIL_EDGES, LevelAutoencoder, LevelAutoencoderConfig, decibels_of
from stereosync_core.model.loader import bundled_folder, load_autoencoder
from stereosync_core.scene_events import Event, Events
from tests.errors import refused


def test_crops_sound_and_are_drawn_again_by_the_same_seed():
    bank = torch.zeros(300_000, dtype=torch.int16)
    bank[200_000:260_000] = (3000 * torch.randn(60_000)).to(torch.int16)
    one, other = (drawn_crops(bank, hop_energy(bank), 6, 8192, torch.Generator().manual_seed(3), choices=12) for _ in range(2))
    assert torch.equal(one, other)
    assert (one.abs().amax(1) > 0.02).all()
    assert (one.abs().amax(1) < 0.91).all()


@pytest.fixture(scope="module")
def codec() -> LevelAutoencoder:
    """Components of noises of several colours, some of which ring, each dying away."""
    task = ComponentsTask.__new__(ComponentsTask)
    task.model = LevelAutoencoderConfig(shape=16, detail=16)
    generator = np.random.default_rng(0)
    since = np.arange(20_000) / 44100
    noises = [generator.standard_normal(20_000) * np.exp(-since / fall) for fall in (0.01, 0.03, 0.1)]
    coloured = [lfilter([1], [1, -pole], noise) for noise in noises for pole in (0.0, 0.5, 0.9, -0.5)]
    coloured += [ringing(noises[2], frequency) for frequency in (3000, 6000, 9000, 12_000)]
    task.bank = torch.from_numpy(np.concatenate([9000 * one / np.abs(one).max() for one in coloured]).astype(np.int16))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(components, "_DRAWS", 15)
        return task.fit()


def ringing(noise: np.ndarray, frequency: float) -> np.ndarray:
    """Noise with a narrow band some 14 dB above the rest."""
    radius, turn = 0.99, 2 * np.pi * frequency / 44100
    poles: list[float] = [1.0, -2 * radius * float(np.cos(turn)), radius**2]
    return noise + 5 * (1 - radius) * np.asarray(lfilter([1.0, 0.0, -1.0], poles, noise))


def test_a_narrow_band_rings_as_it_did(codec):
    noise = np.random.default_rng(5).standard_normal(32768) * np.exp(-np.arange(32768) / 12_000)
    wanted = np.float32(0.02 * ringing(noise, 9000))
    latents = codec.encode(torch.from_numpy(np.stack([wanted, 0.3 * wanted]))[None])
    plain = latents.unflatten(1, (2, -1)).clone()
    plain[:, :, codec.config.channel : -len(BANDS)] = 0
    errors = []
    for given in (latents, plain.flatten(1, 2)):
        made = codec.decode(given)[0, 0].numpy()
        powers = [(np.abs(np.fft.rfft(sound.reshape(-1, 1024))) ** 2).mean(0) for sound in (wanted, made)]
        bands = np.array([[power[low:high].mean() for low, high in pairwise(DETAIL_EDGES)][70:] for power in powers])
        errors.append(np.abs(10 * np.log10(bands[0] / bands[1])).mean())
    assert errors[0] < 0.6 * errors[1]


def test_the_round_trip_keeps_levels_colours_and_attacks():
    codec = load_autoencoder(bundled_folder())
    generator = np.random.default_rng(1)
    burst = generator.standard_normal(9_000) * np.exp(-np.arange(9_000) / 1500)
    mono = np.zeros(30_000)
    mono[12_345:21_345] = 0.2 * np.asarray(lfilter([1], [1, -0.9], burst))
    wanted, made = round_trip(codec, np.stack([mono, 0.3 * mono]).astype(np.float32))
    level, difference = level_errors(made, wanted, 44100)
    assert level < 0.3
    assert difference < 0.05
    latents = codec.encode(torch.from_numpy(wanted)[None])
    others = [codec.decode(latents, start)[0].numpy() for start in (40, 80, 120)]  # under noise of their own
    colours = [np.abs(np.fft.rfft(sound[0, 12_345:14_393])) ** 2 for sound in (wanted, made, *others)]
    octaves = np.array([[power[2**n : 2 ** (n + 1)].sum() for n in range(2, 10)] for power in colours])
    assert np.abs(10 * np.log10(octaves[0] / octaves[1:].mean(0))).mean() < 2.0
    assert np.abs(made[0, :12_200]).max() < 0.05 * np.abs(made).max(), "nothing before the attack"


def test_a_sound_from_one_place_stays_there(codec):
    sound = torch.randn((1, 1, 16384)) * torch.exp(-torch.arange(16384) / 3000)
    stereo = torch.cat([0.2 * sound, 0.02 * sound], dim=1)
    with torch.no_grad():
        made = codec.decode(codec.encode(stereo))[0]
    middle = made[:, 2048:10240]
    assert torch.corrcoef(middle)[0, 1] > 0.999
    assert 20 * (middle.square().mean(1).sqrt()).log10().diff().abs() == pytest.approx(20.0, abs=0.3)


def test_the_latents_say_how_loud_each_channel_is(codec):
    sound = 0.1 * torch.randn((1, 2, 16384)) * torch.tensor([1.0, 0.1])[:, None]
    levels = codec.stereo_levels(codec.encode(sound))
    torch.testing.assert_close(levels, decibels_of(sound, 512), atol=0.05, rtol=0)


def test_the_noise_is_that_of_its_place_in_the_whole(codec):
    latents = torch.randn((1, codec.latent_channels, 12))
    with torch.no_grad():
        whole, part = codec.decode(latents, 5), codec.decode(latents[:, :, 4:], 9)
    torch.testing.assert_close(whole[:, :, 6 * 2048 : 10 * 2048], part[:, :, 2 * 2048 : 6 * 2048], atol=1e-3, rtol=1e-2)
    with torch.no_grad():
        assert (codec.decode(latents, 50) - whole).abs().max() > 0.05 * whole.abs().max(), "other noise at another place"


def lively_timbre() -> SoundTimbre:
    encoder = SoundTimbre(["gravel", "dog"], 16)
    encoder.directions.normal_(generator=torch.Generator().manual_seed(0))
    return encoder


def test_the_timbre_of_a_sound_does_not_depend_on_place_loudness_or_rate():
    encoder = lively_timbre()
    sound = np.random.default_rng(0).standard_normal((1, 44100)).cumsum(axis=1) * 1e-3
    vector = encoder.of_sound(sound, 44100)
    assert vector.norm() == pytest.approx(4.0, rel=1e-3)
    placed = np.concatenate([sound * 0.02, sound * 0.3])
    torch.testing.assert_close(encoder.of_sound(placed, 44100), vector, atol=1e-2, rtol=1e-2)


def test_a_silent_reference_and_a_name_that_is_not_known_are_refused():
    refused("reference", lively_timbre().of_sound, np.zeros((1, 100)), 44100)
    refused("lava", lively_timbre().of_name, "lava")


def test_events_stand_in_their_part_of_a_latent_frame():
    features = event_features(
        Events((Event(0.26, "step", 1, strength=0.5), Event(0.9, "step", 2, strength=0.8)), 1.0), 10, 10.0
    )
    assert features.shape == (5, 10)
    assert features[:4].count_nonzero() == 2
    assert features[2, 2] == 0.5
    assert features[4, 2] == pytest.approx(2 * 0.4 - 1)
    assert features[0, 9] == pytest.approx(0.8)


def test_weights_in_eight_bits_come_back_nearly_as_they_were(tmp_path):
    weights = {"one.weight": torch.randn(80, 60), "one.bias": torch.randn(80), "components": torch.randn(80, 60)}
    save_part(tmp_path, "part", {}, weights)
    from safetensors.torch import save_file

    save_file(in_eight_bits(weights), tmp_path / "small.safetensors")
    back = read_weights(tmp_path, "small")
    assert (tmp_path / "small.safetensors").stat().st_size < 0.8 * (tmp_path / "part.safetensors").stat().st_size
    assert set(back) == set(weights)
    assert (back["one.weight"] - weights["one.weight"]).abs().max() < 0.02
    torch.testing.assert_close(back["components"], weights["components"], atol=2e-3, rtol=2e-3)


def test_narrowed_latents_keep_their_levels_and_become_one_image(codec):
    sound = torch.randn((1, 2, 16384), generator=torch.Generator().manual_seed(4)) * torch.tensor([0.1, 0.02])[:, None]
    latents = codec.encode(sound)
    narrow = codec.narrowed(latents, 0.0)
    torch.testing.assert_close(codec.stereo_levels(narrow), codec.stereo_levels(latents))
    torch.testing.assert_close(codec.narrowed(latents, 1.0)[:, : codec.config.channel], latents[:, : codec.config.channel])
    wide, one = (np.corrcoef(codec.decode(given)[0].numpy())[0, 1] for given in (latents, narrow))
    assert wide < 0.3
    assert one > 0.99


def test_an_attack_that_neither_events_nor_the_course_have_is_levelled_out(codec):
    """A burst at 0.2 s, which happens, and one in its decay, which does not: the course falls throughout."""
    times = torch.arange(32768) / 44100
    shape = torch.where(times < 0.2, 1e-3, torch.exp(-(times - 0.2) / 0.06) + 1e-3)
    noise = 0.1 * torch.randn(32768, generator=torch.Generator().manual_seed(7)) * shape
    latents = codec.encode((noise * torch.where(times < 0.303, 1.0, 20.0)).expand(1, 2, -1))
    course = 10 ** (decibels_of(noise[None], 512)[0] / 20)

    def found(*events: float) -> np.ndarray:
        known = moments_of(events, (np.arange(64) + 0.5) * 512 / 44100)
        levelled = codec.levelled(latents, course, torch.from_numpy(known) if events else None)
        return attacks(codec.decode(levelled)[0].numpy(), 44100)

    assert len(found()) == 2
    assert found(0.2) == pytest.approx([0.2], abs=0.015)
    assert len(found(0.2, 0.303)) == 2, "where something happens its attack stays"


def test_levels_follow_a_course_and_rests_are_low(codec):
    sound = torch.randn((1, 2, 32768), generator=torch.Generator().manual_seed(5)) * torch.tensor([0.05, 0.025])[:, None]
    latents = codec.encode(sound)
    course = torch.zeros(64)
    course[16:32], course[40:48] = 0.05, 0.025
    levels = codec.stereo_levels(codec.levelled(latents, course))[0]
    assert (levels[0] - levels[1]).mean() == pytest.approx(6.0, abs=0.5)
    assert (levels[0, 18:30].mean() - levels[0, 41:47].mean()) == pytest.approx(6.0, abs=0.5)
    assert (levels[0, 18:30].mean() - levels[0, 50:].mean()) > 44
    assert torch.equal(codec.levelled(latents, torch.zeros(64)), latents), "a silent course says nothing"
