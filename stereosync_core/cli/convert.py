"""``convert``: a published training checkpoint of Stable Audio (BEWO's, say) as safetensors, read without running it."""

import argparse
from pathlib import Path
from typing import Any

from ..model.loader import load_stable_audio
from ..model.stable_audio.convert import convert_checkpoint


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("convert", help="a published checkpoint as safetensors", description=__doc__)
    parser.set_defaults(run=run)
    parser.add_argument("checkpoint", type=Path, help="a .ckpt file of stable-audio-tools")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="its model_config.json")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="a new folder, for --model")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    folder = convert_checkpoint(arguments.checkpoint, arguments.config, arguments.output)
    model = load_stable_audio(folder)
    return {"output": str(folder), "objective": model.objective, "window_seconds": round(model.window / model.latent_rate, 2)}
