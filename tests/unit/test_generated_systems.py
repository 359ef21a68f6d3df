"""Systems of the generative model in a comparison: what of a recording reaches them."""

from dataclasses import replace

import numpy as np
import pytest

from stereosync_core.evaluation.clips import RATE, FolderClip
from stereosync_core.evaluation.generated import aligned, fast, no_spatial, spatial_guidance
from stereosync_core.evaluation.systems import Options
from tests.small_model import write_model
from tests.unit.test_conditioning import crossing


def clip(seconds: float = 1.0) -> FolderClip:
    time = np.arange(round(seconds * RATE)) / RATE
    clicks = np.exp(-(time % 0.25) / 0.03) * np.random.default_rng(1).standard_normal(len(time))
    sound = np.stack([0.1 * clicks, 0.02 * clicks]).astype(np.float32)
    return FolderClip("clip", None, crossing(seconds), None, sound, seconds)


def turned(one: FolderClip) -> FolderClip:
    """Left and right of the recording exchanged."""
    assert one.sound is not None
    return replace(one, sound=one.sound[::-1].copy())


@pytest.fixture(scope="module", params=[1, 2])
def model(request, tmp_path_factory):
    """Hears the envelope of the mono mix, or one of each channel."""
    return request.param, Options(write_model(tmp_path_factory.mktemp("model"), envelopes=request.param))


@pytest.mark.parametrize("factory", [aligned, no_spatial])
def test_no_place_of_the_recording_leaks_through_the_envelope_of_the_mix(model, factory):
    envelopes, options = model
    system = factory(options)
    one, other = system(clip()), system(turned(clip()))
    assert one.shape == (2, RATE)
    assert np.isfinite(one).all()
    # the timbre's encoder hears the mix as well
    assert (np.abs(one - other).max() > 1e-5) == (envelopes == 2)


@pytest.mark.parametrize(("plainly", "otherwise"), [(no_spatial, spatial_guidance), (aligned, fast)])
def test_other_ways_give_another_sound_of_the_same_length(model, plainly, otherwise):
    plain, led = (factory(model[1])(clip()) for factory in (plainly, otherwise))
    assert led.shape == plain.shape
    assert np.abs(led - plain).max() > 1e-5
