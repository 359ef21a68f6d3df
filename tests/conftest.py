"""Every test bears its folder's marker: unit, parity, host or browser. ``slow`` is set at a test by hand.

Where several processes run them (pytest-xdist), the browser's stay together, and the host's, which share one host, and those of
a file of the others.
"""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(FOLDER):
            kind = item.path.relative_to(FOLDER).parts[0]
            item.add_marker(kind)
            item.add_marker(pytest.mark.xdist_group(kind if kind in ("browser", "host") else item.path.stem))
