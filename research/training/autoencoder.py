"""Training of the autoencoder on crops of the rooms' sound."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stereosync_core.model.channel_autoencoder import ChannelAutoencoder, ChannelAutoencoderConfig
from stereosync_core.model.folder import save_part
from stereosync_core.rendering.analysis import level_difference

from ..measurements.reconstruction import level_errors
from .losses import level_loss, likelihood_loss
from .sounds import loud_crops, sound_bank

#: Clips that the decoder's loudness is set by in the end.
CALIBRATION_CLIPS = 60


class AutoencoderTask:
    """Crops of rooms, at a peak of 0.9, through the autoencoder and back.

    :param config: ``model`` (see :class:`ChannelAutoencoderConfig`), ``crops`` and ``frames`` (latent frames a crop) of a step,
        ``level`` (weight of its loss), ``noise`` (standard deviation added to the latents, so that the decoder forgives what
        the sampler leaves), ``train_clips`` and ``valid_clips``.
    """

    name = "autoencoder"

    def __init__(self, config: dict[str, Any], rooms: Path, model: Path):
        self.config = config
        self.model = ChannelAutoencoderConfig(**{**config["model"], "blocks": tuple(config["model"]["blocks"])})
        self.sounds = sound_bank(rooms / "train", config["train_clips"])
        self.held_out = sound_bank(rooms / "valid", config["valid_clips"])

    def build(self) -> nn.Module:
        return ChannelAutoencoder(self.model)

    def loss(self, network: nn.Module, generator: torch.Generator, device: torch.device) -> dict[str, Tensor]:
        length = self.config["frames"] * self.model.downsampling
        wanted = loud_crops(self.sounds, self.config["crops"], length, generator).to(device)
        noise = torch.randn((len(wanted), 2 * self.model.latent, self.config["frames"]), generator=generator).to(device)
        latents = network.encode(wanted)
        sizes = network.magnitudes(latents + self.config["noise"] * noise), network.magnitudes_of(wanted)
        return {
            "likelihood": likelihood_loss(*sizes),
            "level": self.config["level"] * level_loss(*sizes),
            # keeps the latents near unit size, where the noise is felt
            "size": 0.01 * (latents.square().mean() - 1).square(),
        }

    @torch.no_grad()
    def validate(self, network: nn.Module) -> dict[str, float]:
        rows = [level_errors(made, wanted, 44100) for wanted, made in round_trips(network, self.held_out)]
        level, difference = np.nanmean(np.array(rows), axis=0)
        return {"level_db": float(level), "difference_db": float(difference)}

    def save(self, network: nn.Module, folder: Path) -> None:
        calibrate(network, self.sounds[:CALIBRATION_CLIPS])
        save_part(folder, "autoencoder", network.to_config(), network.state_dict())


@torch.no_grad()
def calibrate(network: ChannelAutoencoder, sounds: np.ndarray) -> float:
    """Make the decoder as loud as its sounds int16 ``[clips, 2, N]`` are: magnitudes that are right as medians carry too little
    power. Returns the median error of the level in dB that was taken away, over sounding windows of 0.1 s."""
    errors = []
    for wanted, made in round_trips(network, sounds):
        (_, _, level, sounding), (_, _, made_level, _) = (level_difference(sound, 44100) for sound in (wanted, made))
        errors.append((made_level - level)[sounding])
    error = float(np.median(np.concatenate(errors)))
    head = network.decoder[-1]
    assert isinstance(head, nn.Linear)
    head.bias -= error * np.log(10) / 20
    return error


def round_trips(network: ChannelAutoencoder, sounds: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """:func:`round_trip` of each sound int16 ``[2, N]``."""
    return (round_trip(network, sound) for sound in sounds)


def round_trip(network: ChannelAutoencoder, sound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(wanted, made)``, float32 ``[2, N]``, of a sound ``[2, N]``, encoded at a peak of 0.9."""
    wanted = sound.astype(np.float32)
    wanted *= 0.9 / max(float(np.abs(wanted).max()), 1e-9)
    made = network.decode(network.encode(torch.from_numpy(wanted)[None]))[0, :, : wanted.shape[1]]
    return wanted, made.numpy()
