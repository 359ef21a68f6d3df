"""The systems that can be compared. A system is a function from a clip to its sound.

To add one, add a line to :data:`SYSTEMS`: a name, and ``module:factory``. The factory is imported when the system is asked for,
takes :class:`Options` and returns ``(clip) -> stereo float32 [2, N] at 44.1 kHz``, as long as the clip (up to a quarter of a
second is cut or continued with silence). It may read ``clip.sound``, the recording, where the system is given it by design (its
loudness envelope, its timbre); see :class:`~stereosync_core.evaluation.clips.EvaluationClip`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from ..errors import StereoSyncError
from .clips import EvaluationClip

System = Callable[[EvaluationClip], np.ndarray]

#: Name -> ``module:factory``, in the order of the tables.
SYSTEMS: dict[str, str] = {
    "recordings": "stereosync_core.evaluation.baselines:recordings",
    "autoencoder": "stereosync_core.evaluation.generated:autoencoder",
    "aligned": "stereosync_core.evaluation.generated:aligned",
    "video-envelope": "stereosync_core.evaluation.generated:video_envelope",
    "paper": "stereosync_core.evaluation.generated:paper",
    "no-spatial": "stereosync_core.evaluation.generated:no_spatial",
    "spatial-guidance": "stereosync_core.evaluation.generated:spatial_guidance",
    "fast": "stereosync_core.evaluation.generated:fast",
    "renderer": "stereosync_core.evaluation.baselines:renderer",
    "centre": "stereosync_core.evaluation.baselines:centre",
    "mirrored": "stereosync_core.evaluation.baselines:mirrored",
    "shifted": "stereosync_core.evaluation.baselines:shifted",
    "noise": "stereosync_core.evaluation.baselines:noise",
}
#: The law of :mod:`~stereosync_core.metrics.localiser` that a system places by, where that is not the recordings'. Its
#: placement is then told twice: by the ears that all are compared with, and by its own law, without what the laws differ by.
OWN_LAWS = {"renderer": "pan"}
#: The system without spatial conditions: the other end, beside the recordings, of the scale of gap closure.
NO_SPATIAL = "no-spatial"
REFERENCE = "recordings"


@dataclass(frozen=True)
class Options:
    """What the user chose for systems that need it.

    :param model: folder of a model, or None for the bundled one.
    :param device: where networks run, as torch names it.
    :param seed: of what is random; a system makes the same sound of the same clip each time.
    """

    model: Path | None = None
    device: str = "cpu"
    seed: int = 0


def load_systems(names: Sequence[str], options: Options | None = None) -> dict[str, System]:
    """The systems by name, in the order asked for.

    :raises StereoSyncError: for a name that is not known, or given twice.
    """
    if len(set(names)) != len(names) or not names:
        raise StereoSyncError(f"Systems: {', '.join(names) or 'none'} were asked for; name each once, at least one.")
    unknown = [name for name in names if name not in SYSTEMS]
    if unknown:
        raise StereoSyncError(f"Systems: {', '.join(unknown)} not known; choose from {', '.join(SYSTEMS)}.")
    result = {}
    for name in names:
        module, factory = SYSTEMS[name].split(":")
        result[name] = getattr(import_module(module), factory)(options or Options())
    return result
