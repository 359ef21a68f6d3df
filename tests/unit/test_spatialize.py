"""Sound placed where things are."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt
from scipy.signal.windows import blackmanharris

from stereosync_core import DepthSequence, SpatializeSettings, Track, Tracks
from stereosync_core.rendering.analysis import level_difference, placement_correlation
from stereosync_core.rendering.footsteps import render_footsteps
from stereosync_core.rendering.gait import steps_from_cadence
from stereosync_core.rendering.panning import MovingDelay, interaural_time_difference, pan_gains
from stereosync_core.rendering.room import air_gain, distance_gain
from stereosync_core.rendering.spatialize import spatialize as render
from tests.errors import refused, stopped

RATE = 48000
Way = float | Callable[[np.ndarray], np.ndarray]
each_mode = pytest.mark.parametrize("mode", ["pan", "binaural"])
DRY = {"room": 0.0, "air": False, "distance": 0.0}


def spatialize(voices, rate, tracks, *, duration=None, depth=None, seed=0, progress=None, **settings):
    chosen, duration = SpatializeSettings(**settings), tracks.duration if duration is None else duration
    return render(voices, rate, tracks, chosen, duration=duration, depth=depth, seed=seed, progress=progress)


def track(azimuth: Way, seconds: float, id: int = 0, height: Way = 0.5, fps: float = 30.0) -> Track:
    """An object whose azimuth (and height in the frame) is a number or a function of seconds."""
    times = np.arange(0, seconds + 1e-9, 1 / fps)
    x, h = (way(times) if callable(way) else np.full(times.shape, way) for way in (azimuth, height))
    x = (x + 1) / 2
    return Track(id, "person", times, np.stack([x - 0.05, 0.95 - h, x + 0.05, 0.95 + 0 * x], axis=1))


def scene(azimuth: Way, seconds: float, **options) -> Tracks:
    return Tracks((track(azimuth, seconds, **options),), seconds)


def noise(seconds: float, rate: int = RATE, count: int = 1, channels: int = 1, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (0.1 * generator.standard_normal((count, channels, round(seconds * rate)))).astype(np.float32)


def walk(seconds: float, rate: int = RATE, surface: str = "concrete") -> np.ndarray:
    return render_footsteps(steps_from_cadence(1.9, seconds, seed=3), surface, seconds, rate)[None]


def decibels(signal: np.ndarray) -> np.ndarray:
    return 10 * np.log10((np.asarray(signal, dtype=np.float64) ** 2).mean(-1) + 1e-20)


def lag(stereo: np.ndarray, rate: int) -> float:
    """Seconds by which the left channel comes later, by cross-correlation on a finer grid."""
    size, finer = stereo.shape[1], 8
    cross = np.fft.rfft(stereo[0], 2 * size) * np.fft.rfft(stereo[1], 2 * size).conj()
    correlation = np.fft.fftshift(np.fft.irfft(cross, 2 * size * finer))
    return float(correlation.argmax() - size * finer) / (rate * finer)


@each_mode
def test_what_is_on_the_right_is_louder_on_the_right(mode):
    for azimuth, sign in ((0.7, 1), (-0.7, -1), (0.2, 1)):
        out = spatialize(noise(1), RATE, scene(azimuth, 1), mode=mode)
        assert sign * (decibels(out[1]) - decibels(out[0])) > 1


@each_mode
def test_the_middle_is_the_middle(mode):
    out = spatialize(noise(1), RATE, scene(0.0, 1), mode=mode, room=0.0)
    assert abs(decibels(out[1]) - decibels(out[0])) < 0.1


def test_power_stays_constant_across_a_sweep():
    out = spatialize(noise(10), RATE, scene(lambda t: -1 + 0.2 * t, 10), **DRY)
    levels = decibels((out.astype(np.float64) ** 2).sum(0).reshape(20, -1) ** 0.5)
    assert np.ptp(levels) < 0.5
    assert levels.mean() == pytest.approx(float(decibels(noise(10)[0, 0])), abs=0.2)


def test_the_level_difference_grows_all_the_way_to_the_edges():
    azimuth = np.linspace(-1, 1, 41)
    left, right = pan_gains(azimuth)
    np.testing.assert_allclose(left**2 + right**2, 1)
    difference = 20 * np.log10(right / left)
    assert (np.diff(difference) > 0.4).all()
    assert difference[-1] == pytest.approx(24, abs=0.1)
    assert left[20] == pytest.approx(np.sqrt(0.5))


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("azimuth", [-0.9, -0.4, 0.0, 0.6, 1.0])
def test_the_far_ear_hears_later_by_woodworths_formula(azimuth, rate):
    place = scene(azimuth, 0.5)
    out = spatialize(noise(0.5, rate), rate, place, duration=0.5, **DRY)
    expected = float(interaural_time_difference(np.array(azimuth * np.pi / 2)))
    assert lag(out, rate) == pytest.approx(expected, abs=1 / rate)
    without = spatialize(noise(0.5, rate), rate, place, time_difference=False, **DRY)
    assert lag(without, rate) == pytest.approx(0, abs=0.2 / rate)


def test_the_binaural_time_difference_is_that_of_the_field_of_view():
    bass = sosfiltfilt(butter(4, 1200, fs=RATE, output="sos"), noise(1)[0]).astype(np.float32)[None]
    place = scene(1.0, 1)
    narrow = lag(spatialize(bass, RATE, place, mode="binaural", field_of_view=60, **DRY), RATE)
    wide = lag(spatialize(bass, RATE, place, mode="binaural", field_of_view=120, **DRY), RATE)
    assert 0.0002 < narrow < 0.00035
    assert 0.0004 < wide < 0.00065


def test_width_zero_puts_all_in_the_middle():
    out = spatialize(noise(1), RATE, scene(0.9, 1), width=0.0, room=0.0)
    np.testing.assert_allclose(out[0], out[1], atol=1e-6)


@pytest.mark.parametrize("surface", ["concrete", "wood", "metal", "gravel", "snow"])
@each_mode
@pytest.mark.parametrize("rate", [44100, 48000])
def test_level_differences_follow_a_walker_with_all_defaults(mode, surface, rate):
    walker = track(lambda t: 0.9 * np.cos(2 * np.pi * t / 12), 12, height=lambda t: 0.4 + 0.2 * np.sin(t))
    out = spatialize(walk(12, rate, surface), rate, Tracks((walker,), 12.0), mode=mode)
    assert placement_correlation(out, rate, walker) > 0.95


@each_mode
@pytest.mark.parametrize("frequency", [300, 1000, 8000])
def test_a_pure_tone_in_fast_motion_stays_clean(mode, frequency):
    tone = (0.5 * np.sin(2 * np.pi * frequency * np.arange(4 * RATE) / RATE)).astype(np.float32)[None, None]
    dancer = scene(lambda t: 0.95 * np.sin(2 * np.pi * t), 4)
    out = spatialize(tone, RATE, dancer, mode=mode)[:, RATE // 2 : -RATE // 2]
    power = np.abs(np.fft.rfft(out * blackmanharris(out.shape[1]))) ** 2
    # amplitude and Doppler modulation of ears and walls stay within 60 Hz and 6 %
    band = np.abs(np.fft.rfftfreq(out.shape[1], 1 / RATE) - frequency) < max(60, 0.06 * frequency)
    assert (10 * np.log10(power[:, ~band].sum(1) / power[:, band].sum(1)) < -50).all()


def test_the_moving_delay_is_exact_to_a_fraction_of_a_sample():
    place = np.arange(2000.0)
    for frequency in (0.01, 0.1, 0.3, 0.4):  # of the sampling rate
        delay = MovingDelay(np.sin(2 * np.pi * frequency * np.arange(2100)))
        moving = place + 40 + 0.01 * place + 3 * np.sin(place / 300)
        inside = (moving > 20) & (moving < 2070)
        np.testing.assert_allclose(delay.read(moving)[inside], np.sin(2 * np.pi * frequency * moving)[inside], atol=1e-3)


def test_twice_the_distance_is_six_decibels_within_bounds():
    gain = 20 * np.log10(distance_gain(np.array([0.9, 1.0, 1.1, 2.0])))
    assert gain[1] == 0
    assert gain[0] == pytest.approx(-20 * np.log10(0.9), abs=0.05)
    assert gain[3] == pytest.approx(-6, abs=0.6)
    extremes = 20 * np.log10(distance_gain(np.array([0.01, 100.0])))
    np.testing.assert_allclose(extremes, [9, -12], atol=0.4)
    np.testing.assert_allclose(distance_gain(np.array([0.1, 5.0]), amount=0.0), 1)
    assert (np.diff(air_gain(np.linspace(0.2, 5, 20))) <= 0).all()


def test_the_far_walker_is_softer_duller_and_more_reverberant():
    far, near = track(0.0, 2, 0, height=0.2), track(0.0, 2, 1, height=0.6)
    both = Tracks((far, near), 2)
    burst = noise(2)
    burst[:, :, 4800:] = 0
    hum = [np.concatenate([burst, 0 * burst]), np.concatenate([0 * burst, burst])]
    away, close = (spatialize(voices, RATE, both, room=0.5, distance=1.0) for voices in hum)
    direct = [decibels(out[:, :4800]).mean() for out in (away, close)]
    assert direct[1] - direct[0] == pytest.approx(20 * np.log10(3), abs=2.5)
    tail = [decibels(out[:, 7200:24000]).mean() for out in (away, close)]
    assert (tail[0] - direct[0]) - (tail[1] - direct[1]) > 4

    def brightness(out):
        power = np.abs(np.fft.rfft(out[0, :4800])) ** 2
        return power[1000:].sum() / power[:300].sum()

    assert brightness(away) < 0.75 * brightness(close)


def test_depth_maps_decide_the_distance_where_given():
    ramp = np.linspace(0, 1, 60, dtype=np.float32)
    depth = DepthSequence(np.broadcast_to(ramp[:, None, None], (60, 8, 8)), np.arange(60) / 30)
    still = scene(0.0, 2)
    plain = {"room": 0.0, "air": False}
    out = spatialize(noise(2), RATE, still, depth=depth, **plain)
    assert decibels(out[0, -RATE // 2 :]) - decibels(out[0, : RATE // 2]) > 3.5
    flat = spatialize(noise(2), RATE, still, **plain)
    assert abs(decibels(flat[0, -RATE // 2 :]) - decibels(flat[0, : RATE // 2])) < 0.2


def test_a_room_adds_a_tail_and_a_dry_one_does_not():
    click = np.zeros((1, 1, RATE), np.float32)
    click[0, 0, 100] = 1
    place = scene(0.3, 1)
    dry, some, much = (spatialize(click, RATE, place, room=room) for room in (0.0, 0.2, 1.0))
    late = slice(RATE // 10, RATE)
    assert not dry[:, late].any()
    assert decibels(some[:, late]).max() < decibels(much[:, late]).max()
    assert some[:, late].any()


def test_two_voices_go_along_two_tracks_and_swap_sides():
    filters = [butter(8, corner, kind, fs=RATE, output="sos") for corner, kind in ((1000, "lowpass"), (3000, "highpass"))]
    voices = np.stack([sosfiltfilt(sos, noise(4)[0]) for sos in filters]).astype(np.float32)
    crossing = Tracks((track(lambda t: -0.8 + 0.4 * t, 4, 0), track(lambda t: 0.8 - 0.4 * t, 4, 1)), 4)
    out = spatialize(voices, RATE, crossing)

    def side(low, part):
        power = np.abs(np.fft.rfft(part)) ** 2
        frequency = np.fft.rfftfreq(part.shape[1], 1 / RATE)
        audible = (frequency > low) & (frequency < low + 800)
        return 10 * np.log10(power[1, audible].sum() / power[0, audible].sum())

    start, end = out[:, : RATE // 2], out[:, -RATE // 2 :]
    assert max(side(100, start), side(4000, end)) < -6
    assert min(side(100, end), side(4000, start)) > 6


def test_one_voice_goes_along_the_most_prominent_track():
    both = Tracks((track(-0.8, 1, 0, height=0.2), track(0.8, 1, 1, height=0.7)), 1)
    assert np.diff(decibels(spatialize(noise(1), RATE, both)))[0] > 8


def test_voices_beyond_the_tracks_stay_in_the_middle_and_keep_their_stereo():
    voices = noise(1, count=2, channels=2)
    voices[0] = 0
    out = spatialize(voices, RATE, scene(-0.9, 1))
    np.testing.assert_allclose(out, voices[1] * np.sqrt(0.5), rtol=1e-6)


def test_without_tracks_all_stays_in_the_middle_with_a_warning(caplog):
    for tracks in (None, Tracks((), 1.0)):
        caplog.clear()
        out = spatialize(noise(1), RATE, tracks, duration=1.0)
        np.testing.assert_array_equal(out[0], out[1])
        assert "no tracks" in caplog.text


def test_a_stereo_voice_is_folded_to_its_place():
    voice = noise(1, channels=2)
    out, mono = (spatialize(given, RATE, scene(0.8, 1)) for given in (voice, voice.mean(1, keepdims=True)))
    np.testing.assert_allclose(out, mono, atol=1e-6)


def test_off_screen_fades_mutes_or_holds():
    full = track(0.5, 4)
    gone = (full.times > 1.5) & (full.times < 3.0)
    visitor = Tracks((Track(0, "person", full.times[~gone], full.boxes[~gone]),), 4)
    modes = ("fade", "mute", "hold")
    outs = {mode: spatialize(noise(4), RATE, visitor, offscreen=mode, room=0.0) for mode in modes}
    away = slice(round(1.8 * RATE), round(2.7 * RATE))
    assert not np.stack([outs["fade"], outs["mute"]])[..., away].any()
    np.testing.assert_allclose(decibels(outs["hold"][:, away]), decibels(outs["hold"][:, :RATE]), atol=0.5)
    leaving = slice(round(1.53 * RATE), round(1.56 * RATE))
    assert decibels(outs["fade"][1, leaving]) > decibels(outs["mute"][1, leaving]) + 20


@each_mode
def test_silence_gives_silence(mode):
    out = spatialize(0 * noise(1), RATE, scene(0.4, 1), mode=mode, room=1.0)
    assert not out.any()


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 96000, 192000])
@each_mode
def test_any_rate_gives_the_exact_length(rate, mode):
    for seconds in (0.01, 0.737):
        out = spatialize(noise(0.5, rate), rate, scene(0.4, 1), duration=seconds, mode=mode)
        assert (out.shape, out.dtype) == ((2, round(seconds * rate)), np.float32)
        assert np.isfinite(out).all()


@each_mode
def test_both_usual_rates_sound_alike(mode):
    bands = []
    for rate in (44100, 48000):
        frequency = np.array([90, 440, 1500, 5000, 9000])[:, None]
        tone = 0.1 * np.sin(2 * np.pi * frequency * np.arange(3 * rate) / rate + frequency).sum(0)
        tone = tone.astype(np.float32)[None, None]
        mover = scene(lambda t: -0.8 + 0.5 * t, 3, height=lambda t: 0.3 + 0.1 * t)
        # dry: the tails of two rates are different noise, and single tones would pick out the difference
        out = spatialize(tone, rate, mover, mode=mode, room=0.0)
        bands.append(level_difference(out, rate, 0.5)[1:3])
    np.testing.assert_allclose(bands[0], bands[1], atol=0.25)


def test_the_seed_decides_the_tail_and_the_same_seed_every_sample():
    place = scene(lambda t: -0.5 + t, 1)
    first, again, other = (spatialize(noise(1), RATE, place, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_sum_never_clips_and_loud_input_is_turned_down_as_a_whole(caplog):
    loud, place = 8 * noise(2), scene(lambda t: -0.8 + 0.8 * t, 2)
    with caplog.at_level("INFO"):
        out = spatialize(loud, RATE, place)
    assert 0.99 < np.abs(out).max() <= 1.0
    assert "turned down" in caplog.text
    soft = spatialize(loud / 16, RATE, place)
    ratio = out / np.where(np.abs(soft) > 1e-3, soft, np.nan)
    assert np.nanstd(ratio) < 1e-3 * np.nanmean(ratio)


def test_mono_playback_loses_nothing():
    """Folded down, ears and walls may not cancel the sound."""
    for azimuth in (0.0, 0.4, 0.8):
        out = spatialize(walk(3), RATE, scene(azimuth, 3))
        assert decibels(out.sum(0)) > 10 * np.log10((out.astype(np.float64) ** 2).sum(0).mean()) - 1.5


def test_progress_is_reported_and_can_stop_the_work():
    calls = []
    two = Tracks((track(0.0, 2, 0), track(0.1, 2, 1)), 2)
    spatialize(noise(2, count=2), RATE, two, progress=lambda done, total: calls.append((done, total)))
    assert [done for done, _ in calls] == list(range(1, len(calls) + 1))
    assert calls[-1][0] == calls[-1][1]
    stopped(spatialize, noise(2), RATE, two)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"voices": np.zeros((2, 100))}, "voices, channels"),
        ({"voices": np.zeros((1, 3, 100))}, "channels"),
        ({"voices": np.zeros((1, 1, 0))}, "empty"),
        ({"voices": np.full((1, 1, 100), np.nan)}, "NaN"),
        ({"voices": np.full((1, 1, 100), np.inf)}, "infinite"),
        ({"rate": 1000}, "rate"),
        ({"duration": 0.0}, "duration"),
        ({"duration": float("nan")}, "duration"),
        ({"mode": "quad"}, "mode.*binaural"),
        ({"offscreen": "vanish"}, "offscreen.*hold"),
        ({"distance_from": "sonar"}, "distance_from.*boxes"),
        ({"depth": DepthSequence(np.zeros((2, 4, 4)), [0.0, 9.0])}, "Depth: .* 9.00 s"),
        ({"width": 1.5}, "width"),
        ({"room": float("nan")}, "room"),
        ({"field_of_view": 0.0}, "field_of_view"),
        ({"distance": -1.0}, "distance is -1"),
    ],
)
def test_bad_inputs_are_named(change, message):
    settings = {"voices": noise(0.1), "rate": RATE, "duration": 0.1, **change}
    refused(message, spatialize, settings.pop("voices"), settings.pop("rate"), scene(0, 1), **settings)


def test_level_difference_reads_right_minus_left_where_there_is_sound():
    sound = np.zeros((2, 2 * RATE))
    sound[:, :RATE] = noise(1)[0] * np.array([[0.5], [1.0]])
    times, difference, level, sounding = level_difference(sound, RATE)
    np.testing.assert_allclose(difference[sounding & (times < 0.9)], 6.02, atol=0.01)
    assert not sounding[times > 1.05].any()
    assert level[times > 1.1].max() == -120
    assert np.abs(level_difference(np.stack([noise(1)[0, 0], 0 * noise(1)[0, 0]]), RATE)[1]).max() == 25


def test_correlation_tells_right_placement_from_mirrored_and_from_none():
    mover = track(lambda t: -0.8 + 0.4 * t, 4)
    out = spatialize(noise(4), RATE, Tracks((mover,), 4.0))
    assert placement_correlation(out, RATE, mover) > 0.97
    assert placement_correlation(out[::-1], RATE, mover) < -0.97
    assert placement_correlation(out, RATE, lambda t: -0.8 + 0.4 * t) > 0.97
    assert np.isnan(placement_correlation(np.zeros((2, RATE)), RATE, mover))
    refused("stereo", level_difference, np.zeros((1, RATE)), RATE)
