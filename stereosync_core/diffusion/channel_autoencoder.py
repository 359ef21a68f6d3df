"""The bundled autoencoder: one network for a single channel, applied to each, so that no channel leaks into another.

A short-time spectrum with compressed magnitudes goes through ConvNeXt blocks (Liu et al., "A ConvNet for the 2020s", 2022) and
three halvings of time: one latent vector for 2048 samples. The decoder ends in magnitudes and phases and an inverse transform
(Siuzdak, "Vocos", 2024), which costs little on a processor. Latents of the channels are stacked: left first, then right.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

#: Magnitudes are raised to this power on their way in: a channel 25 dB down then still has a quarter of the other's size.
COMPRESSION = 0.3
#: Bounds of the decoder's logarithmic magnitudes; a full-scale sine reaches log(256).
_LOG_RANGE = (-14.0, 7.0)


@dataclass(frozen=True)
class ChannelAutoencoderConfig:
    """Sizes of the network.

    :param window: samples of the transform's window; ``hop`` between them.
    :param width: of the blocks.
    :param expansion: inner width of a block over its width.
    :param blocks: at each of the rates, from one vector a hop to one a latent.
    :param latent: values a channel and latent frame.
    """

    window: int = 1024
    hop: int = 256
    width: int = 320
    expansion: int = 3
    blocks: tuple[int, ...] = (1, 1, 1, 2)
    latent: int = 16

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
    """Encodes and decodes sound channel by channel.

    :ivar downsampling: samples a latent frame.
    :ivar latent_channels: of a stereo sound.
    """

    window: Tensor

    def __init__(self, config: ChannelAutoencoderConfig):
        super().__init__()
        self.config = config
        self.downsampling, self.latent_channels = config.downsampling, 2 * config.latent
        bins, width = config.window // 2 + 1, config.width
        self.register_buffer("window", torch.hann_window(config.window), persistent=False)

        def stack(count: int) -> list[nn.Module]:
            return [Block(width, config.expansion) for _ in range(count)]

        encoder: list[nn.Module] = [nn.Linear(2 * bins, width), *stack(config.blocks[0])]
        for count in config.blocks[1:]:
            encoder += [Halve(width), *stack(count)]
        self.encoder = nn.Sequential(*encoder, nn.LayerNorm(width), nn.Linear(width, config.latent))
        decoder: list[nn.Module] = [nn.Linear(config.latent, width), *stack(config.blocks[-1])]
        for count in reversed(config.blocks[:-1]):
            decoder += [Double(width), *stack(count)]
        self.decoder = nn.Sequential(*decoder, nn.LayerNorm(width), nn.Linear(width, 3 * bins))

    def encode(self, sound: Tensor) -> Tensor:
        """Latents ``[B, 2 * latent, T]`` of a stereo sound ``[B, 2, N]``; N is filled up with silence to whole latents."""
        channels = self.encode_channel(sound.flatten(0, 1))
        return channels.unflatten(0, sound.shape[:2]).flatten(1, 2)

    def decode(self, latents: Tensor) -> Tensor:
        """Sound ``[B, 2, T * downsampling]`` of latents ``[B, 2 * latent, T]``."""
        channels = latents.unflatten(1, (2, self.config.latent)).flatten(0, 1)
        return self.decode_channel(channels).unflatten(0, (len(latents), 2))

    def encode_channel(self, sound: Tensor) -> Tensor:
        """Latents ``[B, latent, T]`` of ``[B, N]``."""
        sound = nn.functional.pad(sound, (0, -sound.shape[-1] % self.downsampling))
        spectrum = self._transform(sound)
        size = (spectrum.abs() + 1e-8) ** (COMPRESSION - 1)
        squeezed = torch.view_as_real(spectrum * size).mT.flatten(1, 2).mT  # [B, T, 2 * bins]
        return self.encoder(squeezed).mT

    def decode_channel(self, latents: Tensor) -> Tensor:
        """Sound ``[B, T * downsampling]`` of ``[B, latent, T]``."""
        level, across, up = self.decoder(latents.mT).mT.chunk(3, dim=1)
        spectrum = torch.polar(level.clamp(*_LOG_RANGE).exp(), torch.atan2(up, across))
        return self._inverse(spectrum)

    def _transform(self, sound: Tensor) -> Tensor:
        """Spectrum ``[B, bins, N / hop]``, each frame centred on the middle of its hop."""
        edge = (self.config.window - self.config.hop) // 2
        frames = nn.functional.pad(sound, (edge, edge)).unfold(-1, self.config.window, self.config.hop)
        return torch.fft.rfft(frames * self.window, dim=-1).mT

    def _inverse(self, spectrum: Tensor) -> Tensor:
        """The inverse of :meth:`_transform`: overlapping windows added and divided by their summed squares."""
        frames = torch.fft.irfft(spectrum.mT, n=self.config.window, dim=-1) * self.window
        count, edge = frames.shape[1], (self.config.window - self.config.hop) // 2
        length = (count - 1) * self.config.hop + self.config.window
        weights = (self.window**2).expand(1, count, -1)
        added, weight = (
            nn.functional.fold(
                part.mT, output_size=(1, length), kernel_size=(1, self.config.window), stride=(1, self.config.hop)
            ).flatten(1)[:, edge:-edge]
            for part in (frames, weights)
        )
        return added / weight.clamp(min=1e-6)

    def to_config(self) -> dict[str, Any]:
        """What ``config.json`` holds of it."""
        return {"type": "channel", **asdict(self.config)}


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
