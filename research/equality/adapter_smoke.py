"""Train an adapter over Stable Audio Open of its full size for a few steps, on random weights, and measure what it takes.

    python -m research.equality.adapter_smoke                   # 1.0: 14 GB of memory at most, 10 GB of disk, some minutes
    python -m research.equality.adapter_smoke --narrow                # the same way through at a small width
    python -m research.equality.adapter_smoke --form paper --batch 8

writes a release with random weights and runs ``train adapter`` with the bundled config, but for few clips and a small batch, in
a process of its own, whose memory is looked at twice a second. The rooms must be there (``make-rooms``), one clip of each split
and more.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from safetensors import safe_open

from research.cache import default_rooms
from research.cli.train import CONFIGS
from research.equality.release_weights import release_weights
from research.equality.stable_audio_equality import reduced
from research.equality.stable_audio_reference import write
from stereosync_core.model.stable_audio.config import RELEASES, release_config

ROOT = Path(__file__).resolve().parents[2]


def write_release(folder: Path, config: dict) -> Path:
    """A release's folder with random weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model_config.json").write_text(json.dumps(config), encoding="utf-8")
    write(folder / "model.safetensors", release_weights(config))
    return folder


def smoke_config(form: str, batch: int, clips: int, precision: str, blocks: int) -> dict:
    """The bundled config of a form, for few clips and at most so many blocks; it computes in ``precision``."""
    name = {"aligned": "adapter", "paper": "adapter_paper"}[form]
    config = json.loads((CONFIGS / f"{name}.json").read_text(encoding="utf-8"))
    config |= {"batch": batch, "train_clips": clips, "valid_clips": 1, "base_precision": precision, "prompt": None}
    config["model"]["control"]["blocks"] = min(blocks, config["model"]["control"]["blocks"])
    config["loop"] |= {"precision": {"fp32": "no"}.get(precision, precision), "warmup": 1}
    return config


def held(process: int) -> int:
    """Bytes of memory that a process and its children take, what they share counted once."""
    total = 0
    try:
        rows = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        total = 1024 * sum(int(row.split()[1]) for row in rows if row.startswith("Pss:"))
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:  # it has ended
        return total
    return total + sum(held(int(child)) for child in children)


def main() -> int:
    parser = argparse.ArgumentParser("adapter_smoke", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", choices=RELEASES, default=RELEASES[0])
    parser.add_argument("--narrow", action="store_true", help="at a small width")
    parser.add_argument("--form", choices=["aligned", "paper"], default="aligned")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--clips", type=int, default=2, help="to learn from")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--rooms", type=Path, help="folder of the splits (default: make-rooms' own)")
    parser.add_argument("--base", type=Path, help="a release that is there, instead of one with random weights")
    parser.add_argument("--folder", type=Path, help="where everything is written; a temporary one when left out")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        scratch = Path(name)
        config = reduced(arguments.size) if arguments.narrow else release_config(arguments.size)
        release = (arguments.base or write_release(scratch / "release", config)).resolve()
        rooms = (arguments.rooms or default_rooms()).resolve()
        (scratch / "rooms").mkdir()  # so that latents of random weights are not kept among the rooms
        for split in ("train", "valid"):
            (scratch / "rooms" / split).symlink_to(rooms / split)
        depth = config["model"]["diffusion"]["config"]["depth"]
        config = smoke_config(arguments.form, arguments.batch, arguments.clips, arguments.precision, depth)
        (scratch / "smoke.json").write_text(json.dumps(config), encoding="utf-8")
        out = scratch / "adapter"
        command = [sys.executable, "-m", "research", "train", "adapter", "--base", release, "--out", out, "--quiet"]
        command += ["--rooms", scratch / "rooms", "--config", scratch / "smoke.json", "--steps", arguments.steps]
        started, peak, stepping = time.monotonic(), 0, None
        process = subprocess.Popen([str(part) for part in command], cwd=ROOT)
        while process.poll() is None:
            peak = max(peak, held(process.pid))
            if stepping is None and (out / "training-smoke").exists():
                stepping = time.monotonic()
                print(f"loading and latents  {stepping - started:.0f} s, at most {peak / 1e9:.2f} GB")
            time.sleep(0.5)
        if process.returncode:
            return process.returncode
        print(f"in all               {time.monotonic() - started:.0f} s, at most {peak / 1e9:.2f} GB")
        with safe_open(str(out / "adapter.safetensors"), "pt") as file:
            names = list(file.keys())
            count = sum(file.get_tensor(name).numel() for name in names)
        size = (out / "adapter.safetensors").stat().st_size
        print(f"adapter              {count / 1e6:.1f} M parameters, {size / 1e6:.0f} MB, parts {sorted(_parts(names))}")
        print((out / "training-smoke" / "curves.csv").read_text(encoding="utf-8"))
    return 0


def _parts(names: list[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


if __name__ == "__main__":
    sys.exit(main())
