"""Training of the autoencoder on crops of the rooms' sound. Its losses are between short-time magnitudes ``[B, 2, bins, T]``,
in nepers of power."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stereosync_core.model.channel_autoencoder import ChannelAutoencoder, ChannelAutoencoderConfig
from stereosync_core.model.folder import save_part
from stereosync_core.rendering.analysis import level_difference

from ..rooms.walkers import RATE
from .sounds import loud_crops, sound_bank

#: Clips that the decoder's loudness is set by in the end.
CALIBRATION_CLIPS = 60
#: Power of a bin that counts as silence; a full-scale sine has 65,536.
FLOOR = 1e-5
#: Nepers of power by which what is wanted may exceed what is made before the likelihood's loss goes on as a straight line.
STEEPEST = 3.0


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
        pairs = (round_trip(network, sound) for sound in self.held_out)
        rows = [level_errors(made, wanted, RATE) for wanted, made in pairs]
        level, difference = np.nanmean(np.array(rows), axis=0)
        return {"level_db": float(level), "difference_db": float(difference)}

    def save(self, network: nn.Module, folder: Path) -> None:
        calibrate(network, self.sounds[:CALIBRATION_CLIPS])
        save_part(folder, "autoencoder", {"type": "channel", **asdict(self.model)}, network.state_dict())


@torch.no_grad()
def calibrate(network: ChannelAutoencoder, sounds: np.ndarray) -> float:
    """Make the decoder as loud as its sounds int16 ``[clips, 2, N]`` are: magnitudes that are right as medians carry too little
    power. Returns the median error of the level in dB that was taken away, over sounding windows of 0.1 s."""
    errors = []
    for sound in sounds:
        (_, _, level, sounding), (_, _, made_level, _) = (level_difference(one, RATE) for one in round_trip(network, sound))
        errors.append((made_level - level)[sounding])
    error = float(np.median(np.concatenate(errors)))
    head = network.decoder[-1]
    assert isinstance(head, nn.Linear)
    head.bias -= error * np.log(10) / 20
    return error


def round_trip(network: ChannelAutoencoder, sound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(wanted, made)``, float32 ``[2, N]``, of a sound ``[2, N]``, encoded at a peak of 0.9."""
    wanted = sound.astype(np.float32)
    wanted *= 0.9 / max(float(np.abs(wanted).max()), 1e-9)
    made = network.decode(network.encode(torch.from_numpy(wanted)[None]))[0, :, : wanted.shape[1]]
    return wanted, made.numpy()


def level_errors(made: np.ndarray, wanted: np.ndarray, rate: int) -> tuple[float, float]:
    """Mean errors in dB of the level and of the level difference, ``[2, N]`` each, over the wanted sound's windows of 0.1 s
    within 35 dB of its loudest; differences clipped at 25 dB. NaN where nothing sounds."""
    _, difference, level, sounding = level_difference(wanted, rate)
    _, made_difference, made_level, _ = level_difference(made, rate)
    if not sounding.any():
        return float("nan"), float("nan")
    return (
        float(np.abs(made_level - level)[sounding].mean()),
        float(np.abs(made_difference - difference)[sounding].mean()),
    )


def likelihood_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Itakura-Saito divergence of powers: how unlikely the wanted ones are for noise of the made ones. Each bin counts alike,
    soft or loud, and the least, 0.58 for noise, is reached by the noise's true power, not by its median (Fevotte et al.,
    "Nonnegative Matrix Factorization with the Itakura-Saito Divergence", 2009)."""
    powers = [sizes.square() + FLOOR for sizes in (made, wanted)]
    ratio = powers[1].log() - powers[0].log()
    # straight on from where the divergence grows beyond all bounds
    near = ratio.clamp(max=STEEPEST)
    return _weighted((near.exp() * (1 + ratio - near) - ratio - 1).mean(2), powers[1])


def level_loss(made: Tensor, wanted: Tensor, frames: int = 4) -> Tensor:
    """Difference of the logarithmic level over windows of a few frames, of each channel by itself."""
    levels = [sizes.square().mean(2).unfold(-1, frames, frames).mean(-1) + FLOOR for sizes in (made, wanted)]
    return _weighted((levels[0].log() - levels[1].log()).abs(), levels[1][:, :, None])


def _weighted(values: Tensor, powers: Tensor) -> Tensor:
    """Mean of ``values [B, 2, T]``: half of it over all moments, half over them weighted by the fourth root of their power.
    The few loud ones, which a step's level hangs on, would drown among the silent ones."""
    weights = powers.mean(2) ** 0.25
    return values.mean() / 2 + (values * weights).sum() / torch.clamp(weights.sum(), min=1e-6) / 2
