"""How well the bundled autoencoder keeps sounds: test rooms, and the recorded footsteps of Debian's minetest-data.

.venv/bin/python -m research.measurements.measure_autoencoder [--model DIR] [--clips 200] [--recordings DIR]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from research.cache import default_rooms
from research.measurements.plot_footsteps import RECORDINGS
from research.measurements.reconstruction import level_errors, si_sdr, stft_distance
from research.rooms.rooms import RoomSet
from research.training.autoencoder import round_trip
from stereosync_core.media.sound import require_sound, resample
from stereosync_core.model.loader import bundled_folder, load_autoencoder

RATE = 44100


def recorded_steps(folder: Path) -> list[np.ndarray]:
    """Each recorded step as stereo ``[2, N]``, 10 dB softer on the right, and silence up to half a second at least."""
    steps = []
    for pattern in RECORDINGS.values():
        for path in sorted(folder.glob(pattern)):
            mono = resample(require_sound(path, "recording"), RATE).samples.mean(0)
            mono = np.pad(mono, (0, max(0, RATE // 2 - len(mono))))
            steps.append(np.stack([mono, mono * 10**-0.5]))
    return steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--recordings", type=Path, help="games/minetest_game/mods/default/sounds of minetest-data")
    arguments = parser.parse_args()
    network = load_autoencoder(arguments.model or bundled_folder())
    rooms = RoomSet(default_rooms() / "test")
    sets: dict[str, Iterable[np.ndarray]] = {
        f"test rooms ({arguments.clips})": (rooms[n].sound for n in range(arguments.clips))
    }
    steps = recorded_steps(arguments.recordings) if arguments.recordings else []
    if steps:
        sets[f"recorded steps ({len(steps)})"] = steps
    print("| sounds | level error | level-difference error | STFT distance | SI-SDR |")
    print("|---|---|---|---|---|")
    for name, sounds in sets.items():
        rows = []
        for sound in sounds:
            with torch.inference_mode():
                wanted, made = round_trip(network, sound)
            rows.append((*level_errors(made, wanted, RATE), stft_distance(made, wanted), si_sdr(made, wanted)))
        level, difference, spectra, ratio = np.nanmean(np.array(rows), axis=0)
        print(f"| {name} | {level:.2f} dB | {difference:.2f} dB | {spectra:.2f} | {ratio:.1f} dB |")


if __name__ == "__main__":
    main()
