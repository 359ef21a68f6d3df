"""The autoencoder of Stable Audio 3: diffusers' ``AutoencoderSAME`` (SAME, arXiv 2605.18613), both channels in one latent."""

from typing import Any

from torch import Tensor, nn


class SameAutoencoder(nn.Module):
    """Stereo sound to latents and back."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network: Any = network
        self.downsampling, self.latent_channels = int(self.network.downsampling_ratio), int(self.network.config.latent_dim)

    def encode(self, sound: Tensor) -> Tensor:
        """Latents ``[B, C, ceil(N / downsampling)]`` of a sound ``[B, 2, N]``, silence after its end."""
        return self.network.encode(nn.functional.pad(sound, (0, -sound.shape[-1] % self.downsampling))).latents

    def decode(self, latents: Tensor, start: int = 0) -> Tensor:
        """Sound ``[B, 2, T * downsampling]`` of latents ``[B, C, T]``; ``start`` makes no difference here."""
        return self.network.decode(latents).sample
