"""Training of the levels that are read off latents: the target is the levels of what the decoder makes of them."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stereosync_core.model.conditioning.features import SUBFRAMES
from stereosync_core.model.folder import save_part
from stereosync_core.model.latent_levels import LatentLevels, levels_of
from stereosync_core.model.loader import bundled_folder, load_autoencoder, load_model, load_timbre

from .scenes import scene_bank, windows

#: Latent frames at either end of a window whose neighbours were cut off.
_EDGE = 4


class LevelsTask:
    """Latents of the rooms, blends of two of them, and both under noise, to the levels of what the decoder makes of them.

    Halfway down, a sampler's latents are none that an encoder gives, hence the blends and the noise.

    :param config: ``width`` and ``groups`` of the network, ``batch`` windows of ``frames`` latent frames a step, ``noise``
        (at most, over the latents' spread), ``train_clips``, ``valid_clips``.
    :param model: folder with the autoencoder and the timbre encoder.
    :param base: folder or file of Stable Audio Open, or folder of Stable Audio 3, whose autoencoder takes that one's place.
    """

    name = "levels"

    def __init__(self, config: dict[str, Any], rooms: Path, model: Path, *, base: Path | None = None):
        self.config = config
        self.autoencoder = load_autoencoder(model) if base is None else load_model(base).autoencoder
        # the timbre is not looked at, but it is of the latents' file
        timbre = load_timbre(model if base is None else bundled_folder())
        self.train, self.held_out = (
            scene_bank(rooms / split, config[f"{split}_clips"], self.autoencoder, timbre, rooms / "latents").latents
            for split in ("train", "valid")
        )
        self.spread = self.held_out.float().std((0, 2), correction=0)[:, None]

    def build(self) -> nn.Module:
        return LatentLevels(self.held_out.shape[1], self.config["width"], self.config["groups"])

    def loss(self, network: nn.Module, generator: torch.Generator, device: torch.device) -> dict[str, Tensor]:
        return {"decibels": self._error(network, self.train, generator, device)}

    @torch.no_grad()
    def validate(self, network: nn.Module) -> dict[str, float]:
        generator = torch.Generator().manual_seed(1)
        return {"decibels": float(self._error(network, self.held_out, generator, torch.device("cpu")))}

    def _error(self, network: nn.Module, clips: Tensor, generator: torch.Generator, device: torch.device) -> Tensor:
        """Mean absolute error in dB."""
        latents = self._latents(clips, generator).to(device)
        with torch.no_grad():
            true = levels_of(self.autoencoder.to(device).decode(latents), self.autoencoder.downsampling // SUBFRAMES)
        inner = slice(_EDGE * SUBFRAMES, -_EDGE * SUBFRAMES)
        return (network(latents) - true)[..., inner].abs().mean()

    def _latents(self, clips: Tensor, generator: torch.Generator) -> Tensor:
        count, frames = self.config["batch"], self.config["frames"]

        def drawn() -> Tensor:
            which = torch.randint(len(clips), (count,), generator=generator)
            starts = torch.randint(clips.shape[-1] - frames + 1, (count,), generator=generator)
            return windows(clips, which, starts, frames)

        share, amount, kind = torch.rand((3, count, 1, 1), generator=generator)
        share = torch.where(kind < 0.5, torch.ones_like(share), share)
        noise = torch.randn((count, clips.shape[1], frames), generator=generator) * self.spread
        return share * drawn() + (1 - share) * drawn() + self.config["noise"] * amount**2 * noise

    def save(self, network: LatentLevels, folder: Path) -> None:
        save_part(folder, "levels", network.config, network.state_dict())
