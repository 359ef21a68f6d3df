"""Timing, distance, Frechet distance, embeddings on sounds whose answers are known."""

import json

import numpy as np
import pytest
import scipy.linalg

from research.evaluation.embeddings import PictureEmbedding, audio_embedding, balance, joint
from research.small_model import write_clap
from stereosync_core.metrics.distance import StepLevels, distance_score, step_levels
from stereosync_core.metrics.frechet import frechet_distance, frechet_infinite
from stereosync_core.metrics.timing import OnsetCounts, envelope_l1, onset_counts, onsets, rms_curve
from stereosync_core.model.conditioning.clap import ClapEmbedding
from stereosync_core.sound_embedding import embed_aisfx, mel_filters
from tests.errors import refused
from tests.unit.metric_scenes import RATE, STEPS, defined, placed, walk

FLAT = lambda _: 0.2  # noqa: E731


def test_the_rms_curve_is_that_of_centred_frames():
    sound = np.random.default_rng(0).standard_normal((2, 5000))
    padded = np.pad(sound.mean(0), 256)
    frames = [padded[128 * n : 128 * n + 512] for n in range(1 + 5000 // 128)]
    assert np.abs(rms_curve(sound) - [np.sqrt(np.mean(frame**2)) for frame in frames]).max() < 1e-9


def test_e_l1_of_equal_sounds_is_zero_of_half_as_loud_half_the_level_and_of_silence_all_of_it():
    sound = placed(FLAT, STEPS)
    assert envelope_l1(sound, sound) == 0.0
    whole = envelope_l1(np.zeros_like(sound), sound)
    assert whole == pytest.approx(rms_curve(sound).mean())
    assert envelope_l1(sound / 2, sound) == pytest.approx(whole / 2)
    assert envelope_l1(sound[::-1], sound) == pytest.approx(0.0, abs=1e-12), "place does not count, only the mono mix"
    late = placed(FLAT, STEPS, late=0.2)
    assert envelope_l1(late, sound) > 0.8 * whole


def test_a_little_shorter_is_continued_with_silence():
    sound = placed(FLAT, STEPS)
    assert envelope_l1(sound[:, : -RATE // 10], sound) == pytest.approx(0.0, abs=1e-4)


def test_onsets_of_steps_are_found_to_a_few_milliseconds():
    found = onsets(placed(FLAT, STEPS), RATE)
    assert len(found) == len(STEPS)
    assert np.abs(found - STEPS).max() < 0.012
    assert onset_counts(STEPS, found).f1 == 1.0


def test_a_soft_second_strike_is_one_step_with_the_first():
    heel_and_toe = np.sort(np.concatenate([STEPS, STEPS + 0.09]))
    gain = np.where(np.isin(heel_and_toe, STEPS), 0.3, 0.15)
    assert onset_counts(STEPS, onsets(placed(FLAT, heel_and_toe, gain=gain), RATE)).f1 == 1.0


@pytest.mark.parametrize(("late", "f1"), [(0.04, 1.0), (0.2, 0.0)])
def test_late_onsets_count_up_to_fifty_milliseconds(late, f1):
    assert onset_counts(STEPS, onsets(placed(FLAT, STEPS, late=late), RATE)).f1 == f1


def test_silence_has_no_onsets_and_a_score_of_zero_only_where_there_was_something_to_find():
    none = onsets(np.zeros((2, RATE)), RATE)
    assert len(none) == 0
    assert onset_counts(STEPS, none).f1 == 0.0
    assert onset_counts(none, none).f1 is None


def test_steps_that_the_picture_does_not_show_are_neither_asked_for_nor_wrong():
    assert onset_counts(STEPS[:4], STEPS, ignored=STEPS[4:]) == OnsetCounts(4, 4, 4)
    assert onset_counts(STEPS[:4], STEPS[:4], ignored=STEPS[4:]).f1 == 1.0
    assert onset_counts(STEPS[:4], STEPS + 0.02, ignored=STEPS[2:]).f1 == 1.0


def far(steps, slope=-6.0):
    distance = 2.0 * 2 ** np.linspace(0, 2, len(steps))
    truth, _ = walk(steps=steps, distance=distance)
    sound = placed(FLAT, steps, gain=0.3 * 10 ** (slope * np.log2(distance / 2) / 20))
    return truth, sound


def test_level_that_falls_with_distance_scores_one_and_tells_its_slope():
    truth, sound = far(STEPS)
    score = distance_score(step_levels(sound, RATE, truth))
    assert defined(score.level) > 0.9
    assert (score.level_slope, score.steps) == (pytest.approx(-6.0, abs=1.0), len(STEPS))


def test_level_that_rises_with_distance_scores_minus_one():
    truth, sound = far(STEPS, slope=6.0)
    assert defined(distance_score(step_levels(sound, RATE, truth)).level) < -0.9


def test_loudness_of_a_clip_or_a_walker_says_nothing_about_distance():
    truth, sound = far(STEPS)
    near, loud = step_levels(sound, RATE, truth), step_levels(10 * sound, RATE, truth)
    assert distance_score(near + loud).level == pytest.approx(distance_score(near).level, abs=0.05)


def test_the_direct_part_falls_with_distance_in_a_room():
    truth, sound = far(STEPS, slope=-6.0)
    room = np.zeros_like(sound)
    generator = np.random.default_rng(7)
    for step in STEPS:  # a tail that is as loud at any distance
        first = round((step + 0.03) * RATE)
        tail = 0.004 * generator.standard_normal((2, round(0.3 * RATE)))
        room[:, first : first + tail.shape[1]] += tail[:, : room.shape[1] - first]
    dry, wet = (distance_score(step_levels(one, RATE, truth)) for one in (sound, sound + room))
    assert defined(wet.direct) > 0.8
    assert defined(wet.direct_slope) < -2
    assert abs(dry.direct_slope) < 1.5


def test_silence_too_few_steps_and_no_variation_have_no_distance_score():
    truth, sound = far(STEPS)
    silent = distance_score(step_levels(np.zeros_like(sound), RATE, truth))
    assert (silent.level, silent.level_slope, silent.steps) == (None, None, 0)
    few = walk(steps=STEPS[:2], distance=np.array([1.0, 2.0]))[0]
    assert distance_score(step_levels(sound, RATE, few)).level is None
    same = StepLevels(1, np.zeros(5), np.arange(5.0), np.zeros(5))
    assert distance_score([same]).level is None


def scipy_frechet(first, second):
    """The definition, with scipy's Schur-based square root of the product of covariances."""
    means, covariances = [one.mean(0) for one in (first, second)], [np.cov(one, rowvar=False) for one in (first, second)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1])
    return float(((means[0] - means[1]) ** 2).sum() + np.trace(covariances[0] + covariances[1] - 2 * np.real(root)))


@pytest.mark.parametrize("seed", range(4))
def test_the_distance_is_scipy_s_to_one_part_in_a_million(seed):
    generator = np.random.default_rng(seed)
    mix = generator.standard_normal((2, 24, 24))
    first = generator.standard_normal((400, 24)) @ mix[0] + generator.standard_normal(24)
    second = generator.standard_normal((300, 24)) @ mix[1]
    known = scipy_frechet(first, second)
    assert frechet_distance(first, second) == pytest.approx(known, rel=1e-6)


def test_the_distance_of_gaussians_is_the_analytic_one():
    mean, deviations = np.array([1.0, -2.0, 0.5]), np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 0.5]])
    wanted = (mean**2).sum() + ((deviations[0] - deviations[1]) ** 2).sum()
    # windows whose covariance is diag(one^2)
    windows = [np.concatenate([np.diag(one), -np.diag(one)]) * 2.5**0.5 for one in deviations]
    assert frechet_distance(windows[0] + mean, windows[1]) == pytest.approx(wanted, abs=1e-9)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    assert frechet_distance((windows[0] + mean) @ turn, windows[1] @ turn) == pytest.approx(wanted, abs=1e-9)


