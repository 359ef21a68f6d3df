"""What several unit tests load, once."""

from pathlib import Path

import pytest

from tests.stable_audio_release import write_release


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Audio Open 1.0 of a small width; not to be written to."""
    return write_release(tmp_path_factory.mktemp("open"))
