"""``train``: train a part of the bundled model on walking rooms; the same command goes on after a stop."""

import argparse
import importlib
import time
from pathlib import Path
from typing import Any

from stereosync_core.cli.evaluate import progress_bar
from stereosync_core.errors import StereoSyncError, explained
from stereosync_core.files import read_object
from stereosync_core.model.folder import inherit_parts
from stereosync_core.model.loader import is_release

from ..cache import default_rooms

CONFIGS = Path(__file__).resolve().parents[1] / "training" / "configs"
#: Modules of the parts' tasks; the class of ``envelope`` is ``EnvelopeTask``.
TASKS = ("components", "directions", "diffusion", "adapter", "envelope", "levels")


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("train", help="train a part of the bundled model", description=__doc__)
    parser.set_defaults(run=run)
    parser.add_argument("part", choices=TASKS)
    parser.add_argument("--config", type=Path, help="JSON; default: the bundled model's own")
    parser.add_argument("--rooms", type=Path, metavar="DIR", help="folder of the splits (default: make-rooms' own)")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the model's folder, with the parts trained before"
    )
    parser.add_argument(
        "--base",
        type=Path,
        metavar="DIR",
        help="another model's folder that lends the parts which --out has not; for an adapter, Stable Audio Open or 3; for "
        "levels, either",
    )
    parser.add_argument("--t5", type=Path, metavar="DIR", help="for an adapter: folder of T5 base, for the config's prompt")
    parser.add_argument(
        "--start",
        type=Path,
        nargs="+",
        default=(),
        metavar="DIR",
        help="for diffusion: models whose weights the training starts from; what the first has not comes from the next",
    )
    parser.add_argument("--steps", type=int, help="instead of the config's")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    from ..training.loop import LoopSettings, curves, train

    with explained("Training needs accelerate; run: pip install -r requirements-train.txt", ImportError):
        from accelerate import PartialState
    started = time.perf_counter()
    path = arguments.config or CONFIGS / f"{arguments.part}.json"
    config = read_object(path, "Config", "give a training's JSON file, such as those in research/training/configs")
    if config.get("task") != arguments.part:
        raise StereoSyncError(f"Config: '{path}' is for training '{config.get('task')}', not '{arguments.part}'.")
    loop = dict(config.get("loop", {}))
    if arguments.steps:
        loop["steps"] = arguments.steps
    with explained(f"Config: 'loop' of '{path}' has wrong entries ({{error}}).", TypeError):
        settings = LoopSettings(**loop)
    module = importlib.import_module(f"..training.{arguments.part}", __package__)
    kind = getattr(module, f"{arguments.part.capitalize()}Task")
    more = {}
    if arguments.start:
        if arguments.part != "diffusion":
            raise StereoSyncError(f"--start is for training the diffusion, not '{arguments.part}'; leave it out.")
        more = {"start": arguments.start}
    state = PartialState()
    first = state.is_main_process
    if not first:
        arguments.quiet, arguments.json = True, False
    with state.main_process_first():  # it leaves the others what it has read of the rooms
        if arguments.part == "adapter":
            more = {"base": arguments.base, "t5": arguments.t5}
        elif arguments.t5 is not None:
            raise StereoSyncError(f"--t5 is for training an adapter, not '{arguments.part}'; leave it out.")
        elif arguments.part == "levels" and is_release(arguments.base):
            more = {"base": arguments.base}
        elif arguments.base is not None and first:
            inherit_parts(arguments.out, arguments.base)
        task = kind(config, arguments.rooms or default_rooms(), arguments.out, **more)
    folder = arguments.out / f"training-{path.stem}"
    with progress_bar(arguments.part, arguments.quiet or arguments.json, "step") as show:

        def progress(done: int, total: int, losses: dict[str, float]) -> None:
            show(done, total, **{key: f"{value:.3f}" for key, value in losses.items()})

        with explained("Training: stopped; the same command goes on from the last checkpoint.", KeyboardInterrupt):
            network = task.fit() if hasattr(task, "fit") else train(task, settings, folder, progress=progress)
    if first:
        task.save(network, arguments.out)
    last = (curves(folder) or [{}])[-1]
    return {"out": str(arguments.out), "seconds": round(time.perf_counter() - started, 1)} | last
