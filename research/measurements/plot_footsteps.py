"""Draw docs/footsteps.png: spectrograms of recorded steps beside synthesised ones, and print what was measured on both.

    python -m research.measurements.plot_footsteps [folder with recordings]

The recordings are the CC0 ones of Minetest (Debian's minetest-data, games/minetest_game/mods/default/sounds); without them the
figure shows the synthesis alone.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stereosync_core.media.sound import require_sound, resample
from stereosync_core.rendering.footsteps import render_footsteps
from stereosync_core.rendering.gait import Steps, steps_from_cadence
from stereosync_core.rendering.surfaces import SHOES, SURFACES

RATE = 48000
#: What each surface is compared with. Gravel is dug with a spade and wood struck with a blade: near, but no steps.
RECORDINGS = {
    "metal": "default_metal_footstep.*.ogg",
    "snow": "default_snow_footstep.*.ogg",
    "sand": "default_sand_footstep.*.ogg",
    "gravel": "default_gravel_d[iu]g.*.ogg",
    "wood": "default_dig_choppy.*.ogg",
}
BANDS = np.array([20, 80, 160, 315, 630, 1250, 2500, 5000, 10000, 20000])


@dataclass(frozen=True)
class Measures:
    """Of one step: spectral centroid in Hz, seconds that hold the middle 90 % of the energy, seconds from the loudest moment
    until the level has fallen by 20 dB for good, and the energy in octave bands in dB of the whole."""

    centroid: float
    length: float
    decay: float
    bands: np.ndarray


def measure_step(sound: np.ndarray, rate: int = RATE) -> Measures:
    power = np.abs(np.fft.rfft(sound)) ** 2
    frequency = np.fft.rfftfreq(len(sound), 1 / rate)
    energy = np.cumsum(sound.astype(np.float64) ** 2)
    start, stop = np.searchsorted(energy / energy[-1], [0.05, 0.95])
    level = np.convolve(sound.astype(np.float64) ** 2, np.ones(rate // 100), "same")
    sounding = np.flatnonzero(level > 0.01 * level.max())
    bands = [power[(frequency >= low) & (frequency < high)].sum() for low, high in itertools.pairwise(BANDS)]
    return Measures(
        centroid=float((frequency * power).sum() / power.sum()),
        length=(stop - start) / rate,
        decay=(sounding[-1] - int(level.argmax())) / rate,
        bands=10 * np.log10(np.array(bands) / power.sum() + 1e-9),
    )


def read(path: Path) -> np.ndarray:
    return resample(require_sound(path, "recordings"), RATE).samples.mean(0)


def recordings(folder: Path | None, surface: str) -> list[np.ndarray]:
    pattern = RECORDINGS.get(surface)
    return [read(path) for path in sorted(folder.glob(pattern))] if pattern and folder else []


def step(surface: str, seed: int) -> np.ndarray:
    return render_footsteps(Steps(np.array([0.02]), np.ones(1), np.array([seed % 2])), surface, 0.9, RATE, seed=seed)[0]


def report(name: str, sounds: list[np.ndarray]) -> None:
    measures = [measure_step(sound) for sound in sounds]

    def span(values, digits=0):
        return f"{min(values):.{digits}f}..{max(values):.{digits}f}"

    bands = " ".join(f"{value:4.0f}" for value in np.mean([m.bands for m in measures], axis=0))
    print(
        f"{name:22s} centroid {span([m.centroid for m in measures]):>12s} Hz  "
        f"length {span([m.length * 1e3 for m in measures]):>9s} ms  "
        f"decay {span([m.decay * 1e3 for m in measures]):>9s} ms  octaves {bands} dB"
    )


def draw(folder: Path | None, target: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from PIL import Image

    rows: list[tuple[str, list[np.ndarray]]] = []
    for surface in dict.fromkeys([*RECORDINGS, *SURFACES]):
        made = [step(surface, seed) for seed in range(8)]
        for name, sounds in (("recorded", recordings(folder, surface)), ("made", made)):
            if sounds:
                report(f"{surface}, {name}", sounds)
                rows.append((f"{surface}, {name}", sounds[:4]))
    walk = steps_from_cadence(1.9, 2.2, start=0.1, seed=1)
    rows += [(f"concrete, {shoe}, a walk", [render_footsteps(walk, "concrete", 2.2, RATE, shoe=shoe)[0]]) for shoe in SHOES]

    columns = 2
    lines = -(-len(rows) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(13, 1.55 * lines), squeeze=False, layout="constrained")
    for axis in axes.flat[len(rows) :]:
        axis.set_visible(False)
    for axis, (title, sounds) in zip(axes.flat, rows, strict=False):
        length = 0.55 if len(sounds) > 1 else 2.2
        line = np.concatenate([np.pad(sound, (0, RATE))[: round(length * RATE)] / np.abs(sound).max() for sound in sounds])
        dither = 1e-6 * np.random.default_rng(0).standard_normal(len(line))  # a silence has no logarithm
        axis.specgram(line + dither, NFFT=1024, noverlap=896, Fs=RATE, vmin=-125, vmax=-40, cmap="magma")
        axis.set(yscale="symlog", ylim=(40, 20000), title=title)
        axis.set_yscale("symlog", linthresh=200)
        axis.set_yticks([100, 300, 1000, 3000, 10000], ["100", "300", "1k", "3k", "10k"])
        axis.tick_params(labelsize=7)
        axis.title.set_fontsize(9)
    figure.supxlabel("seconds (steps set side by side)", fontsize=9)
    figure.supylabel("Hz", fontsize=9)
    target.parent.mkdir(exist_ok=True)
    figure.savefig(target, dpi=80)
    with Image.open(target) as picture:  # a palette is enough for one colour map, and a third of the size
        picture.convert("RGB").quantize(128).save(target, optimize=True)
    print(target)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path, nargs="?", help="folder of the recordings")
    parser.add_argument("--target", type=Path, default=Path(__file__).resolve().parents[2] / "docs" / "footsteps.png")
    arguments = parser.parse_args()
    draw(arguments.recordings, arguments.target)
