"""Training of the envelope that is read off the picture."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stereosync_core.media.envelope import envelope_of_sound
from stereosync_core.model.conditioning.features import (
    DEPTH_GRID,
    ENVELOPE_WINDOW,
    SceneFeatures,
    latent_count,
    scene_features,
    subframe_times,
)
from stereosync_core.model.conditioning.video_envelope import (
    CLASSES,
    VideoEnvelope,
    from_classes,
    picture_motion,
    resampled_motion,
    to_classes,
    track_features,
)
from stereosync_core.model.folder import read_model_config, save_part

from ..rooms.rooms import RoomClip
from .augment import augment
from .scenes import MOST_TRACKS, RATE, padded_boxes
from .sounds import clip_rows, kept

_LATENT_HOP = 2048


class EnvelopeTask:
    """Boxes and motion of rooms to the loudness of what is seen.

    :param config: ``width`` of the network, ``batch``, ``train_clips``, ``valid_clips``, ``smoothing`` (of the labels, in
        classes).
    """

    name = "envelope"

    def __init__(self, config: dict[str, Any], rooms: Path, model: Path):
        self.config = config
        parts = read_model_config(model).get("autoencoder", {})
        hop = parts.get("hop", _LATENT_HOP // 8) * 2 ** (len(parts.get("blocks", range(4))) - 1)
        self.latent_rate = RATE / hop
        self.train = _bank(rooms / "train", config["train_clips"], self.latent_rate, rooms / "latents")
        self.held_out = _bank(rooms / "valid", config["valid_clips"], self.latent_rate, rooms / "latents")

    def build(self) -> nn.Module:
        return VideoEnvelope(self.config["width"])

    def loss(self, network: nn.Module, generator: torch.Generator, device: torch.device) -> dict[str, Tensor]:
        clips = torch.randint(len(self.train["seen"]), (self.config["batch"],), generator=generator).numpy()
        scene, motion, levels = _batch(self.train, clips)
        scene = augment(scene, generator)
        # now and then without motion: a still camera and a panning one have little in common there
        motion = motion * (torch.rand((len(motion), 1, 1), generator=generator) > 0.25)
        scores = network(track_features(scene, motion).to(device))
        return {"classes": _smooth_cross_entropy(scores, to_classes(levels).to(device), self.config["smoothing"])}

    @torch.no_grad()
    def validate(self, network: nn.Module) -> dict[str, float]:
        scene, motion, levels = _batch(self.held_out, np.arange(len(self.held_out["seen"])))
        features = track_features(scene, motion)
        made = to_classes(network.levels(features))
        wanted = to_classes(levels)
        loss = _smooth_cross_entropy(network(features), wanted, self.config["smoothing"])
        correlation = np.corrcoef(made.flatten().numpy(), wanted.flatten().numpy())[0, 1]
        return {"classes": float(loss), "class_error": float((made - wanted).abs().mean()), "correlation": float(correlation)}

    def save(self, network: VideoEnvelope, folder: Path) -> None:
        save_part(folder, "envelope", network.config, network.state_dict())


def _smooth_cross_entropy(scores: Tensor, classes: Tensor, smoothing: float) -> Tensor:
    """Cross entropy against a Gaussian around the true class ``[B, M]``."""
    distance = torch.arange(CLASSES, device=classes.device) - classes[..., None]
    wanted = torch.exp(-0.5 * (distance / smoothing) ** 2)
    wanted = wanted / wanted.sum(-1, keepdim=True)
    return -(wanted * scores.log_softmax(-1)).sum(-1).mean()


def _batch(bank: dict[str, np.ndarray], clips: np.ndarray) -> tuple[SceneFeatures, Tensor, Tensor]:
    boxes, seen, motion, levels = (
        torch.from_numpy(bank[name][clips].astype(np.float32)) for name in ("boxes", "seen", "motion", "levels")
    )
    nothing = torch.zeros((len(clips), boxes.shape[2], *DEPTH_GRID))
    return SceneFeatures(boxes, seen, nothing, torch.zeros((len(clips), 1))), motion, from_classes(levels)


def _bank(rooms: Path, clips: int, latent_rate: float, cache: Path) -> dict[str, np.ndarray]:
    """Boxes, what is seen, motion ``[clips, K + 1, M]`` and levels (as classes) ``[clips, M]``, kept in ``cache``."""

    def make() -> dict[str, np.ndarray]:
        columns = zip(*clip_rows(rooms, clips, partial(_row, latent_rate=latent_rate)), strict=True)
        return dict(zip(("boxes", "seen", "motion", "levels"), map(np.stack, columns), strict=True))

    return kept(cache / f"motion-{rooms.name}-{clips}.npz", make)


def _row(clip: RoomClip, latent_rate: float) -> tuple[np.ndarray, ...]:
    frames = latent_count(clip.duration, latent_rate)
    moments = subframe_times(frames, latent_rate)
    scene = scene_features(clip.tracks, None, frames, latent_rate)
    times, pictures = clip.frames()
    moved = resampled_motion(*picture_motion(zip(times, pictures, strict=True), clip.tracks), moments).numpy()
    motion = np.zeros((MOST_TRACKS + 1, len(moments)), np.float16)
    motion[: len(moved) - 1], motion[-1] = moved[:-1], moved[-1]
    sound = clip.sound if clip.all_visible else clip.full_mix(only_visible=True)
    levels = envelope_of_sound(sound, RATE, window=ENVELOPE_WINDOW).at(moments)
    return *padded_boxes(scene), motion, to_classes(torch.from_numpy(levels)).numpy().astype(np.float16)
