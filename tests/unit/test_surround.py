"""More than two channels: every layout is placed right."""

import json

import av
import numpy as np
import pytest

from stereosync_core import Sound, SpatializeSettings, Track, Tracks, read_sound, to_stereo, write_sound
from stereosync_core.__main__ import main
from stereosync_core.media.mux import check_mux, mux
from stereosync_core.rendering.hrtf import hrirs
from stereosync_core.rendering.layouts import LAYOUTS, Ambisonics, directions
from stereosync_core.rendering.surround import ambisonics_to_binaural, spatialize_surround
from tests.clips import make_clip
from tests.errors import refused

RATE = 48000
AZIMUTHS = np.arange(-180.0, 180.0, 3.0)
DRY = {"room": 0.0, "air": False, "distance": 0.0}
each_layout = pytest.mark.parametrize("layout", LAYOUTS)


def sphere(count=240):
    n = np.arange(count) + 0.5
    return np.mod(360 * n * (np.sqrt(5) - 1) / 2, 360), np.rad2deg(np.arcsin(1 - 2 * n / count))


def energy_vector(layout, gains):
    """``[N, 3]`` of loudspeaker gains; ambisonics are decoded to loudspeakers all around first."""
    place = LAYOUTS[layout]
    if isinstance(place, Ambisonics):
        around = sphere()
        speakers = directions(*around)
        gains = np.linalg.pinv(place.gains(*around)) @ gains
    else:
        speakers = np.array([[0.0] * 3 if a is None else directions(a, e) for _, a, e in place.speakers])
    vector = (gains**2).T @ speakers
    return vector / (gains**2).sum(0)[:, None]


def apart(vector, azimuth, elevation):
    """Degrees between vectors and directions."""
    unit = vector / np.linalg.norm(vector, axis=-1, keepdims=True)
    return np.rad2deg(np.arccos(np.clip((unit * directions(azimuth, elevation)).sum(-1), -1, 1)))


@each_layout
def test_the_energy_vector_points_at_the_source_over_a_sweep(layout):
    level = np.zeros_like(AZIMUTHS)
    assert apart(energy_vector(layout, LAYOUTS[layout].gains(AZIMUTHS, level)), AZIMUTHS, level).max() < 5


@pytest.mark.parametrize("layout", ["7.1.4", "ambisonics 1", "ambisonics 3"])
def test_height_is_placed_as_well(layout):
    for height in (5.0, 15.0, 25.0):
        up = np.full_like(AZIMUTHS, height)
        assert apart(energy_vector(layout, LAYOUTS[layout].gains(AZIMUTHS, up)), AZIMUTHS, up).max() < 5


@pytest.mark.parametrize("layout", ["5.1", "7.1.4"])
def test_loudspeakers_keep_the_power_and_leave_the_lfe_silent(layout):
    gains = LAYOUTS[layout].gains(*sphere())
    np.testing.assert_allclose((gains**2).sum(0), 1)
    assert not gains[3].any()
    for number, (_, azimuth, elevation) in enumerate(LAYOUTS[layout].speakers):
        if azimuth is not None:
            alone = LAYOUTS[layout].gains(np.array([azimuth]), np.array([elevation]))[:, 0]
            np.testing.assert_allclose(alone, np.eye(len(alone))[number], atol=1e-6)


def test_ambisonics_are_orthogonal_in_sn3d():
    gains = Ambisonics(3).gains(*sphere(4000))
    expected = np.diag(np.repeat([1, 1 / 3, 1 / 5, 1 / 7], [1, 3, 5, 7]))
    np.testing.assert_allclose(gains @ gains.T / 4000, expected, atol=2e-3)
    np.testing.assert_allclose(
        gains[:4, :1].T, [[1, *(directions(*(one[:1] for one in sphere(4000)))[0] * [-1, 1, 1])[[0, 2, 1]]]]
    )


