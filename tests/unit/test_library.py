"""stereosync_core as an installed package, and its public names."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import stereosync_core
from tools.environment import ROOT


def test_every_public_name_is_there_and_a_type_checker_sees_the_same():
    for name in stereosync_core.__all__:
        assert getattr(stereosync_core, name) is not None
    tree = ast.parse(Path(stereosync_core.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 1]
    seen = {alias.name: node.module for node in imports for alias in node.names}
    assert seen == stereosync_core._PUBLIC


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = stereosync_core.nothing


@pytest.mark.slow
def test_the_wheel_imports_without_comfyui_and_carries_the_bundled_files(tmp_path):
    """Built from a copy, for pip builds in the folder that it is given."""
    pytest.importorskip("setuptools", minversion="77")
    source = tmp_path / "source"
    shutil.copytree(ROOT / "stereosync_core", source / "stereosync_core", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "requirements.txt"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(tmp_path / "site"), str(source)], check=True, capture_output=True)
    program = """
import json, sys
import stereosync_core
quick = "torch" not in sys.modules and "numpy" not in sys.modules
names = [getattr(stereosync_core, name) is not None for name in stereosync_core.__all__]
host = sorted({"comfy", "comfy_api", "folder_paths", "server"} & set(sys.modules))
print(json.dumps([quick, all(names), host, stereosync_core.__file__]))
"""
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    quick, names, host, where = json.loads(done.stdout)
    assert (quick, names, host) == (True, True, [])
    installed = Path(where).parent
    assert installed == tmp_path / "site" / "stereosync_core"
    wanted = {path.relative_to(source) for path in (source / "stereosync_core").rglob("*") if path.is_file()}
    assert {path for path in wanted if not (tmp_path / "site" / path).is_file()} == set()
