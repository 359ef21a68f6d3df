"""The localisers against sound at known places: the renderer's two modes, noise around it, and, where they are, walking
rooms."""

import numpy as np
import pytest

from stereosync_core import SpatializeSettings, Track, Tracks, spatialize
from stereosync_core.metrics import localiser
from stereosync_core.metrics.localiser import BandLocaliser, LevelLocaliser
from stereosync_core.rendering.panning import interaural_time_difference, pan_gains
from stereosync_core.rendering.panning_laws import PanningLaw, panning_law, panning_laws
from tests.errors import refused

RATE = 44100
PLACES = [-0.9, -0.5, -0.2, 0.0, 0.3, 0.7]


def rendered(azimuth: float, mode: str = "pan", **options) -> np.ndarray:
    noise = np.random.default_rng(1).standard_normal((1, 1, RATE)).astype(np.float32) * 0.1
    box = np.array([[(azimuth + 1) / 2 - 0.02, 0.3, (azimuth + 1) / 2 + 0.02, 0.7]])
    tracks = Tracks((Track(1, "noise", [0.0, 1.0], np.repeat(box, 2, 0)),), duration=1.0, max_gap=2.0)
    settings = SpatializeSettings(mode, room=0.0, distance=0.0, air=False, **options)
    return spatialize(noise, RATE, tracks, settings, duration=1.0)


def mean_azimuth(found) -> float:
    return float(found.azimuth[found.sounding][1:-1].mean())


@pytest.mark.parametrize("azimuth", PLACES)
@pytest.mark.parametrize(("mode", "off"), [("pan", 0.03), ("binaural", 0.12)])
def test_the_band_localiser_finds_what_the_renderer_placed(azimuth, mode, off):
    assert mean_azimuth(BandLocaliser(mode)(rendered(azimuth, mode), RATE)) == pytest.approx(azimuth, abs=off)


@pytest.mark.parametrize("azimuth", PLACES)
def test_the_level_localiser_finds_what_the_renderer_panned(azimuth):
    assert mean_azimuth(LevelLocaliser("pan")(rendered(azimuth), RATE)) == pytest.approx(azimuth, abs=0.03)


@pytest.mark.parametrize("azimuth", [-0.7, 0.5])
def test_the_law_is_found_by_what_the_clip_sounds_like(azimuth):
    assert BandLocaliser().with_law(rendered(azimuth), RATE)[1] == "pan"
    law = panning_law("rooms")
    ratio = 10 ** (np.interp(azimuth, law.azimuth, law.broadband()) / 20)
    noise = np.random.default_rng(2).standard_normal(RATE) * 0.1
    found, name = BandLocaliser().with_law(np.stack([noise, noise * ratio]), RATE)
    assert name == "rooms", "level without delay"
    assert mean_azimuth(found) == pytest.approx(azimuth, abs=0.03)


def test_phases_alone_show_a_place_when_levels_do_not(monkeypatch):
    """Time difference only: the level localiser finds the middle, the band localiser is drawn to the right side."""
    late = round(interaural_time_difference(np.array([0.6 * np.pi / 2]))[0] * RATE)
    noise = np.random.default_rng(3).standard_normal(RATE) * 0.1
    sound = np.stack([np.roll(noise, late), noise])
    assert abs(mean_azimuth(LevelLocaliser("pan")(sound, RATE))) < 0.03
    assert mean_azimuth(BandLocaliser("pan")(sound, RATE)) > 0.15
    monkeypatch.setattr(localiser, "_PHASE_WEIGHT", 0.0)
    assert abs(mean_azimuth(BandLocaliser("pan")(sound, RATE))) < 0.05


def test_a_loud_band_outvotes_soft_noise_elsewhere(monkeypatch):
    monkeypatch.setattr(localiser, "_PHASE_WEIGHT", 0.0)  # the tone has levels of a place, and no delay
    generator = np.random.default_rng(4)
    time = np.arange(RATE) / RATE
    tone = 0.3 * sum(np.sin(2 * np.pi * f * time + f) for f in (900.0, 1100.0, 1300.0))
    left, right = (float(gain) for gain in pan_gains(np.array(-0.6)))
    sound = np.stack([left * tone, right * tone]) + 0.01 * generator.standard_normal((2, RATE))
    found = BandLocaliser("pan")(sound, RATE)
    assert mean_azimuth(found) == pytest.approx(-0.6, abs=0.08)


def test_uncertainty_grows_when_the_channels_do_not_belong_together():
    one_place = BandLocaliser("pan")(rendered(0.4), RATE)
    apart = BandLocaliser("pan")(np.random.default_rng(5).standard_normal((2, RATE)) * 0.1, RATE)
    assert np.median(apart.uncertainty[apart.sounding]) > 1.5 * np.median(one_place.uncertainty[one_place.sounding])


def test_silence_is_everywhere_alike():
    found = BandLocaliser()(np.zeros((2, RATE)), RATE)
    assert not found.sounding.any()
    assert np.isfinite(found.azimuth).all()
    assert found.uncertainty == pytest.approx(3**-0.5)


@pytest.mark.parametrize("bands", [4, 8, 24])
def test_any_number_of_bands_will_do(bands):
    assert mean_azimuth(BandLocaliser("pan", bands=bands)(rendered(0.5), RATE)) == pytest.approx(0.5, abs=0.04)


def test_too_many_bands_and_unknown_laws_are_refused():
    refused("too many", BandLocaliser("pan", bands=200), rendered(0.5), RATE)
    refused("choose rooms", LevelLocaliser("speakers"), rendered(0.5), RATE)


def test_the_curves_are_odd_and_rise():
    for name, law in panning_laws().items():
        assert isinstance(law, PanningLaw)
        for row in law.level_db if name != "binaural" else [law.broadband()]:
            assert np.abs(row + row[::-1]).max() < 0.01, name
        assert (np.diff(law.broadband()) >= 0).all(), name


def test_the_pan_law_is_the_renderer_s_own():
    law = panning_law("pan")
    left, right = pan_gains(law.azimuth)
    assert np.abs(law.broadband() - 20 * np.log10(right / left)).max() < 0.3
    assert np.abs(law.delay - interaural_time_difference(law.azimuth * np.pi / 2)).max() < 5e-6
