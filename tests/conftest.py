"""Every test bears its folder's marker: unit, parity, host or browser. ``slow`` is set at a test by hand."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker(item.path.relative_to(FOLDER).parts[0])
