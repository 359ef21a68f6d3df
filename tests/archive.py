"""The archive that the registry gets: the files that git knows, without those of ``.comfyignore``.

    .venv/bin/python -m tests.archive

builds it, installs it into a ComfyUI of its own that has no other pack, and runs the demo from there.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from dev import demo
from tests.hosts import prepared_environment
from tools.environment import ROOT, pip, run, say
from tools.host import PACK


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


def main() -> int:
    environment = prepared_environment()
    with tempfile.TemporaryDirectory(prefix="stereosync-archive-") as folder:
        archive = build_archive(Path(folder) / "node.zip")
        pack = Path(folder) / "custom_nodes" / PACK
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(pack)
            say(f"{archive.stat().st_size / 1e6:.1f} MB, {len(opened.namelist())} files; installing as ComfyUI-Manager does")
        pip(environment.python, "-r", pack / "requirements.txt")
        run([environment.python, pack / "install.py"])
        return demo(environment, None, Path(folder), pack)


if __name__ == "__main__":
    sys.exit(main())
