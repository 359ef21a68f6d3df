"""Systems of the generative model in a comparison: what of a recording reaches them."""

import numpy as np
import pytest

from research.evaluation.generated import aligned, fast, no_spatial, spatial_guidance
from research.evaluation.systems import Options
from research.small_model import write_model
from stereosync_core.metrics.clips import RATE, FolderClip
from tests.unit.test_conditioning import crossing


def clip(levels: tuple[float, float] = (0.1, 0.02), seconds: float = 1.0) -> FolderClip:
    time = np.arange(round(seconds * RATE)) / RATE
    clicks = np.exp(-(time % 0.25) / 0.03) * np.random.default_rng(1).standard_normal(len(time))
    sound = np.stack([level * clicks for level in levels]).astype(np.float32)
    return FolderClip("clip", None, crossing(seconds), None, sound, seconds)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return Options(write_model(tmp_path_factory.mktemp("model")))


@pytest.mark.parametrize("factory", [aligned, no_spatial])
def test_no_place_of_the_recording_leaks_through_the_envelope_of_the_mix(model, factory):
    system = factory(model)
    one, other = system(clip()), system(clip((0.02, 0.1)))
    assert one.shape == (2, RATE)
    assert np.isfinite(one).all()
    assert np.abs(one - other).max() <= 1e-5, "the timbre is of the mix as well"


@pytest.mark.parametrize(("plainly", "otherwise"), [(no_spatial, spatial_guidance), (aligned, fast)])
def test_other_ways_give_another_sound_of_the_same_length(model, plainly, otherwise):
    plain, other = (factory(model)(clip()) for factory in (plainly, otherwise))
    assert other.shape == plain.shape
    assert np.abs(other - plain).max() > 1e-5
