"""Mean azimuth error of the localisers, by number of bands and by level, on walking rooms and on the pack's renderer.

    python -m research.measurements.measure_localiser DIR/test --clips 60

Over windows that sound and belong to one visible walker. ``rooms``: the recordings, read by the law of the validation rooms.
``pan``: the renderer's sound of the same clips, whose places are known, read by its own law. ``found`` is the share of
clips whose panning law ``auto`` finds, ``within`` the share of windows whose error is within the uncertainty.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from research.evaluation.systems import load_systems
from research.rooms.rooms import RoomSet
from stereosync_core.metrics.clips import RATE
from stereosync_core.metrics.localiser import BandLocaliser, LevelLocaliser

#: dB below the loudest window of the clip.
LEVELS = ((0, 10), (10, 20), (20, 35))
BANDS = (4, 8, 16, 24)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rooms", type=Path)
    parser.add_argument("--clips", type=int, default=60)
    arguments = parser.parse_args()
    rooms = RoomSet(arguments.rooms)
    made = load_systems(["recordings", "renderer"])
    rows: dict[tuple[str, str], list[np.ndarray]] = {}
    right_laws: dict[str, list[bool]] = {"rooms": [], "pan": []}
    for number in tqdm(range(min(arguments.clips, len(rooms)))):
        clip = rooms[number]
        truth = clip.truth()
        for law, sound in (("rooms", made["recordings"](clip)), ("pan", made["renderer"](clip))):
            right_laws[law].append(BandLocaliser().with_law(sound, RATE)[1] == law)
            for name, localiser in {
                "level": LevelLocaliser(law),
                **{f"{n} bands": BandLocaliser(law, n) for n in BANDS},
            }.items():
                found = localiser(sound, RATE)
                owner = np.where(found.sounding, truth.owner(found.times), 0)
                use = owner > 0
                error = np.abs(found.azimuth - truth.azimuth(owner, found.times))[use]
                below = found.level_db.max() - found.level_db[use]
                rows.setdefault((law, name), []).append(np.stack([error, below, error <= found.uncertainty[use]]))
    print(
        "| sound, law | localiser | all | "
        + " | ".join(f"{a} to {b} dB below the loudest" for a, b in LEVELS)
        + " | within | windows |"
    )
    print("|---|---|---|" + "---|" * len(LEVELS) + "---|---|")
    for (law, name), parts in rows.items():
        error, below, within = np.concatenate(parts, axis=1)
        by_level = [error[(below >= low) & (below < high)] for low, high in LEVELS]
        cells = [f"{error.mean():.3f}", *(f"{one.mean():.3f}" if len(one) else "-" for one in by_level), f"{within.mean():.2f}"]
        print(f"| {law} | {name} | " + " | ".join(cells) + f" | {len(error)} |")
    for law, right in right_laws.items():
        print(f"law {law} found in {np.mean(right):.2f} of {len(right)} clips")


if __name__ == "__main__":
    main()
