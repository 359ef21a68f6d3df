"""Makes the pictures that the project shows from the screenshots of the browser tests:

    python3 dev.py test tests/browser
    .venv/bin/python -m tests.browser.screenshots

``docs/canvas.png``, ``docs/editor.png`` and ``docs/templates.png``. Thumbnails come from :mod:`tests.browser.thumbnails`.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tools.environment import ROOT

SCREENSHOTS = ROOT / "build" / "screenshots"


def documentation(name: str, target: str) -> Path:
    """A screenshot with 64 levels a colour, which the eye does not miss and which keeps it small."""
    path = ROOT / "docs" / target
    path.parent.mkdir(exist_ok=True)
    with Image.open(SCREENSHOTS / name) as picture:
        picture.convert("RGB").point(lambda value: value & 0xFC | value >> 6).save(path, optimize=True)
    return path


def main() -> None:
    pictures = {"StereoSync bundled model.png": "canvas.png", "scene_editor_classic.png": "editor.png"}
    for path in [documentation(*pair) for pair in [*pictures.items(), ("templates.png", "templates.png")]]:
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
