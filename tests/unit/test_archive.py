"""What the registry gets: small enough, without what its scanner flags, and complete by itself."""

import ast
import re
import subprocess
import sys
import zipfile

import pytest
from PIL import Image

from tests.archive import archived, build_archive
from tools.environment import ROOT

LARGEST = 80e6
#: Modules and calls for which a version is flagged; install.py alone installs something.
FLAGGED_MODULES = {"subprocess", "socket", "urllib", "requests", "http", "aiohttp", "ctypes", "pip"}
FLAGGED_CALLS = {"eval", "exec", "compile", "__import__"}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    target = build_archive(folder / "node.zip")
    assert target.stat().st_size <= LARGEST
    with zipfile.ZipFile(target) as archive:
        archive.extractall(folder / "StereoSync")
    return folder / "StereoSync"


def flagged(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
        yield from (name for name in names if name.split(".")[0] in FLAGGED_MODULES)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FLAGGED_CALLS:
            yield node.func.id
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            yield from ({node.attr} & {"system", "popen", "execv", "spawnv"})


def test_the_archive_holds_nothing_that_the_registry_flags():
    found = {path.as_posix(): set(flagged(ROOT / path)) for path in archived() if path.suffix == ".py"}
    assert len(found) > 150
    assert {name: words for name, words in found.items() if words and name != "install.py"} == {}


def test_the_archive_has_what_a_user_needs_and_no_more(unpacked):
    names = {path.parts[0] for path in archived()}
    assert names >= {"__init__.py", "install.py", "requirements.txt", "pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md"}
    assert names >= {"nodes", "stereosync_core", "web", "workflows", "subgraphs", "locales"}
    assert not names & {"tests", "research", "tools", "dev.py", ".github", ".ci"}
    scripts = [path for path in archived() if path.suffix in (".js", ".html")]
    assert not [path for path in scripts if re.search(r"https?://", (ROOT / path).read_text(encoding="utf-8"))]


def test_the_library_runs_out_of_the_archive(unpacked):
    done = subprocess.run([sys.executable, "-m", "stereosync_core", "--version"], cwd=unpacked, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_registry_knows_the_pack_by_real_fields():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    fields = dict(re.findall(r'^(\w[\w-]*) = "(.*)"$', text.split("[tool.comfy]")[1].split("\n[")[0], re.MULTILINE))
    assert set(fields) == {"PublisherId", "DisplayName", "Icon", "Banner", "requires-comfyui"}
    repository = re.search(r'^Repository = "https://github.com/(.*)"', text, re.MULTILINE)
    assert repository
    for field, size in {"Icon": (400, 400), "Banner": (1680, 720)}.items():
        place = fields[field].removeprefix(f"https://raw.githubusercontent.com/{repository[1]}/main/")
        with Image.open(ROOT / place) as picture:
            assert picture.size == size
    version = re.search(r'^version = "(\d+\.\d+\.\d+)"', text, re.MULTILINE)
    assert version, "semantic versioning"
