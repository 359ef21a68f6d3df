"""Trackers and detectors by name: what is in the tables can be chosen on the command line and is tested like the others; how to
add one stands in CONTRIBUTING.md. Any object with :meth:`detections.Detector.detect` can be given to MASA as it is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..checkpoints import MISFITS, within_folder
from ..errors import StereoSyncError, explained
from ..files import read_text
from ..media.video import Source
from ..scene import Tracks
from .detections import parse_classes
from .masa.loader import RELEASE, load_masa
from .masa.pipeline import track_with_masa
from .nanodet import CLASSES, load_nanodet, track_with_nanodet
from .tracklets import check_rate
from .transformers_detectors import ClassDetectorModel, DetectorModel, TextDetectorModel


class Tracker(NamedTuple):
    """An entry of :data:`TRACKERS`.

    :param load: the network on the CPU, in single precision, of a file; of nothing where it is bundled.
    :param track: ``(source, network, *, classes, threshold, rate, max_tracks, progress)`` to :class:`Tracks`, and further
        keywords with defaults. ``threshold`` is the score from which a box may begin a track, ``rate`` the frames a second that
        are analysed, ``max_tracks`` how many of the most prominent tracks are kept (0 = all).
    :param link: where the file comes from; empty where the network is bundled.
    """

    load: Callable[..., torch.nn.Module]
    track: Callable[..., Tracks]
    link: str = ""


TRACKERS = {
    "nanodet": Tracker(load_nanodet, track_with_nanodet),
    "masa": Tracker(load_masa, track_with_masa, RELEASE),
}
#: Detectors in folders by the ``model_type`` of their config.json.
DETECTORS: dict[str, type[DetectorModel]] = {
    "grounding-dino": TextDetectorModel,
    "mm-grounding-dino": TextDetectorModel,
    "rt_detr": ClassDetectorModel,
    "rt_detr_v2": ClassDetectorModel,
    "d_fine": ClassDetectorModel,
}


def track_video(
    source: Source,
    tracker: str = "nanodet",
    weights: str | Path | None = None,
    *,
    device: torch.device | str = "cpu",
    **options: Any,
) -> Tracks:
    """Follow people or things through a clip.

    :param tracker: a name in :data:`TRACKERS`, and ``weights`` its file where it is not bundled.
    :param options: of :attr:`Tracker.track`.
    :raises StereoSyncError: unreadable clip, no such tracker, numbers out of range.
    """
    check_tracking(**options)
    network = load_tracker(tracker, weights)
    return TRACKERS[tracker].track(source, network.to(device), **options)


def load_tracker(tracker: str, weights: str | Path | None = None) -> torch.nn.Module:
    """The network of a tracker, on the CPU; see :func:`track_video`."""
    check_tracker(tracker, weights)
    load, _, link = TRACKERS[tracker]
    return load(weights) if link else load()


def check_tracker(tracker: str, weights: str | Path | None = None) -> None:
    """Raise StereoSyncError for a tracker that is not there, or has too much or too little, before anything is loaded."""
    if tracker not in TRACKERS:
        raise StereoSyncError(f"Tracker '{tracker}' does not exist; choose from {', '.join(TRACKERS)}.")
    link = TRACKERS[tracker].link
    if link and weights is None:
        raise StereoSyncError(f"Tracker '{tracker}' needs a file with its weights; download {link}.")
    if weights is not None and not link:
        raise StereoSyncError(f"Tracker '{tracker}' has weights of its own; leave '{weights}' out, or choose another tracker.")
    if weights is not None and not Path(weights).exists():
        raise StereoSyncError(f"Tracker '{tracker}': there is no file '{weights}'; download {link}.")


def check_tracking(
    *, classes: str = "person", threshold: float = 0.35, rate: float = 10.0, max_tracks: int = 0, **_: Any
) -> None:
    """Raise StereoSyncError for options of :func:`track_video` that no tracker takes, before any frame is decoded."""
    parse_classes(classes, CLASSES)
    if not 0 < threshold < 1:
        raise StereoSyncError(f"Score threshold: {threshold} is outside 0..1; 0.35 is a good start.")
    check_rate(rate)
    if max_tracks < 0:
        raise StereoSyncError(f"Tracks kept: {max_tracks} is below 0; give 0 for all, or how many at a time.")


def load_detector(folder: str | Path) -> DetectorModel:
    """A detector from a local folder, on the CPU in single precision; nothing is fetched, no code of the folder is run.

    :raises StereoSyncError: no folder, no config.json, a kind that is not supported, files are missing, transformers is missing
        or too old for the model.
    """
    folder = Path(folder)
    message = (
        f"Detector: {folder.name} is no model folder of transformers ({{error}}); it has to hold config.json, the weights as "
        "safetensors and the processor's files."
    )
    with explained(message, OSError, ValueError, KeyError, TypeError, RecursionError):
        kind = str(json.loads(read_text(folder / "config.json"))["model_type"])
    if kind not in DETECTORS:
        raise StereoSyncError(
            f"Detector: {folder.name} is a '{kind}' model; supported are {', '.join(DETECTORS)}. Boxes of any other detector "
            "can be connected as boxes."
        )
    model = DETECTORS[kind]
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    message = (
        f"Detector: {folder.name} cannot be loaded ({{line}}); put the whole model folder there (config.json, "
        "model.safetensors, preprocessor_config.json, for text the tokenizer), or update transformers."
    )
    with explained(message, ImportError, OSError, *MISFITS), within_folder(folder, f"Detector '{folder.name}'"):
        import transformers

        processor = getattr(transformers, model.processor_class).from_pretrained(str(folder), **options)
        loader = getattr(transformers, model.network_class)
        return model(loader.from_pretrained(str(folder), use_safetensors=True, **options).float(), processor)
