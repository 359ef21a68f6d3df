"""One real ComfyUI and one browser page for all browser tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.canvas import Canvas, opened
from tests.hosts import prepared_environment
from tests.stable_audio_release import NARROW, provide_stable_audio
from tools.environment import ROOT, find_chromium
from tools.host import Host


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    with Host(
        prepared_environment(),
        packs=[NARROW, ROOT / "tests" / "host" / "node_pack"],
        arguments=["--disable-api-nodes", "--cache-lru", "300"],
    ) as running:
        provide_stable_audio(running.base / "models")
        yield running


@pytest.fixture(scope="session")
def canvas(host: Host) -> Iterator[Canvas]:
    chromium = find_chromium()
    if chromium is None:
        pytest.fail("no Chromium-like browser was found; install chromium")
    with opened(host, chromium) as page:
        yield page
