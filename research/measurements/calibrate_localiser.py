"""Make stereosync_core/rendering/panning_laws.json: what azimuth does to level and delay under each law of placement.

    python -m research.measurements.calibrate_localiser DIR/valid

``rooms``: the level difference of the recordings (the engine's mix) of a set of walking rooms, over the windows that belong to
one visible walker, as median against azimuth, made odd and rising. ``pan`` and ``binaural``: noise through the pack's own
renderer at known azimuths, level by band and delay by the peak of the cross-correlation. Run once on the validation set; no
number in docs/results.md is from a clip that a curve was made on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.optimize import isotonic_regression

from research.rooms.rooms import RoomSet
from stereosync_core.metrics.localiser import FLOOR, WINDOW
from stereosync_core.rendering.analysis import level_difference
from stereosync_core.rendering.panning_laws import PANNING_LAWS
from stereosync_core.rendering.spatialize import SpatializeSettings, spatialize
from stereosync_core.scene import Track, Tracks

RATE = 44100
CENTRES = 150.0 * 2 ** (np.arange(14) / 2)


def rooms_law(folder: Path) -> dict:
    azimuths, differences = [], []
    for clip in RoomSet(folder):
        times, difference, _, sounding = level_difference(clip.sound, RATE, WINDOW, FLOOR)
        truth = clip.truth()
        owner = np.where(sounding, truth.owner(times), 0)
        azimuth = truth.azimuth(owner, times)
        azimuths.append(azimuth[owner > 0])
        differences.append(difference[owner > 0])
    x, y = np.concatenate(azimuths), np.concatenate(differences)
    x, y = np.concatenate([x, -x]), np.concatenate([y, -y])  # left and right alike
    grid = np.linspace(-1.0, 1.0, 41)
    curve = np.array([np.median(y[np.abs(x - at) <= 0.04]) for at in grid])
    curve = isotonic_regression((curve - curve[::-1]) / 2).x
    return {
        "made_from": f"{len(x) // 2} windows of {Path(folder).name} rooms",
        "azimuth": grid.round(4).tolist(),
        "centres": [1000.0],
        "level_db": [curve.round(3).tolist()],
        "delay": [0.0] * len(grid),
    }


def renderer_law(mode: str) -> dict:
    grid = np.linspace(-1.0, 1.0, 21)
    noise = np.random.default_rng(0).standard_normal((1, 1, RATE)).astype(np.float32) * 0.05
    levels, delays = [], []
    for at in grid:
        box = np.array([[(at + 1) / 2 - 0.02, 0.3, (at + 1) / 2 + 0.02, 0.7]])
        tracks = Tracks((Track(1, "noise", np.array([0.0, 1.0]), np.repeat(box, 2, 0)),), duration=1.0, max_gap=2.0)
        settings = SpatializeSettings(mode, room=0.0, distance=0.0, air=False)
        sound = spatialize(noise, RATE, tracks, settings, duration=1.0).astype(np.float64)
        spectra = np.fft.rfft(sound)
        frequencies = np.fft.rfftfreq(sound.shape[1], 1 / RATE)
        bands = [(frequencies >= c * 2**-0.25) & (frequencies < c * 2**0.25) for c in CENTRES]
        power = np.array([(np.abs(spectra[:, band]) ** 2).sum(1) for band in bands])
        levels.append(10 * np.log10(power[:, 1] / power[:, 0]))
        low = spectra * (frequencies < 1600)
        fine = 16
        across = np.fft.irfft(low[0] * low[1].conj(), sound.shape[1] * fine)
        reach = round(0.001 * RATE * fine)
        lags = np.arange(-reach, reach + 1)
        delays.append(lags[np.argmax(across[lags])] / (RATE * fine))
    level, delay = np.array(levels).T, np.array(delays)
    level, delay = (level - level[:, ::-1]) / 2, (delay - delay[::-1]) / 2
    return {
        "made_from": f"noise through spatialize, mode {mode}",
        "azimuth": grid.round(4).tolist(),
        "centres": CENTRES.round(1).tolist(),
        "level_db": level.round(3).tolist(),
        "delay": delay.round(7).tolist(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rooms", type=Path, help="the validation set")
    arguments = parser.parse_args()
    laws = {"rooms": rooms_law(arguments.rooms), "pan": renderer_law("pan"), "binaural": renderer_law("binaural")}
    text = json.dumps({"laws": laws}, indent=None).replace('"made_from"', '\n"made_from"')
    PANNING_LAWS.write_text(text + "\n", encoding="utf-8")
    for name, law in laws.items():
        edge = [round(row[-1], 1) for row in law["level_db"]]
        print(name, law["made_from"], "edge", edge, "dB", law["delay"][-1] * 1e6, "us")


if __name__ == "__main__":
    main()
