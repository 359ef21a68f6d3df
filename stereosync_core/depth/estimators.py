"""Depth estimators by name: what is in :data:`ESTIMATORS` can be chosen on the command line and is tested like the others. A
new one is a file or folder here with two functions and a line in the table (CONTRIBUTING.md)."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from ..errors import StereoSyncError
from ..media.source import Source
from ..scene import DepthSequence
from . import transformers_depth
from .fastdepth import estimate_with_fastdepth, load_fastdepth
from .rollingdepth import loader
from .rollingdepth.pipeline import Progress, estimate_with_rollingdepth
from .transformers_depth import estimate_with_transformers, load_frame_estimator


class Estimator(NamedTuple):
    """An entry of :data:`ESTIMATORS`.

    :param load: the network on the CPU, of a folder; of nothing where it is bundled.
    :param estimate: ``(source, network, *, rate, progress)`` as in :func:`estimate_depth`; further keywords have defaults.
    :param link: where the folder comes from; empty where the network is bundled.
    """

    load: Callable[..., torch.nn.Module]
    estimate: Callable[..., DepthSequence]
    link: str = ""


ESTIMATORS = {
    "fastdepth": Estimator(load_fastdepth, estimate_with_fastdepth),
    "depth-anything": Estimator(load_frame_estimator, estimate_with_transformers, transformers_depth.LINK),
    "rollingdepth": Estimator(loader.load_rollingdepth, estimate_with_rollingdepth, loader.LINK),
}


def estimate_depth(
    source: Source,
    estimator: str = "fastdepth",
    folder: str | Path | None = None,
    *,
    rate: float = 4.0,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> DepthSequence:
    """Relative depth of a clip, 1 = near.

    :param estimator: a name in :data:`ESTIMATORS`.
    :param folder: its weights; not for those that are bundled.
    :param rate: maps a second; the paper takes 4.
    """
    network = load_estimator(estimator, folder)
    return ESTIMATORS[estimator].estimate(source, network.to(device), rate=rate, progress=progress)


def load_estimator(estimator: str, folder: str | Path | None = None) -> torch.nn.Module:
    """The network of an estimator, on the CPU; see :func:`estimate_depth`."""
    check_estimator(estimator, folder)
    load, _, link = ESTIMATORS[estimator]
    return load(folder) if link else load()


def check_estimator(estimator: str, folder: str | Path | None = None) -> None:
    """Raise StereoSyncError for an estimator that is not there, or has too much or too little, before anything is loaded."""
    if estimator not in ESTIMATORS:
        raise StereoSyncError(f"Depth estimator '{estimator}' does not exist; choose from {', '.join(ESTIMATORS)}.")
    link = ESTIMATORS[estimator].link
    if link and folder is None:
        raise StereoSyncError(f"Depth estimator '{estimator}' needs a folder with its weights; download {link}")
    if folder is not None and not link:
        raise StereoSyncError(f"Depth estimator '{estimator}' has weights of its own; leave the folder '{folder}' out.")
    if folder is not None and not Path(folder).exists():
        raise StereoSyncError(f"Depth estimator '{estimator}': there is no folder '{folder}'; download {link}")
