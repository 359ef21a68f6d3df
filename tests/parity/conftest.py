"""Numbers of released code: small ones in ``fixtures/`` for everybody, larger ones in folders of ``STEREOSYNC_FIXTURES``."""

import os
from pathlib import Path

import pytest

#: Kept in the repository: parts of the large ones, cut out by ``research/equality/*_fixtures.py`` of commit 66bee30.
SMALL = Path(__file__).parent / "fixtures"


def fixture_folders(topic: str) -> list[Path]:
    """The folders that hold a topic's fixtures; the small one is the last."""
    roots = [Path(root) for root in os.environ.get("STEREOSYNC_FIXTURES", "").split(os.pathsep) if root]
    return [root / topic for root in (*roots, SMALL) if (root / topic).is_dir()]


def fixture_files(topic: str, pattern: str) -> list:
    """Parameters for the files found; one that skips with a word where there are none."""
    files = [path for folder in reversed(fixture_folders(topic)) for path in sorted(folder.glob(pattern))]
    if not files:
        reason = f"no {topic}/{pattern}; set STEREOSYNC_FIXTURES to the folder of the large fixtures"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id="absent")]
    return [pytest.param(path, id=f"small-{path.stem}" if SMALL in path.parents else path.stem) for path in files]


def fixture_path(topic: str, name: str) -> Path:
    """A file or folder that cases have in common; skips where it is absent."""
    for folder in fixture_folders(topic):
        if (folder / name).exists():
            return folder / name
    pytest.skip(f"no {topic}/{name}; set STEREOSYNC_FIXTURES to the folder of the large fixtures")
