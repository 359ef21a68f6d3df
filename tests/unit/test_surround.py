"""More than two channels: every layout is placed right."""

import json

import av
import numpy as np
import pytest

from stereosync_core import Sound, SpatializeSettings, Track, Tracks, read_sound, to_stereo, write_sound
from stereosync_core.__main__ import main
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


@pytest.mark.parametrize("layout", ["5.1", "7.1.4"])
@pytest.mark.parametrize("azimuth", [-0.9, -0.3, 0.0, 0.6])
def test_a_downmix_keeps_level_and_side(layout, azimuth):
    out = spatialize_surround(noise(), RATE, scene(lambda t: azimuth + 0 * t), layout, SpatializeSettings(**DRY), duration=2.0)
    left, right = (to_stereo(out).astype(float) ** 2).mean(1)
    assert (
        abs(10 * np.log10((left + right) / (noise().astype(float) ** 2).mean())) < 2.5
    )  # what two loudspeakers share adds up in one
    difference = 10 * np.log10(right / left)
    assert abs(difference) < 0.1 if azimuth == 0 else difference * np.sign(azimuth) > 1


def late(sides):
    """Seconds by which the left channel is late, of 100 to 600 Hz."""
    left, right = np.fft.rfft(sides)[:, 200:1200]
    return -np.polyfit(np.pi * np.arange(200, 1200), np.unwrap(np.angle(left * right.conj())), 1)[0]


@pytest.mark.parametrize(("order", "tolerance"), [(3, 3.0), (1, 6.0)])
@pytest.mark.parametrize("azimuth", [-90.0, -40.0, 0.0, 60.0])
def test_binaural_from_ambisonics_is_near_the_measured_head(order, tolerance, azimuth):
    field = Ambisonics(order).gains(np.array([azimuth]), np.array([0.0])) @ noise()[0]
    out = ambisonics_to_binaural(field, RATE).astype(float)
    *sides, lag = hrirs(azimuth, 0.0, RATE)
    wanted = np.stack([np.convolve(noise()[0, 0], side[0])[: 2 * RATE] for side in sides])
    for low, high in ((300, 1500), (1500, 4000), (4000, 10000)):
        band = slice(round(low * 2), round(high * 2))
        found, expected = (10 * np.log10((np.abs(np.fft.rfft(x)[:, band]) ** 2).sum(1)) for x in (out, wanted))
        assert abs((found[1] - found[0]) - (expected[1] - expected[0])) < tolerance
        assert np.abs(found.max() - expected.max()) < tolerance
    assert late(out) == pytest.approx(late(wanted) + float(lag[0]), abs=1e-4 if order == 3 else 2.5e-4)


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