def scene(way, height=0.5):
    times = np.linspace(0, 2, 61)
    x = (way(times) + 1) / 2
    return Tracks(
        (Track(0, "person", times, np.stack([x - 0.05, height - 0.2 + 0 * x, x + 0.05, height + 0.2 + 0 * x], 1)),), 2.0
    )


def noise(channels=1):
    return (0.1 * np.random.default_rng(0).standard_normal((1, channels, 2 * RATE))).astype(np.float32)


@each_layout
def test_a_voice_goes_along_its_track(layout):
    tracks = scene(lambda t: t - 1, height=0.25)
    out = spatialize_surround(noise(), RATE, tracks, layout, SpatializeSettings(**DRY), duration=2.0)
    assert out.shape == (LAYOUTS[layout].channels, 2 * RATE)
    for moment in (0.5, 1.0, 1.5):
        at = slice(round((moment - 0.02) * RATE), round((moment + 0.02) * RATE))
        signs = np.sign(out[:, at] @ noise()[0, 0, at])
        gains = signs * np.sqrt((out[:, at].astype(float) ** 2).sum(1))
        azimuth, elevation = np.array([30 * (moment - 1)]), np.array([30 * 9 / 16 * 0.5])
        flat = layout == "5.1"
        assert apart(energy_vector(layout, gains[:, None]), azimuth, 0 * elevation if flat else elevation)[0] < 5


@each_layout
def test_the_room_answers_from_all_around_and_the_mix_never_clips(layout):
    voices = 20 * noise()
    out = spatialize_surround(voices, RATE, scene(lambda t: 0 * t + 0.5), layout, SpatializeSettings(room=0.8), duration=2.0)
    assert np.abs(out).max() <= 1
    level = np.sqrt((out.astype(float) ** 2).mean(1))
    silent = np.flatnonzero(level < 1e-6)
    assert list(silent) == ([3] if "." in layout else [])


#: dB that BS.775's downmix adds to the power of a source between two loudspeakers, of which one is in the centre and shares its
#: sound with both sides by a factor of the root of a half: with equal energies 1 + sqrt(1/2), alone 1.
MOST_ADDED = 10 * np.log10(1 + 0.5**0.5)


@pytest.mark.parametrize("layout", ["5.1", "7.1.4"])
@pytest.mark.parametrize("azimuth", [-0.9, -0.5, -0.3, 0.0, 0.6])
def test_a_downmix_is_that_of_bs_775_and_keeps_the_side(layout, azimuth):
    out = spatialize_surround(noise(), RATE, scene(lambda t: azimuth + 0 * t), layout, SpatializeSettings(**DRY), duration=2.0)
    left, right = (to_stereo(out).astype(float) ** 2).mean(1) / (noise().astype(float) ** 2).mean()
    front_left, front_right, centre = LAYOUTS[layout].gains(np.array([30 * azimuth]), np.zeros(1))[:3, 0]
    expected = (front_left + 0.5**0.5 * centre) ** 2, (front_right + 0.5**0.5 * centre) ** 2
    np.testing.assert_allclose([left, right], expected, rtol=1e-3)
    assert -1e-3 < 10 * np.log10(left + right) < MOST_ADDED + 1e-3
    assert np.sign(np.round(right - left, 3)) == np.sign(azimuth)


def late(sides):
    """Seconds by which the left channel is late, of 100 to 600 Hz."""
    left, right = np.fft.rfft(sides)[:, 200:1200]
    return -np.polyfit(np.pi * np.arange(200, 1200), np.unwrap(np.angle(left * right.conj())), 1)[0]


