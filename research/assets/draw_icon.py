"""Draws what the registry shows of the pack: ``docs/icon.png`` (400 x 400) and ``docs/banner.png`` (21:9).

    python -m research.assets.draw_icon

Both channels of a sound that goes from left to right, and above them the path of what sounds, with its steps.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

DOCS = Path(__file__).parents[2] / "docs"
ICON, BANNER = (400, 400), (1680, 720)
#: Pixels drawn for each pixel that is kept, so that edges are smooth.
_FINE = 3
_GROUND, _LEFT, _RIGHT, _WHITE = (20, 24, 31), (230, 159, 0), (86, 180, 233), (240, 244, 248)


def drawn(size: tuple[int, int], box: tuple[float, float, float, float], steps: int) -> Image.Image:
    """The picture of ``size`` pixels with the sound in ``box`` (left, top, right, bottom, in 0..1 of it)."""
    width, height = (side * _FINE for side in size)
    picture = Image.new("RGB", (width, height), _GROUND)
    pen = ImageDraw.Draw(picture)
    left, top, right, bottom = (part * side for part, side in zip(box, (width, height, width, height), strict=True))
    unit = bottom - top
    moments = (np.arange(steps) + 0.5) / steps
    bars = 9 * steps
    for bar in range(bars):
        place = (bar + 0.5) / bars
        since = place - moments[moments <= place + 1e-6].max(initial=-1)
        level = 0.12 + 0.88 * np.exp(-since * steps * 3.2)
        x, thick = left + place * (right - left), 0.32 * (right - left) / bars
        for middle, colour, gain in ((0.56, _LEFT, np.cos(place * np.pi / 2)), (0.86, _RIGHT, np.sin(place * np.pi / 2))):
            half = max(0.13 * unit * level * gain, thick)
            y = top + middle * unit
            pen.rounded_rectangle([x - thick, y - half, x + thick, y + half], thick, fill=colour)
    path = [(left + t * (right - left), top + unit * (0.3 - 0.16 * np.sin(t * np.pi))) for t in np.linspace(0, 1, 200)]
    pen.line(path, fill=(96, 108, 122), width=round(0.012 * unit), joint="curve")
    for moment in moments:
        x, y = left + moment * (right - left), top + unit * (0.3 - 0.16 * np.sin(moment * np.pi))
        colour = tuple(round(a + moment * (b - a)) for a, b in zip(_LEFT, _RIGHT, strict=True))
        radius = 0.035 * unit
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)
    return picture.resize(size, Image.Resampling.LANCZOS)


def main() -> None:
    drawn(ICON, (0.1, 0.06, 0.9, 0.96), 4).save(DOCS / "icon.png", optimize=True)
    banner = drawn(BANNER, (0.44, 0.1, 0.95, 0.92), 7)
    pen = ImageDraw.Draw(banner)
    pen.text((96, 250), "StereoSync", fill=_WHITE, font=ImageFont.load_default(104))
    pen.text((100, 390), "Stereo sound for video,", fill=(176, 186, 198), font=ImageFont.load_default(44))
    pen.text((100, 446), "in time and in space", fill=(176, 186, 198), font=ImageFont.load_default(44))
    banner.save(DOCS / "banner.png", optimize=True)


if __name__ == "__main__":
    main()
