"""The loudness envelope read off the picture, where none is given: when it sounds, and how loud. As in Stable-V2A's RMS-Mapper
(arXiv 2412.15023), convolutions and a bidirectional recurrent layer give one of 64 mu-law classes at each moment; features here
are the tracked boxes, how they move, and how the picture changes under them."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn

from ...media.video import Source, frames, probe
from ...scene import Envelope, Tracks
from ..precision import LSTM
from .aligned import dilated_convolutions
from .features import MOMENT_VALUES, SceneFeatures, latent_count, moment_features, scene_features, subframe_times

#: Frames a second that are compared, and the longer side they are shrunk to.
RATE, SIZE = 20.0, 320
#: Red, green and blue count alike.
_WEIGHTS = torch.full((3,), 1 / 3)
CLASSES = 64
_MU = 127.0
#: Level of the loudest class.
FULL_SCALE = 0.25
#: Of a track: its box and how it moves, its motion in pixels; and the picture's.
FEATURES = MOMENT_VALUES + 2


def to_classes(levels: Tensor) -> Tensor:
    """Levels to 0..63, not rounded: mu-law over 0..:data:`FULL_SCALE`."""
    relative = (levels / FULL_SCALE).clamp(0, 1)
    return torch.log1p(_MU * relative) / float(np.log1p(_MU)) * (CLASSES - 1)


def from_classes(classes: Tensor) -> Tensor:
    """The inverse of :func:`to_classes`."""
    return (torch.expm1(classes / (CLASSES - 1) * float(np.log1p(_MU))) / _MU) * FULL_SCALE


class VideoEnvelope(nn.Module):
    """Tracks' features to class scores; ``width`` is of a track's vectors and of either direction of the recurrent layer."""

    def __init__(self, width: int = 96):
        super().__init__()
        self.config = {"width": width}
        self.track = dilated_convolutions(FEATURES, width, 3)
        self.recurrent = LSTM(width, width, batch_first=True, bidirectional=True)
        self.classes = nn.Linear(2 * width, CLASSES)

    def forward(self, features: Tensor) -> Tensor:
        """Scores ``[B, M, CLASSES]`` of ``[B, K, M, FEATURES]``."""
        batch, count = features.shape[:2]
        seen = features[..., MOMENT_VALUES - 1].amax(-1)[:, :, None, None]
        vectors = self.track(features.flatten(0, 1).mT).unflatten(0, (batch, count)) * seen
        return self.classes(self.recurrent(vectors.sum(1).mT)[0])

    @torch.no_grad()
    def levels(self, features: Tensor) -> Tensor:
        """Levels ``[B, M]``: those of the mean class."""
        chances = self(features).softmax(-1)
        return from_classes(chances @ torch.arange(CLASSES, dtype=chances.dtype, device=chances.device))


def track_features(scene: SceneFeatures, motion: Tensor) -> Tensor:
    """Features ``[B, K, M, FEATURES]`` of batched scene features and motion ``[B, K + 1, M]``."""
    own, whole = motion[:, :-1], motion[:, -1:].expand(-1, motion.shape[1] - 1, -1)
    return torch.cat([moment_features(scene), torch.stack([own, whole], dim=-1)], dim=-1)


def resampled_motion(times: np.ndarray, motion: np.ndarray, wanted: np.ndarray) -> Tensor:
    """Motion ``[K + 1, M]`` at ``wanted`` seconds, each in units of the clip's own median."""
    if len(times) < 2:
        return torch.zeros((motion.shape[1], len(wanted)))
    columns = []
    for column in motion.T:
        usual = float(np.median(column[column > 0])) if (column > 0).any() else 1.0
        columns.append(np.clip(np.interp(wanted, times, column) / max(usual, 1e-6), 0, 4) / 2)
    return torch.from_numpy(np.stack(columns)).float()


def picture_motion(
    pictures: Iterable[tuple[float, np.ndarray]], tracks: Tracks, progress: Callable[[float, float], None] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Times ``[F]`` and motion ``[F, K + 1]``: of the lower half of each track's box, then of the whole picture.

    Motion is the mean absolute difference of grey values (0..1) from one picture to the next, a second; 0 at the first picture,
    and for a track while it is not seen.

    :param pictures: seconds and RGB uint8 ``[H, W, 3]``.
    """
    from kornia.color import rgb_to_grayscale
    from kornia.utils import image_to_tensor

    times: list[float] = []
    rows: list[np.ndarray] = []
    before: np.ndarray | None = None
    for time, picture in pictures:
        grey = rgb_to_grayscale(image_to_tensor(picture).float() / 255.0, _WEIGHTS)[0].numpy()
        row = np.zeros(len(tracks) + 1, dtype=np.float32)
        if before is not None:
            change = np.abs(grey - before) / max(time - times[-1], 1e-3)
            row[-1] = change.mean()
            for n, track in enumerate(tracks):
                boxes, seen = track.at([time], tracks.max_gap)
                if seen[0]:
                    row[n] = _below(change, boxes[0]).mean()
        times.append(time)
        rows.append(row)
        before = grey
        if progress is not None:
            progress(time, tracks.duration)
    return np.array(times), np.stack(rows) if rows else np.zeros((0, len(tracks) + 1), np.float32)


def motion_of_clip(
    source: Source, tracks: Tracks, progress: Callable[[float, float], None] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """:func:`picture_motion` of a clip, streamed at :data:`RATE` frames a second, or its own where that is lower."""
    rate = min(RATE, float(probe(source).average_rate))
    return picture_motion(frames(source, rate=rate, max_side=SIZE), tracks, progress)


def _below(change: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The part of a map ``[H, W]`` under the lower half of a box, at least one pixel."""
    height, width = change.shape
    x0, y0, x1, y1 = box
    columns = np.clip([int(x0 * width), int(np.ceil(x1 * width))], 0, width)
    rows = np.clip([int((y0 + y1) / 2 * height), int(np.ceil(y1 * height))], 0, height)
    left, top = min(columns[0], width - 1), min(rows[0], height - 1)
    return change[top : max(rows[1], top + 1), left : max(columns[1], left + 1)]


def envelope_from_video(
    network: VideoEnvelope, tracks: Tracks, times: np.ndarray, motion: np.ndarray, latent_rate: float
) -> Envelope:
    """The envelope of a clip, silence where nothing is tracked, from ``motion`` at ``times`` (see :func:`picture_motion`)."""
    count = latent_count(tracks.duration, latent_rate)
    moments = subframe_times(count, latent_rate)
    if not len(tracks):
        return Envelope(np.zeros(len(moments)), moments)
    scene = SceneFeatures.stack([scene_features(tracks, None, count, latent_rate)])
    device = network.classes.weight.device
    features = track_features(scene, resampled_motion(times, motion, moments)[None]).to(device)
    return Envelope(network.eval().levels(features)[0].cpu().numpy().astype(np.float64), moments)


def envelope_of_clip(
    network: VideoEnvelope,
    source: Source,
    tracks: Tracks,
    latent_rate: float,
    progress: Callable[[float, float], None] | None = None,
) -> Envelope:
    """The same, of a clip whose motion is not known yet; ``progress`` is called with seconds done and in all."""
    return envelope_from_video(network, tracks, *motion_of_clip(source, tracks, progress), latent_rate)