def test_fewer_windows_than_features_do_no_harm():
    generator = np.random.default_rng(1)
    first, second = generator.standard_normal((10, 40)), generator.standard_normal((12, 40))
    apart, covariances = first.mean(0) - second.mean(0), [np.cov(one, rowvar=False) for one in (first, second)]
    root = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).real.clip(0)).sum()
    known = apart @ apart + np.trace(covariances[0] + covariances[1]) - 2 * root
    assert frechet_distance(first, second) == pytest.approx(known, rel=1e-6)
    assert frechet_distance(first, first) == pytest.approx(0.0, abs=1e-9)


def test_extrapolation_takes_away_most_of_the_bias_of_few_windows():
    generator = np.random.default_rng(2)
    apart = np.zeros(16)
    apart[0] = 1.0
    pairs = [(generator.standard_normal((400, 16)) + apart, generator.standard_normal((400, 16))) for _ in range(12)]
    found = [frechet_infinite(*pair) for pair in pairs]
    assert {one.windows for one in found} == {(400, 400)}
    value, biased = np.mean([one.value for one in found]), np.mean([one.biased for one in found])
    assert biased > 1.12
    assert value == pytest.approx(1.0, abs=0.06)
    equal = frechet_infinite(generator.standard_normal((400, 16)), generator.standard_normal((400, 16)))
    assert abs(equal.value) < 0.1 < equal.biased


FOUR_SECONDS = np.zeros((2, RATE * 4))


