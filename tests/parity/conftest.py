"""Fixtures of released code's numbers, which are not part of the project: ``STEREOSYNC_FIXTURES`` tells where they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Beside the checkout, where the project's own people have them.
BESIDE = ROOT.parent / "shared" / "fixtures"


def fixture_root() -> Path:
    return Path(os.environ.get("STEREOSYNC_FIXTURES") or BESIDE)


def fixture_files(folder: str, pattern: str) -> list:
    """Parameters for the files found; one that skips with a word where there are none."""
    files = sorted((fixture_root() / folder).glob(pattern))
    if not files:
        reason = f"no {folder}/{pattern} in {fixture_root()}; set STEREOSYNC_FIXTURES"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id="absent")]
    return [pytest.param(path, id=path.stem) for path in files]
