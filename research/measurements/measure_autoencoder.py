"""How well the bundled autoencoder keeps sounds: test rooms, and the recorded footsteps of Debian's minetest-data.

.venv/bin/python -m research.measurements.measure_autoencoder [--model DIR] [--clips 200] [--recordings DIR]
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from scipy.signal import stft

from research.cache import default_rooms
from research.rooms.rooms import RoomSet
from stereosync_core.media.sound import require_sound, resample
from stereosync_core.model.level_autoencoder import LevelAutoencoder
from stereosync_core.model.loader import bundled_folder, load_autoencoder
from stereosync_core.rendering.analysis import level_difference

RATE = 44100
RECORDINGS = ("metal_footstep", "snow_footstep", "sand_footstep", "gravel_d[iu]g", "dig_choppy")
RESOLUTIONS = (2048, 512, 128)


def recorded_steps(folder: Path) -> list[np.ndarray]:
    """Each recorded step as stereo ``[2, N]``, 10 dB softer on the right, and silence up to half a second at least."""
    steps = []
    for name in RECORDINGS:
        for path in sorted(folder.glob(f"default_{name}.*.ogg")):
            mono = resample(require_sound(path, "recording"), RATE).samples.mean(0)
            mono = np.pad(mono, (0, max(0, RATE // 2 - len(mono))))
            steps.append(np.stack([mono, mono * 10**-0.5]))
    return steps


def round_trip(network: LevelAutoencoder, sound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(wanted, made)``, float32 ``[2, N]``, of a sound ``[2, N]``, encoded at a peak of 0.9."""
    wanted = sound.astype(np.float32)
    wanted *= 0.9 / max(float(np.abs(wanted).max()), 1e-9)
    made = network.decode(network.encode(torch.from_numpy(wanted)[None]))[0, :, : wanted.shape[1]]
    return wanted, made.numpy()


def level_errors(made: np.ndarray, wanted: np.ndarray, rate: int) -> tuple[float, float]:
    """Mean errors in dB of the level and of the level difference, ``[2, N]`` each, over the wanted sound's windows of 0.1 s
    within 35 dB of its loudest; differences clipped at 25 dB. NaN where nothing sounds."""
    _, difference, level, sounding = level_difference(wanted, rate)
    _, made_difference, made_level, _ = level_difference(made, rate)
    if not sounding.any():
        return float("nan"), float("nan")
    return (
        float(np.abs(made_level - level)[sounding].mean()),
        float(np.abs(made_difference - difference)[sounding].mean()),
    )


def stft_distance(made: np.ndarray, wanted: np.ndarray) -> float:
    """Mean over resolutions and channels of ``[2, N]`` of spectral convergence plus log-magnitude difference (Yamamoto et al.,
    "Parallel WaveGAN", 2020), magnitudes floored at -80 dB of the wanted sound's largest."""
    parts = []
    for window in RESOLUTIONS:
        spectra = [np.abs(stft(sound, nperseg=window, noverlap=window * 3 // 4)[2]) for sound in (made, wanted)]
        floor = max(float(spectra[1].max()) * 1e-4, 1e-9)
        a, b = (np.maximum(spectrum, floor) for spectrum in spectra)
        parts.append(np.linalg.norm(a - b) / np.linalg.norm(b) + np.abs(np.log(a / b)).mean())
    return float(np.mean(parts))


def si_sdr(made: np.ndarray, wanted: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio in dB of ``[2, N]``, both channels as one signal (Le Roux et al., "SDR -
    half-baked or well done?", 2019). NaN for silence."""
    made, wanted = made.ravel().astype(np.float64), wanted.ravel().astype(np.float64)
    energy = wanted @ wanted
    if energy == 0:
        return float("nan")
    target = (made @ wanted) / energy * wanted
    return float(10 * np.log10(max(target @ target, 1e-20) / max(np.square(made - target).sum(), 1e-20)))


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
