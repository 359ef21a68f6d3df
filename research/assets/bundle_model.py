"""Puts a trained model among the bundled files, and its checksums into their list.

.venv/bin/python -m research.assets.bundle_model DIR [--name walking-rooms]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
from pathlib import Path

from stereosync_core.assets import FOLDER
from stereosync_core.model.folder import CONFIG, read_model_config
from stereosync_core.model.loader import BUNDLED

PARTS = {
    "autoencoder": "autoencoder of levels and components",
    "diffusion": "StereoSync diffusion model",
    "timbre": "timbre of any sound",
    "envelope": "envelope from video",
    "levels": "levels of the channels, read off latents",
}
ORIGIN = "trained by this project on its walking rooms (docs/training.md)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--name", default=BUNDLED)
    arguments = parser.parse_args()
    config = read_model_config(arguments.model)
    target = FOLDER / arguments.name
    target.mkdir(exist_ok=True)
    rows = []
    for part, what in PARTS.items():
        if part not in config:
            continue
        path = target / f"{part}.safetensors"
        shutil.copyfile(arguments.model / path.name, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append(f"| `{arguments.name}/{path.name}` | {what} | {ORIGIN} | Apache-2.0 | `{digest}` |")
    if "base" in config:
        config["base"] = f"../{BUNDLED}"
    (target / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    _list(arguments.name, rows)
    print(f"{target.name}: {sum(path.stat().st_size for path in target.iterdir()) / 1e6:.1f} MB")


def _list(name: str, rows: list[str]) -> None:
    page = FOLDER / "LICENSES.md"
    lines = [line for line in page.read_text(encoding="utf-8").split("\n") if not line.startswith(f"| `{name}/")]
    last = max(n for n, line in enumerate(lines) if re.match(r"\| `[^`]+` .*`[0-9a-f]{64}` \|$", line))
    page.write_text("\n".join([*lines[: last + 1], *rows, *lines[last + 1 :]]), encoding="utf-8")


if __name__ == "__main__":
    main()
