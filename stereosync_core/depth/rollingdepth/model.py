"""The networks of a RollingDepth checkpoint in one module, and what each of them does to a batch."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

#: The scale that the release has fixed for picture and depth latents alike, whatever the autoencoder's config has.
LATENT_SCALE = 0.18215
#: Pixels of a latent's side.
FACTOR = 8


class CrossFrameAttention:
    """Attention processor for diffusers' stock UNet: self-attention (``attn1``) takes the tokens ``[B * num_view, T, C]`` of a
    snippet's frames as one sequence ``[B, num_view * T, C]``; cross-attention to the text stays as it is. ``num_view`` comes
    from the UNet's ``cross_attention_kwargs``, which diffusers hands to every processor whose signature names it."""

    def __init__(self):
        from diffusers.models.attention_processor import AttnProcessor2_0

        self.stock = AttnProcessor2_0()

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states=None,
        attention_mask=None,
        temb=None,
        num_view: int = 1,
    ) -> torch.Tensor:
        if encoder_hidden_states is not None or num_view == 1:
            return self.stock(attn, hidden_states, encoder_hidden_states, attention_mask, temb)
        frames, tokens, channels = hidden_states.shape
        together = hidden_states.reshape(frames // num_view, num_view * tokens, channels)
        return self.stock(attn, together, None, attention_mask, temb).reshape(frames, tokens, channels)


class RollingDepthModel(nn.Module):
    """UNet, autoencoder and the empty prompt's embedding, all of one dtype and on one device.

    :param unet: diffusers' ``UNet2DConditionModel`` with 8 input channels (picture latent, then depth latent) and 4 out.
    :param vae: diffusers' ``AutoencoderKL`` of Stable Diffusion 2.
    :param text: hidden states ``[1, 2, C]`` of the empty prompt: begin and end token alone, no padding.
    :param scheduler: the checkpoint's DDIM configuration.
    """

    text: torch.Tensor

    def __init__(self, unet: Any, vae: Any, text: torch.Tensor, scheduler: dict[str, Any]):
        super().__init__()
        self.unet, self.vae, self.scheduler = unet, vae, scheduler
        self.register_buffer("text", text.to(unet.dtype))
        unet.set_attn_processor(CrossFrameAttention())
        self.eval().requires_grad_(False)

    @property
    def dtype(self) -> torch.dtype:
        return self.unet.dtype

    @property
    def compute_device(self) -> torch.device:
        """Where the networks are. (``device`` is a name that ComfyUI writes into.)"""
        return self.text.device

    def ddim(self, steps: int) -> Any:
        """A fresh DDIM scheduler set to ``steps`` steps; they keep state, so every pass takes its own."""
        from diffusers import DDIMScheduler

        scheduler = DDIMScheduler.from_config(self.scheduler)
        scheduler.set_timesteps(steps, device=self.compute_device)
        return scheduler

    @torch.inference_mode()
    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Latents ``[B, 4, H // 8, W // 8]`` of images ``[B, 3, H, W]`` in -1..1: the posterior's mean, nothing is drawn."""
        return self.vae.encode(images.to(self.compute_device, self.dtype)).latent_dist.mode() * LATENT_SCALE

    @torch.inference_mode()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Depth ``[B, 8 h, 8 w]`` of depth latents ``[B, 4, h, w]``: mean of the three channels, about -1..1, near is large."""
        return self.vae.decode(latents / LATENT_SCALE).sample.mean(dim=1)

    @torch.inference_mode()
    def velocity(self, rgb: torch.Tensor, depth: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """The UNet's v-prediction ``[B, L, 4, h, w]`` for snippets at one timestep, of the latents of their pictures and noisy
        depth."""
        batch, length = rgb.shape[:2]
        pixels = torch.cat([rgb, depth], dim=2).flatten(0, 1)
        text = self.text.expand(batch * length, -1, -1)
        output = self.unet(pixels, timestep, text, cross_attention_kwargs={"num_view": length}, return_dict=False)[0]
        return output.unflatten(0, (batch, length))


def prepare_frame(image: torch.Tensor, resolution: int) -> torch.Tensor:
    """A picture as the encoder takes it: float32 ``[3, H, W]`` in -1..1, bilinear with antialiasing in float, as torchvision
    resizes tensors; sides are rounded down as in the release.

    :param image: uint8 RGB ``[H0, W0, 3]``, on the device that is to do the work.
    :param resolution: pixels of the longer side; 0 keeps the size.
    """
    pixels = image.permute(2, 0, 1)[None].float()
    size = processing_size(image.shape[0], image.shape[1], resolution)
    if size != tuple(image.shape[:2]):
        pixels = F.interpolate(pixels, size=size, mode="bilinear", align_corners=False, antialias=True)
    return (pixels / 255.0 * 2.0 - 1.0)[0]


def processing_size(height: int, width: int, resolution: int) -> tuple[int, int]:
    """Height and width of the frames that the networks see."""
    scale = resolution / max(height, width) if resolution else 1
    return int(height * scale), int(width * scale)
