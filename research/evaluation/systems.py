"""The systems that can be compared. A system is a function from a clip to its sound.

To add one, add a line to :data:`SYSTEMS`: a name, and ``module:factory``. The factory is imported when the system is used,
takes :class:`Options` and returns ``(clip) -> stereo float32 [2, N] at 44.1 kHz``, as long as the clip (up to a quarter of a
second is cut or continued with silence). It may read ``clip.sound``, the recording, where the system is given it by design (its
loudness envelope, its timbre); see :class:`EvaluationClip`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np

from stereosync_core.errors import StereoSyncError
from stereosync_core.metrics.truth import Truth
from stereosync_core.scene import DepthSequence, Tracks


class EvaluationClip(Protocol):
    """What a system is given; a walking room and a clip of files are one. ``tracks`` are the boxes (true ones in rooms),
    ``depth`` the maps or None, ``sound`` float32 ``[2, N]`` at 44.1 kHz (the recording) or None, ``duration`` seconds."""

    @property
    def name(self) -> str: ...
    @property
    def tracks(self) -> Tracks: ...
    @property
    def depth(self) -> DepthSequence | None: ...
    @property
    def sound(self) -> np.ndarray | None: ...
    @property
    def duration(self) -> float: ...
    def truth(self) -> Truth: ...
    def frames(self) -> tuple[np.ndarray, np.ndarray]:
        """Times in seconds ``[F]`` and frames uint8 ``[F, H, W, 3]``."""
        ...


System = Callable[[EvaluationClip], np.ndarray]


def recording_of(clip: EvaluationClip) -> np.ndarray:
    """:raises StereoSyncError: for a clip without sound."""
    if clip.sound is None:
        raise StereoSyncError(f"Systems: clip {clip.name} has no sound, but the chosen systems start from its recording.")
    return clip.sound


#: Name -> ``module:factory``, in the order of the tables.
SYSTEMS: dict[str, str] = {
    "recordings": "research.evaluation.baselines:recordings",
    "autoencoder": "research.evaluation.generated:autoencoder",
    "aligned": "research.evaluation.generated:aligned",
    "aligned-events": "research.evaluation.generated:aligned_events",
    "events": "research.evaluation.generated:true_events",
    "video-envelope": "research.evaluation.generated:video_envelope",
    "paper": "research.evaluation.generated:paper",
    "no-spatial": "research.evaluation.generated:no_spatial",
    "spatial-guidance": "research.evaluation.generated:spatial_guidance",
    "fast": "research.evaluation.generated:fast",
    "renderer": "research.evaluation.baselines:renderer",
    "centre": "research.evaluation.baselines:centre",
    "mirrored": "research.evaluation.baselines:mirrored",
    "shifted": "research.evaluation.baselines:shifted",
    "noise": "research.evaluation.baselines:noise",
}
#: The panning law that a system places by, where that is not the recordings'. Its placement is then measured twice: by the
#: law that all are compared by, and by its own, without what the laws differ by.
OWN_LAWS = {"renderer": "pan"}
#: The system without spatial conditions: the other end, beside the recordings, of the scale of gap closure.
NO_SPATIAL = "no-spatial"
REFERENCE = "recordings"


@dataclass(frozen=True)
class Options:
    """What the user chose for systems that need it.

    :param model: folder of a model, or None for the bundled one.
    :param seed: of what is random; a system makes the same sound of the same clip each time.
    """

    model: Path | None = None
    device: str = "cpu"
    seed: int = 0


def load_systems(names: Sequence[str], options: Options | None = None) -> dict[str, System]:
    """The systems by name, in the order of ``names``. Raises StereoSyncError for a name that is not known, or given twice."""
    if len(set(names)) != len(names) or not names:
        raise StereoSyncError(f"Systems: {', '.join(names) or 'none'} given; name each once, at least one.")
    unknown = [name for name in names if name not in SYSTEMS]
    if unknown:
        raise StereoSyncError(f"Systems: {', '.join(unknown)} not known; choose from {', '.join(SYSTEMS)}.")
    result = {}
    for name in names:
        module, factory = SYSTEMS[name].split(":")
        result[name] = getattr(import_module(module), factory)(options or Options())
    return result
