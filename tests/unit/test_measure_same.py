"""Levels are moved in latents that both channels share."""

import pytest

from research.measurements.measure_same import measure


@pytest.mark.slow
def test_the_level_difference_follows_its_target_in_a_small_trained_same():
    """A source that crosses the picture, by the guidance's defaults through the decoder; half a minute of training."""
    found = measure(400, clips=4, with_head=False)
    assert found["without"] > 4.0, "the sound itself is in the middle"
    assert found["panned"] < 0.6 * found["without"], "the autoencoder keeps places, so that there is something to move"
    assert found["decoder"] < 1.5