@pytest.mark.parametrize(
    ("metric", "given", "words"),
    [
        (envelope_l1, (FOUR_SECONDS, np.zeros((2, RATE * 3)), RATE, RATE), "same clip"),
        (envelope_l1, (FOUR_SECONDS, FOUR_SECONDS, RATE, 48000), "resample"),
        (envelope_l1, (FOUR_SECONDS, FOUR_SECONDS, 48000, 48000), "resample"),
        (envelope_l1, (FOUR_SECONDS, np.full((2, RATE * 4), np.nan), RATE, RATE), "reference contains NaN"),
        (envelope_l1, (FOUR_SECONDS, np.zeros((2, 0)), RATE, RATE), "shape"),
        (frechet_distance, (np.zeros((1, 4)), np.zeros((9, 4))), "at least two"),
        (frechet_distance, (np.zeros((9, 4)), np.zeros((9, 5))), "one embedding"),
        (frechet_distance, (np.full((9, 4), np.nan), np.zeros((9, 4))), "NaN"),
        (frechet_distance, (np.zeros(9), np.zeros((9, 4))), "windows, features"),
        (frechet_infinite, (np.zeros((8, 4)), np.ones((8, 4))), "too few to extrapolate"),
        (joint, (np.ones((2, 3)), np.array([0.5]), np.ones((5, 2)), np.arange(5.0)), "one time"),
        (embed_aisfx, (np.full((2, RATE), np.nan), RATE), "NaN"),
    ],
)
def test_what_cannot_be_measured_is_refused(metric, given, words):
    refused(words, metric, *given)


def test_the_joint_form_sets_picture_features_beside_sound_at_the_same_time():
    video = np.stack([np.arange(5.0), 10 * np.arange(5.0)], axis=1)
    both = joint(np.ones((2, 3)), np.array([0.5, 2.25]), video, np.arange(5.0))
    assert both.tolist() == [[1, 1, 1, 0.5, 5.0], [1, 1, 1, 2.25, 22.5]]
    reference = np.random.default_rng(0).standard_normal((50, 5)) * [1, 1, 1, 100, 100]
    scaled = reference * balance(reference, 3)
    assert scaled[:, :3].var(0).sum() == pytest.approx(scaled[:, 3:].var(0).sum())


def test_the_mel_filters_are_triangles_of_sum_one():
    filters = mel_filters().numpy()
    assert filters.shape == (96, 1025)
    assert filters.sum(1) == pytest.approx(1.0)
    peaks = filters.argmax(1)
    assert (np.diff(peaks) >= 0).all()
    mel = 2595 * np.log10(1 + np.fft.rfftfreq(2048, 1 / 44100)[peaks[20:]] / 700)
    assert np.abs(np.diff(mel) - 2595 * np.log10(1 + 22050 / 700) / 97).max() < 35, "evenly spread on the mel scale"


def test_the_bundled_embedding_gives_windows_with_times_and_does_not_depend_on_loudness():
    sound = placed(FLAT, STEPS)
    features, times = embed_aisfx(sound, RATE)
    assert features.shape == (2, 512)
    assert np.diff(times) == pytest.approx(50 * 1024 / 44100)
    softer, _ = embed_aisfx(sound / 7, RATE)
    assert np.abs(features - softer).max() < 1e-3 * np.abs(features).max()
    other, _ = embed_aisfx(np.random.default_rng(0).standard_normal((2, 4 * RATE)), RATE)
    assert np.linalg.norm(other - features) > 0.5 * np.linalg.norm(features)


def test_short_and_silent_sound_have_one_finite_window():
    for sound in (np.zeros((2, RATE // 2)), placed(FLAT, [0.05])[:, : RATE // 3]):
        features, _ = embed_aisfx(sound, RATE)
        assert features.shape == (1, 512)
        assert np.isfinite(features).all()


def test_clap_and_a_vision_encoder_come_from_folders_of_their_own(tmp_path):
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    write_clap(tmp_path / "clap")
    features, times = ClapEmbedding(tmp_path / "clap")(placed(FLAT, STEPS), RATE)
    assert features.shape == (3, 8)
    assert times == pytest.approx([1.0, 2.0, 3.0])
    assert np.isfinite(features).all()
    ViTModel(ViTConfig(**small, image_size=32, patch_size=16)).save_pretrained(tmp_path / "vit")
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "vit")
    frames = np.random.default_rng(0).integers(0, 255, (5, 40, 60, 3), dtype=np.uint8)
    assert PictureEmbedding(tmp_path / "vit")(frames).shape == (5, 16)


def test_a_folder_that_is_no_model_and_an_unknown_embedding_are_refused(tmp_path):
    refused(r"config\.json", ClapEmbedding, tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clap"}))
    refused("cannot be loaded", ClapEmbedding, tmp_path)
    refused("choose aisfx", audio_embedding, "vggish")
