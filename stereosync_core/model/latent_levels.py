"""How loud each channel is, read off latents, for spatial guidance: exactly, through the decoder, or by a small network that
was trained on the decoder alone and costs next to nothing."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .conditioning.features import SUBFRAMES
from .decoding import Decoder
from .level_autoencoder import LevelAutoencoder

#: dB of what counts as silence.
SILENCE = -90.0
#: dB in the unit that the network computes in.
_UNIT = 20.0
#: Latent frames that are decoded at once, and those on either side that are decoded with them for their neighbours' sake.
_PIECE, _MARGIN = 24, 12
#: Latents ``[B, C, T]`` to levels ``[B, 2, M]`` in dB.
Levels = Callable[[Tensor], Tensor]


class LatentLevels(nn.Module):
    """A few convolutions over time, from ``latents`` channels to the levels of left and right; ``groups`` is 2 where the
    latents' halves are the channels' own, so that neither influences the other."""

    def __init__(self, latents: int, width: int = 128, groups: int = 1):
        super().__init__()
        self.config = {"latents": latents, "width": width, "groups": groups}
        layers: list[nn.Module] = []
        for entering, leaving, kernel in ((latents, width, 3), (width, width, 3), (width, width, 1), (width, 2 * SUBFRAMES, 1)):
            layers += [nn.Conv1d(entering, leaving, kernel, padding=kernel // 2, groups=groups), nn.GELU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, latents: Tensor) -> Tensor:
        """Levels ``[B, 2, T * SUBFRAMES]`` in dB of latents ``[B, C, T]``."""
        moments = self.layers(latents).unflatten(1, (2, SUBFRAMES)).mT.flatten(2)
        return (moments - 2) * _UNIT


def level_reader(autoencoder: Decoder, head: LatentLevels | None) -> Levels:
    """The head where there is one; else the levels that stand in the latents, or the way through the decoder. For use with
    gradients."""
    if head is None and isinstance(autoencoder, LevelAutoencoder):
        return autoencoder.stereo_levels
    return decoded_levels(autoencoder) if head is None else differentiable(head)


def decoded_levels(autoencoder: Decoder) -> Levels:
    """The same through the decoder, whose sound is measured: a short piece at a time, and each again for the gradients, so that
    memory does not grow with the clip."""
    decode, hop = differentiable(autoencoder, "decode"), autoencoder.downsampling
    parameter = next(autoencoder.parameters())

    def piece(latents: Tensor, left: int, length: int) -> Tensor:
        sound = decode(latents.to(parameter.dtype)).float()
        return levels_of(sound, hop // SUBFRAMES)[..., left * SUBFRAMES : (left + length) * SUBFRAMES]

    def levels(latents: Tensor) -> Tensor:
        parts, frames = [], latents.shape[-1]
        for start in range(0, frames, _PIECE):
            first, length = max(0, start - _MARGIN), min(_PIECE, frames - start)
            cut = latents[..., first : start + length + _MARGIN]
            parts.append(checkpoint(piece, cut, start - first, length, use_reentrant=False))
        return torch.cat(parts, dim=-1)

    return levels


def differentiable(module: nn.Module, method: str = "forward") -> Callable[[Tensor], Tensor]:
    """A module's method for use with gradients: weights that were made in inference mode, as all are that a node of ComfyUI
    loads, cannot take part in one, and are copied."""
    bound = module if method == "forward" else getattr(module, method)
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    if not any(tensor.is_inference() for tensor in tensors.values()):
        return bound
    with torch.inference_mode(False):
        copies = {name: tensor.clone() for name, tensor in tensors.items()}
    holder = _Calling(module, method)
    return lambda value: torch.func.functional_call(holder, {f"of.{name}": copy for name, copy in copies.items()}, (value,))


class _Calling(nn.Module):
    """Another method of a module, as its ``forward``."""

    def __init__(self, of: nn.Module, method: str):
        super().__init__()
        self.of, self.method = of, method

    def forward(self, value: Tensor) -> Tensor:
        return getattr(self.of, self.method)(value)


def levels_of(sound: Tensor, hop: int) -> Tensor:
    """Levels ``[B, 2, N / hop]`` in dB of a sound ``[B, 2, N]``: power under Hann windows of two hops each."""
    window = torch.hann_window(2 * hop, device=sound.device, dtype=sound.dtype)
    power = nn.functional.pad(sound.square(), (hop // 2, hop - hop // 2))
    count = sound.shape[-1] // hop
    summed = nn.functional.conv1d(power.flatten(0, 1)[:, None], (window / window.sum())[None, None], stride=hop)
    return 10 * (summed[:, 0, :count].unflatten(0, sound.shape[:2]) + 10 ** (SILENCE / 10)).log10()
