"""The autoencoder of levels: the principal components of the powers of what sounds in rooms and in single sounds. Nothing is
trained by steps."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stereosync_core.model.folder import save_part
from stereosync_core.model.level_autoencoder import LEVELS, LevelAutoencoder, LevelAutoencoderConfig, decibels_of

from .sounds import RATE, mono_bank

#: Draws of sixteen crops, of so many latent frames, that the components are found in; a level below which nothing sounds.
_DRAWS, _FRAMES, _LEVEL_FLOOR = 100, 8, -70.0
#: Times that the balance of the bands is corrected.
_TURNS = 3


class ComponentsTask:
    """Single channels at a peak of 0.9 or less to a :class:`LevelAutoencoder`.

    :param config: ``model`` (see :class:`LevelAutoencoderConfig`), ``train_clips``.
    """

    name = "components"

    def __init__(self, config: dict[str, Any], rooms: Path, model: Path):
        self.model = LevelAutoencoderConfig(**config["model"])
        self.bank = torch.from_numpy(np.array(mono_bank(rooms / "train", config["train_clips"])))

    @torch.no_grad()
    def fit(self) -> LevelAutoencoder:
        """The autoencoder of the bank."""
        network, count = LevelAutoencoder(self.model), self.model.shape
        patches = torch.cat([network.patches_of(crops)[sounding] for crops, sounding in self._crops(network, _DRAWS, 0)])
        values, vectors = torch.linalg.eigh(torch.cov(patches.T))
        network.mean.copy_(patches.mean(0))
        network.components.copy_(vectors[:, -count:].flip(1).T)
        network.spread.copy_(values[-count:].flip(0).sqrt())
        return self.balanced(self.detailed(network))

    @torch.no_grad()
    def detailed(self, network: LevelAutoencoder) -> LevelAutoencoder:
        """With the components of what lies within the bands."""
        if count := self.model.detail:
            found = (network.details_of(crops[:, None].expand(-1, 2, -1)) for crops, _ in self._crops(network, _DRAWS, 0))
            details = torch.cat([detail[sounding] for detail, sounding in found])
            values, vectors = torch.linalg.eigh(torch.cov(details.T))
            network.detail_mean.copy_(details.mean(0))
            network.detail_components.copy_(vectors[:, -count:].flip(1).T)
            network.detail_spread.copy_(values[-count:].flip(0).sqrt())
        return network

    @torch.no_grad()
    def balanced(self, network: LevelAutoencoder) -> LevelAutoencoder:
        """With what its decoding has to add to each band: noise in a narrow band has a mean logarithm further below that of its
        mean power than noise in a wide one, and a mean of logarithms loses what is loud for a moment."""
        network.balance.zero_()
        for turn in range(_TURNS):
            lost = []
            for draw, (crops, sounding) in enumerate(self._crops(network, _DRAWS, turn + 1)):
                # each draw under noise of its own
                made = network.decode(network.encode(crops[:, None].expand(-1, 2, -1)), start=draw * _FRAMES)[:, 0]
                lost.append((network.patches_of(crops) - network.patches_of(made))[sounding])
            bands = torch.cat(lost).mean(0).unflatten(0, (-1, self.model.hops)).mean(1)
            network.balance += bands - bands.mean()  # how loud all are together is the levels' part
        return network

    def _crops(self, network: LevelAutoencoder, draws: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Crops ``[16, N]`` of the bank, and in which of their latent frames something sounds ``[16, T]``."""
        energy, generator = hop_energy(self.bank), torch.Generator().manual_seed(seed)
        for _ in range(draws):
            crops = drawn_crops(self.bank, energy, 16, _FRAMES * network.downsampling, generator)
            levels = decibels_of(crops, network.downsampling // LEVELS)
            yield crops, levels.unflatten(1, (-1, LEVELS)).amax(2) > _LEVEL_FLOOR

    def save(self, network: LevelAutoencoder, folder: Path) -> None:
        save_part(folder, "autoencoder", {"type": "levels", **asdict(self.model)}, network.state_dict())


def hop_energy(bank: Tensor, hop: int = 2048) -> np.ndarray:
    """Running sum of the mean squares of a bank int16 ``[N]``, a value a hop."""
    whole = bank[: len(bank) // hop * hop].unflatten(0, (-1, hop))
    means = torch.cat([part.float().square().mean(1) for part in whole.split(4096)]).double()
    return np.concatenate([[0.0], means.cumsum(0).numpy()])


def drawn_crops(
    bank: Tensor, energy: np.ndarray, count: int, length: int, generator: torch.Generator, choices: int = 3
) -> Tensor:
    """Crops float32 ``[count, length]`` of a bank int16 ``[N]``, each the loudest of a few; half of them under another crop,
    and half over a bed of noise; coloured at random, at a peak of 0.9 or up to 30 dB less."""
    hop = 2048
    spread = -(-length // hop)
    starts = torch.randint(len(energy) - 1 - spread, (2 * count, choices), generator=generator).numpy()
    loudest = (energy[starts + spread] - energy[starts]).argmax(1)
    places = starts[np.arange(2 * count), loudest] * hop + torch.randint(hop, (2 * count,), generator=generator).numpy()
    places = torch.from_numpy(np.minimum(places, len(bank) - length)).to(bank.device)
    crops = bank[places[:, None] + torch.arange(length, device=bank.device)].float()
    crops = _reverberant(_coloured(crops, generator), generator)
    crops = crops / crops.abs().amax(1, keepdim=True).clamp(min=1.0)
    chance = torch.rand((5, count, 1), generator=generator).to(bank.device)
    first, second = crops.chunk(2)
    mixed = first + second * torch.where(chance[0] < 0.5, 10 ** (-1.5 * chance[1]), 0.0)
    bed = torch.randn((count, length), generator=generator).to(bank.device) * 10 ** (-2.25 - chance[2])
    mixed = mixed + torch.where(chance[3] < 0.5, bed, torch.zeros_like(bed))
    mixed = mixed / mixed.abs().amax(1, keepdim=True).clamp(min=1e-3)
    return mixed * 0.9 * 10 ** (-1.5 * chance[4] ** 2)


def _coloured(crops: Tensor, generator: torch.Generator) -> Tensor:
    """Crops under filters of zero phase that go up and down by some 5 dB from octave to octave, and with either sign."""
    points = 5.0 * torch.randn((len(crops), 11), generator=generator).to(crops.device)
    points[torch.rand(len(crops), generator=generator).to(crops.device) < 0.4] = 0
    spectrum = torch.fft.rfft(crops)
    octaves = 10 + torch.linspace(0, 1, spectrum.shape[1], device=crops.device).clamp(min=2**-10).log2()
    low = octaves.floor().long().clamp(max=9)
    curve = torch.lerp(points[:, low], points[:, low + 1], octaves - low)
    sign = torch.rand((len(crops), 1), generator=generator).to(crops.device).sub(0.5).sign()
    return sign * torch.fft.irfft(spectrum * 10 ** (curve / 20), n=crops.shape[1])


def _reverberant(crops: Tensor, generator: torch.Generator) -> Tensor:
    """Crops of which two in five have a tail: noise that falls by 60 dB in 0.1 to 1 s, 10 to 30 dB under the sound."""
    count, length = crops.shape
    chance = torch.rand((3, count, 1), generator=generator).to(crops.device)
    since = torch.arange(length, device=crops.device) / RATE
    tail = torch.randn((count, length), generator=generator).to(crops.device) * 10 ** (-3 * since / (0.1 * 10 ** chance[0]))
    tail = tail / tail.square().sum(1, keepdim=True).sqrt()
    wet = torch.fft.irfft(torch.fft.rfft(crops, 2 * length) * torch.fft.rfft(tail, 2 * length))[:, :length]
    return crops + torch.where(chance[1] < 0.4, 10 ** (-0.5 - chance[2]), 0.0) * wet
