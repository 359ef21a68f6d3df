"""Every test bears its folder's marker: unit, parity, host or browser. ``slow`` is set at a test by hand.

Where several processes run them (pytest-xdist), the browser's stay together, and the host's, which share one host, and those of
a file of the others.
"""

from importlib import import_module
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker(item.path.relative_to(FOLDER).parts[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """In place of marks: pytest-xdist 3.8 hands those on in the tests' ids, which pytest 9.2 does not let it change."""
    scheduler = import_module("xdist.scheduler")

    class Together(scheduler.LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            parts = nodeid.split("::")[0].split("/")
            return "/".join(parts[:2]) if parts[1] in ("browser", "host") else "/".join(parts)

    return Together(config, log)
