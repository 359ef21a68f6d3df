"""The bundled autoencoder: one network for a single channel, applied to each, so that no channel leaks into another.

Compressed magnitudes of a short-time spectrum go through ConvNeXt blocks (Liu et al., 2022) and three halvings of time: one
latent vector for 2048 samples. The decoder gives magnitudes, and noise lends them its phases, as in Engel et al. ("DDSP",
2020); why, and why one noise serves both channels, stands in docs/training.md. Latents of the channels are stacked: left first,
then right.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .short_time import sound_of, spectrum_of

#: Magnitudes are raised to this power on their way in: a channel 25 dB down then still has two fifths of the other's size.
COMPRESSION = 0.3
#: Bounds of the decoder's logarithmic magnitudes; a full-scale sine reaches log(256).
_LOG_RANGE = (-14.0, 7.0)
#: Samples after which the noise comes again.
_NOISE_SAMPLES = 2**19


@dataclass(frozen=True)
class ChannelAutoencoderConfig:
    """Sizes: samples of the transform's window, and ``hop`` between them; width of the blocks, and its expansion inside; blocks
    at each of the rates, from one vector a hop to one a latent; ``latent`` values a channel and latent frame."""

    window: int = 1024
    hop: int = 256
    width: int = 320
    expansion: int = 3
    blocks: tuple[int, ...] = (1, 1, 1, 2)
    latent: int = 16

    def __post_init__(self):
        if not 1 <= self.hop <= self.window:
            raise ValueError(f"windows of {self.window} samples every {self.hop}")

    @property
    def downsampling(self) -> int:
        """Samples a latent frame."""
        return self.hop * 2 ** (len(self.blocks) - 1)


class Block(nn.Module):
    """A ConvNeXt block over ``[B, T, width]``."""

    def __init__(self, width: int, expansion: int):
        super().__init__()
        self.time = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, width * expansion)
        self.outer = nn.Linear(width * expansion, width)
        self.scale = nn.Parameter(torch.full((width,), 0.3))

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.time(x.mT).mT
        return x + self.scale * self.outer(nn.functional.gelu(self.inner(self.norm(mixed))))


class ChannelAutoencoder(nn.Module):
    """Encodes and decodes sound channel by channel; ``latent_channels`` are those of a stereo sound."""

    window: Tensor
    noise: Tensor

    def __init__(self, config: ChannelAutoencoderConfig):
        super().__init__()
        self.config = config
        self.downsampling, self.latent_channels = config.downsampling, 2 * config.latent
        bins, width = config.window // 2 + 1, config.width
        self.register_buffer("window", torch.hann_window(config.window), persistent=False)
        noise = torch.randn(_NOISE_SAMPLES, generator=torch.Generator().manual_seed(0))
        self.register_buffer("noise", noise / self.window.square().sum().sqrt(), persistent=False)

        def stack(entering: int, between: type[nn.Module], counts: Sequence[int], leaving: int) -> nn.Sequential:
            layers: list[nn.Module] = []
            for count in counts:
                layers += [between(width) if layers else nn.Linear(entering, width)]
                layers += [Block(width, config.expansion) for _ in range(count)]
            return nn.Sequential(*layers, nn.LayerNorm(width), nn.Linear(width, leaving))

        self.encoder = stack(bins, Halve, config.blocks, config.latent)
        self.decoder = stack(config.latent, Double, config.blocks[::-1], bins)

    def encode(self, sound: Tensor) -> Tensor:
        """Latents ``[B, 2 * latent, T]`` of a stereo sound ``[B, 2, N]``; N is filled up with silence to whole latents."""
        channels = self.encode_channel(sound.flatten(0, 1))
        return channels.unflatten(0, sound.shape[:2]).flatten(1, 2)

    def decode(self, latents: Tensor, start: int = 0) -> Tensor:
        """Sound ``[B, 2, T * downsampling]`` of latents ``[B, 2 * latent, T]``.

        :param start: latent frames that come before these in the whole sound, whose noise the piece then has.
        """
        sizes = self.magnitudes(latents)
        length = latents.shape[-1] * self.downsampling
        places = (start * self.downsampling + torch.arange(length, device=sizes.device)) % _NOISE_SAMPLES
        noise = spectrum_of(self.noise[places][None], self.window, self.config.hop)
        return sound_of((sizes * noise).flatten(0, 1), self.window, self.config.hop).unflatten(0, (-1, 2))

    def magnitudes(self, latents: Tensor) -> Tensor:
        """Short-time magnitudes ``[B, 2, bins, T * downsampling / hop]`` of latents ``[B, 2 * latent, T]``."""
        channels = latents.unflatten(1, (2, self.config.latent)).flatten(0, 1)
        return self.decoder(channels.mT).mT.unflatten(0, (-1, 2)).clamp(*_LOG_RANGE).exp()

    def magnitudes_of(self, sound: Tensor) -> Tensor:
        """Those of a sound ``[B, 2, N]``, N a multiple of :attr:`downsampling`."""
        return spectrum_of(sound.flatten(0, 1), self.window, self.config.hop).abs().unflatten(0, (-1, 2))

    def encode_channel(self, sound: Tensor) -> Tensor:
        """Latents ``[B, latent, T]`` of ``[B, N]``."""
        sound = nn.functional.pad(sound, (0, -sound.shape[-1] % self.downsampling))
        sizes = (spectrum_of(sound, self.window, self.config.hop).abs() + 1e-8) ** COMPRESSION
        return self.encoder(sizes.mT).mT


class Halve(nn.Module):
    """Two neighbouring vectors become one."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.join = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.join(self.norm(x).unflatten(1, (-1, 2)).flatten(2))


class Double(nn.Module):
    """One vector becomes two neighbouring ones."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.split = nn.Linear(width, 2 * width)

    def forward(self, x: Tensor) -> Tensor:
        return self.split(self.norm(x)).unflatten(2, (2, -1)).flatten(1, 2)
