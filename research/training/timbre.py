"""Training of the timbre encoder: which surface, which shoes, how heavy, from two seconds of the mono mix."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stereosync_core.model.conditioning.timbre import RATE, TimbreEncoder
from stereosync_core.model.folder import save_part
from stereosync_core.rendering.surfaces import SHOES, SURFACES

from .sounds import first_clips, loud_crops, sound_bank


class TimbreTask:
    """Crops of the mono mix, each of one room, to the surface, shoes and weight of the room's plan.

    :param config: ``size`` of the vector, ``width``, ``crops`` of a step, ``seconds`` of a crop, ``train_clips``,
        ``valid_clips``.
    """

    name = "timbre"

    def __init__(self, config: dict[str, Any], rooms: Path, model: Path):
        self.config = config
        self.length = round(config["seconds"] * RATE)
        self.sounds = sound_bank(rooms / "train", config["train_clips"])
        self.labels = _labels(rooms / "train", config["train_clips"])
        self.held_out = sound_bank(rooms / "valid", config["valid_clips"])
        self.held_out_labels = _labels(rooms / "valid", config["valid_clips"])

    def build(self) -> nn.Module:
        return TimbreEncoder(self.config["size"], self.config["width"])

    def loss(self, network: nn.Module, generator: torch.Generator, device: torch.device) -> dict[str, Tensor]:
        clips = torch.randint(len(self.sounds), (self.config["crops"],), generator=generator).tolist()
        crops = torch.cat([loud_crops(self.sounds[clip : clip + 1], 1, self.length, generator) for clip in clips])
        mono = crops.mean(1)
        noise = torch.randn(mono.shape, generator=generator)
        mono = mono + noise * mono.abs().amax(-1, keepdim=True) * 10 ** (
            -1.5 - 2.5 * torch.rand(len(mono), 1, generator=generator)
        )
        return _losses(network, mono.to(device), self.labels[clips].to(device))

    @torch.no_grad()
    def validate(self, network: nn.Module) -> dict[str, float]:
        sounds = torch.from_numpy(np.array(self.held_out, dtype=np.float32)).mean(1)
        right = network.heads(network(sounds))[:, : len(SURFACES)].argmax(-1) == self.held_out_labels[:, 0].long()
        return {"surface": float(right.float().mean())}

    @torch.no_grad()
    def save(self, network: TimbreEncoder, folder: Path) -> None:
        """Weights, and the mean vector of each surface over the training rooms."""
        surfaces = self.labels[:, 0].long()
        vectors = torch.cat(
            [network(torch.from_numpy(np.array(sound, dtype=np.float32)).mean(0)[None]) for sound in self.sounds]
        )
        for number in range(len(SURFACES)):
            if (surfaces == number).any():
                mean = vectors[surfaces == number].mean(0)
                network.surfaces[number] = mean / mean.norm() * network.size**0.5
        save_part(folder, "timbre", network.config, network.state_dict())


def _labels(rooms: Path, clips: int) -> Tensor:
    """``[clips, 2 + shoes]``: the surface's number, whether any walker wears each shoe, and the mean weight."""
    rows = []
    for clip in first_clips(rooms, clips):
        walkers = clip.facts["walkers"]
        shoes = [float(any(row["shoe"] == name for row in walkers)) for name in SHOES]
        rows.append([list(SURFACES).index(clip.surface), *shoes, float(np.mean([row["weight"] for row in walkers]))])
    return torch.tensor(rows)


def _losses(network: nn.Module, sounds: Tensor, labels: Tensor) -> dict[str, Tensor]:
    guesses = network.heads(network(sounds))
    surface, shoes, weight = guesses.split([len(SURFACES), len(SHOES), 1], dim=-1)
    return {
        "surface": nn.functional.cross_entropy(surface, labels[:, 0].long()),
        "shoes": 0.3 * nn.functional.binary_cross_entropy_with_logits(shoes, labels[:, 1:-1]),
        "weight": (weight[:, 0] - labels[:, -1]).square().mean(),
    }
