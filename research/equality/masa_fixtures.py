"""Small parity fixtures of MASA, for the repository, out of the large ones that the released code's numbers were recorded in.

    python -m research.equality.masa_fixtures /path/to/fixtures/masa

writes tests/parity/fixtures/masa: single operators, a frame through the network at 224 pixels with every map thinned, and
the first frames of the tracker's sequence. The numbers stay as recorded. Weights are not kept but made (:func:`weights`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

TARGET = Path(__file__).resolve().parents[2] / "tests" / "parity" / "fixtures" / "masa"
FRAMES, TRACKED_FRAMES = 1, 8
#: Channels of the operators' outputs, and rows and columns of the resized picture.
CHANNELS, RESIZED = 2, (18, 24)
#: Values that are kept of a map along each axis, at least.
KEPT = {3: (16, 3, 3), 4: (9, 8, 3, 3), 2: (9, 32)}
#: Small arrays that are kept as they are.
WHOLE = ("boxes", "scores", "labels", "rois", "embed", "match", "track_")


def weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Made-up weights, each a function of its name and shape: normal values, scaled so that activations stay near 1."""
    return {name: _weight(name, tuple(shape)) for name, shape in shapes.items()}


def _weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, dtype=np.int64)
    values = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith(("running_mean", "bias")):
        values = 0.1 * values
    elif name.endswith("running_var"):
        values = 1.0 + 0.1 * np.abs(values)
    elif len(shape) == 1:
        values = 1.0 + 0.1 * values
    else:
        values = values / np.sqrt(np.prod(shape[1:]))
    return values.astype(np.float32)


def digest(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Of all names and shapes, whatever their order."""
    return hashlib.sha256(json.dumps(sorted((name, list(shape)) for name, shape in shapes.items())).encode()).hexdigest()


def small_operators(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Fewer channels, of the oversize maps the part that is read, and a corner of the resized picture."""
    small = dict(arrays)
    small["roi_in"], small["roi_out"] = arrays["roi_in"][:, :CHANNELS], arrays["roi_out"][:, :CHANNELS]
    for name in ("dcn_s1_out", "dcn_s2_out", "dcn_big_out"):
        small[name] = arrays[name][:, :CHANNELS]
    small["dcn_w"] = arrays["dcn_w"][:CHANNELS]
    pixels = np.prod(arrays["dcn_big_out"].shape[-2:])
    for name, count in (("dcn_big_offset", 18), ("dcn_big_mask", 9)):
        small[name] = arrays[name].reshape(1, -1)[:, : count * pixels]
    before, after = arrays["resize_in_rgb"], arrays["resize_out_rgb"]
    rows, columns = (side * old // new for side, old, new in zip(RESIZED, before.shape, after.shape, strict=False))
    small["resize_in_rgb"], small["resize_out_rgb"] = before[:rows, :columns], after[: RESIZED[0], : RESIZED[1]]
    return small


def small_features(arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first frames, with every map thinned further."""
    small, steps = {"frames_rgb": arrays["frames_rgb"][:FRAMES]}, {}
    for name, values in arrays.items():
        prefix, _, stage = name.partition("_")
        if prefix not in {f"f{number}" for number in range(FRAMES)}:
            continue
        if stage.startswith(WHOLE):
            small[name] = values
            continue
        thinning = [max(1, side // kept) for side, kept in zip(values.shape, KEPT[values.ndim], strict=True)]
        small[name] = values[tuple(slice(None, None, step) for step in thinning)]
        before = facts["stored_step_chw"].get(name, [1] * values.ndim)
        steps[name] = [step * old for step, old in zip(thinning, before, strict=True)]
    frames = [{"stats": frame["stats"]} for frame in facts["frames"][:FRAMES]]
    return small, {"resize_scale": facts["resize_scale"], "frames": frames, "stored_step_chw": steps}


def small_sequence(arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The first frames of the tracker's inputs and outputs; a tracker does not look ahead."""
    boxes = arrays["frame_ptr"][TRACKED_FRAMES]
    small = {name: values[:boxes] for name, values in arrays.items() if name.startswith("in_")}
    small["frame_ptr"] = arrays["frame_ptr"][: TRACKED_FRAMES + 1]
    for name in settings:
        for key, pointer in (("", "ptr"), ("memory_", "memory_ptr")):
            ends = arrays[f"{name}_{pointer}"][: TRACKED_FRAMES + 1]
            small[f"{name}_{pointer}"] = ends
            for part in ("ids",) if key else ("boxes", "scores", "labels", "ids"):
                small[f"{name}_{key}{part}"] = arrays[f"{name}_{key}{part}"][: ends[-1]]
        shapes = arrays[f"{name}_match_shape"][:TRACKED_FRAMES]
        small[f"{name}_match_shape"] = shapes
        small[f"{name}_match_flat"] = arrays[f"{name}_match_flat"][: shapes.prod(axis=1).sum()]
    return small


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the large fixtures")
    folder = parser.parse_args().folder
    TARGET.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(TARGET / "ops.npz", **small_operators(np.load(folder / "ops.npz")))
    facts = json.loads((folder / "features_small.json").read_text())
    arrays, facts = small_features(np.load(folder / "features_small.npz"), facts)
    keys = json.loads((folder / "keys.json").read_text())
    facts["weights"] = digest({name: key["shape"] for name, key in keys.items() if key["inference"]})
    np.savez_compressed(TARGET / "features_small.npz", **arrays)
    (TARGET / "features_small.json").write_text(json.dumps(facts))
    facts = json.loads((folder / "tracker.json").read_text())
    np.savez_compressed(TARGET / "tracker.npz", **small_sequence(np.load(folder / "tracker.npz"), facts["settings"]))
    (TARGET / "tracker.json").write_text(json.dumps(facts | {"frames": TRACKED_FRAMES}))
    print(f"{sum(path.stat().st_size for path in TARGET.iterdir()) / 1000:.0f} kB in {TARGET}")


if __name__ == "__main__":
    main()
