"""Makes the pictures that the project shows from the screenshots of the browser tests:

    python3 dev.py test tests/browser
    .venv/bin/python -m tests.browser.screenshots

``docs/canvas.png`` and ``docs/templates.png``, and the thumbnails beside the workflows. After new thumbnails run both once
more, so that ``docs/templates.png`` shows them.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tools.environment import ROOT

SCREENSHOTS = ROOT / "build" / "screenshots"
#: The part of a screenshot of 1600 x 900 that holds the graph without the page around it.
GRAPH = (64, 128, 1536, 896)
THUMBNAIL = (736, 384)


def documentation(name: str, target: str) -> Path:
    """A screenshot with 64 levels a colour, which the eye does not miss and which keeps it small."""
    path = ROOT / "docs" / target
    path.parent.mkdir(exist_ok=True)
    with Image.open(SCREENSHOTS / name) as picture:
        picture.convert("RGB").point(lambda value: value & 0xFC | value >> 6).save(path, optimize=True)
    return path


def thumbnail(workflow: Path) -> Path:
    path = workflow.with_suffix(".jpg")
    with Image.open(SCREENSHOTS / f"{workflow.stem}.png") as picture:
        picture.convert("RGB").crop(GRAPH).resize(THUMBNAIL, Image.Resampling.LANCZOS).save(path, quality=85, optimize=True)
    return path


def main() -> None:
    made = [documentation("stereosync.png", "canvas.png"), documentation("templates.png", "templates.png")]
    made += [thumbnail(path) for path in sorted((ROOT / "workflows").glob("*.json"))]
    for path in made:
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
