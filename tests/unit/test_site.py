"""The documentation as a site: every link and heading in place, a page for each node, sound that plays."""

import re
import subprocess
import sys
from html import unescape
from urllib.parse import unquote

import pytest

from tools.environment import ROOT

pytest.importorskip("mkdocs", reason="mkdocs-material is not installed: pip install -r requirements-dev.txt")

LARGEST = 2.5e6


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def attributes(page, pattern):
    return [unquote(unescape(found)) for found in re.findall(pattern, page.read_text(encoding="utf-8"))]


def test_each_nodes_help_and_the_readme_are_pages(site):
    nodes = {path.parent.name for path in (ROOT / "web" / "docs").glob("*/en.md")}
    assert {path.parent.name for path in (site / "nodes").glob("*/index.html")} == nodes
    links = attributes(site / "index.html", r'href="nodes/(\w+)/"')
    assert set(links) == nodes, "in the navigation"


@pytest.mark.parametrize("page", ["listen", "compare"])
def test_what_is_linked_as_sound_plays_on_the_page(site, page):
    players = attributes(site / page / "index.html", r'<(?:audio|video)[^>]* src="([^"]+)"')
    assert len(players) > 4
    assert [place for place in players if not (site / page / place).is_file()] == []


def test_pages_fetch_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        loaded = attributes(page, r'<(?:script|img|audio|video|iframe)[^>]* src="([^"]+)"')
        loaded += attributes(page, r'<link[^>]* rel="(?:stylesheet|icon|preload)"[^>]* href="([^"]+)"')
        assert [place for place in loaded if re.match(r"(https?:)?//", place)] == [], page


def test_the_clips_of_the_workflows_stay_small():
    sizes = {path.name: path.stat().st_size for path in (ROOT / "docs" / "clips").iterdir()}
    assert len(sizes) > 4
    assert sum(sizes.values()) <= LARGEST, sizes
    assert (ROOT / "docs" / "walking.webp").stat().st_size <= 3e6
