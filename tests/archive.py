"""The archive that the registry gets: the files that git knows, without those of ``.comfyignore``."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

from tools.environment import ROOT


def _listed(*arguments: str) -> set[str]:
    done = subprocess.run(["git", "ls-files", "-z", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in done.stdout.split("\0") if name}


def archived() -> list[Path]:
    """Paths in the archive, from the root on."""
    names = _listed("--cached", "--others", "--exclude-standard") - _listed("--cached", "--ignored", "-X", ".comfyignore")
    names -= _listed("--others", "--ignored", "-X", ".comfyignore")
    return sorted(Path(name) for name in names if (ROOT / name).is_file())


def build_archive(target: Path) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in archived():
            archive.write(ROOT / path, path)
    return target