def binaural_filters(order, size):
    """Spectra ``[2, C, F]`` of what an impulse in each channel becomes."""
    channels = np.arange((order + 1) ** 2)
    impulses = np.zeros((len(channels), len(channels), size), np.float32)
    impulses[channels, channels, size // 2] = 1
    heads = np.stack([ambisonics_to_binaural(field, RATE) for field in impulses], 1)
    return np.fft.rfft(np.roll(heads.astype(float), -(size // 2), -1))


@pytest.mark.parametrize("order", [1, 3])
def test_binaural_from_ambisonics_is_the_best_that_the_order_allows(order):
    size = 2048
    azimuth, elevation = sphere(500)
    *sides, lag = hrirs(azimuth, elevation, RATE)
    frequencies, harmonics = np.fft.rfftfreq(size, 1 / RATE), Ambisonics(order).gains(azimuth, elevation)
    for made, side, delay in zip(binaural_filters(order, size), sides, (lag / 2, -lag / 2), strict=True):
        wanted = np.fft.rfft(side, size).T * np.exp(-2j * np.pi * frequencies[:, None] * delay)
        least_squares = wanted @ np.linalg.pinv(harmonics) @ harmonics
        made = made.T @ harmonics

        def errors(found, wanted=wanted):
            return (np.abs(found - wanted) ** 2).sum(1)

        # up to kr = order (r of a head, 9 cm: 600 Hz an order) no filters are nearer than those of least squares
        low = (frequencies > 50) & (frequencies < 600 * order)
        assert (errors(made)[low] < 1.1 * errors(least_squares)[low]).all()
        # beyond, these lose the treble; a magnitude fit keeps the level of a field from all around to the 1 dB that is just
        # noticeable, and is off by less than half as much in each direction (Schoerkhuber, Zaunschirm and Hoeldrich, 2018)
        for start, stop in ((650 * order, 2000 * order), (4000, 10000)):
            band = (frequencies >= start) & (frequencies < stop)
            level, plain, true = (10 * np.log10((np.abs(x[band]) ** 2).mean(0)) for x in (made, least_squares, wanted))
            assert abs(10 * np.log10((np.abs(made[band]) ** 2).sum() / (np.abs(wanted[band]) ** 2).sum())) < 1
            assert np.sqrt(((level - true) ** 2).mean()) < 0.5 * np.sqrt(((plain - true) ** 2).mean())


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("azimuth", [-90.0, -40.0, 0.0, 60.0])
def test_binaural_from_ambisonics_is_as_late_at_the_far_side_as_the_measured_head(order, azimuth):
    field = Ambisonics(order).gains(np.array([azimuth]), np.array([0.0])) @ noise()[0]
    *sides, lag = hrirs(azimuth, 0.0, RATE)
    wanted = np.stack([np.convolve(noise()[0, 0], side[0])[: 2 * RATE] for side in sides])
    expected = late(wanted) + float(lag[0])
    # of a plane wave exp(i x) the first order has j0(x) + 3i j1(x), whose phase falls short: by 29 % at 600 Hz, where a rigid
    # sphere of the size of a head has x = 1.5 kr = 1.5; the third order's error there is 1 % in power, 0.1 rad a side: 53 us
    short = 0.29 * abs(expected) + 2e-5 if order == 1 else 5.3e-5
    assert late(ambisonics_to_binaural(field, RATE).astype(float)) == pytest.approx(expected, abs=short)


def test_what_cannot_be_rendered_is_refused():
    refused("no 'quad'; choose one of 5.1", spatialize_surround, noise(), RATE, None, "quad", duration=2.0)
    refused("6 channels; give ambisonics", ambisonics_to_binaural, np.zeros((6, 100)), RATE)
    refused("NaN", spatialize_surround, noise() * np.nan, RATE, None, "5.1", duration=2.0)


def test_without_tracks_a_stereo_voice_stays_ahead():
    out = spatialize_surround(noise(2), RATE, None, "5.1", duration=2.0)
    np.testing.assert_allclose(out[:2], noise(2)[0], atol=1e-6)
    assert np.abs(out[2:]).max() < 1e-6


@pytest.mark.parametrize(
    ("layout", "name", "codec"),
    [
        ("5.1", "a.wav", "float32"),
        ("7.1.4", "a.wav", "pcm24"),
        ("ambisonics 1", "a.wav", "float32"),
        ("ambisonics 3", "a.wav", "pcm24"),
        ("5.1", "a.flac", "flac"),
        ("ambisonics 1", "a.mka", "opus"),
        ("ambisonics 3", "a.ogg", "opus"),
    ],
)
def test_files_hold_the_channels_and_tell_what_they_are(tmp_path, layout, name, codec):
    count, file_layout = LAYOUTS[layout].channels, LAYOUTS[layout].file_layout
    time = np.arange(RATE) / RATE
    sound = Sound(np.stack([0.02 * (n + 1) * np.sin(2 * np.pi * 440 * time) for n in range(count)]), RATE)
    write_sound(tmp_path / name, sound, codec=codec, layout=file_layout)
    with av.open(str(tmp_path / name)) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.layout.nb_channels == count
        if codec == "opus":
            assert stream.codec_context.extradata[18] == 2  # the channel mapping family
        elif "." in layout:
            assert stream.codec_context.layout.name.startswith(layout)
    found = read_sound(tmp_path / name)
    assert found is not None
    if codec == "opus":
        levels = np.sqrt((found.samples[:, 9600:38400].astype(float) ** 2).mean(1))
        np.testing.assert_allclose(levels, 0.02 * np.arange(1, count + 1) / np.sqrt(2), rtol=0.1)
    else:
        assert np.abs(found.samples - sound.samples).max() <= 2**-23


@pytest.mark.parametrize(
    ("layout", "ending", "found"),
    [
        ("ambisonics 1", "mp4", "ambisonic 1"),
        ("ambisonics 3", "mp4", "ambisonic 3"),
        ("ambisonics 3", "mkv", "ambisonic 3"),
        ("ambisonics 3", "mov", "16 channels"),
        ("7.1.4", "mp4", "7.1.4"),
        ("7.1.4", "mov", "7.1.4"),
        ("7.1.4", "mkv", "12 channels"),
        ("5.1", "mp4", "5.1"),
    ],
)
def test_videos_hold_the_channels_and_tell_what_they_are(tmp_path, layout, ending, found):
    place = LAYOUTS[layout]
    clip, out = make_clip(tmp_path / "clip.mp4", count=30), tmp_path / f"out.{ending}"
    levels = 0.02 * np.arange(1, place.channels + 1)
    tone = np.sin(2 * np.pi * 60 * np.arange(RATE) / RATE)
    check_mux(clip, out, channels=place.channels, layout=place.file_layout)
    mux(clip, Sound(levels[:, None] * tone, RATE), out, layout=place.file_layout)
    with av.open(str(out)) as container:
        assert container.streams.audio[0].codec_context.layout.name == found
    sound = read_sound(out)
    assert sound is not None
    reached = np.sqrt(2 * (sound.samples[:, 9600:38400].astype(float) ** 2).mean(1))
    np.testing.assert_allclose(reached, levels, rtol=0.1)


def test_render_writes_a_layout(tmp_path, capsys):
    clip = make_clip(tmp_path / "clip.mp4", count=30)
    tracks = [{"id": 1, "label": "person", "times": [0, 1], "boxes": [[0.9, 0.2, 1, 0.8]] * 2}]
    (tmp_path / "tracks.json").write_text(json.dumps({"duration": 1.0, "tracks": tracks}))
    given = ["--tracks", str(tmp_path / "tracks.json"), "--no-depth", "--timing", "cadence", "--json", "--room", "0"]
    assert main(["render", str(clip), "-o", str(tmp_path / "out.mkv"), "--layout", "5.1", *given]) == 0
    sound = read_sound(tmp_path / "out.mkv")
    assert sound is not None
    level = np.abs(sound.samples).max(1)
    assert level[1] > 3 * level[0]
    assert level[3] == 0
    assert json.loads(capsys.readouterr().out)["samples"] == RATE
    assert main(["render", str(clip), "-o", str(tmp_path / "o.wav"), "--layout", "5.1", "--stems", "x", *given]) == 1
