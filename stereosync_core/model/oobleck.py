"""The autoencoder: diffusers' ``AutoencoderOobleck`` with the release's weights (Evans et al., "Stable Audio Open", 2024)."""

import warnings
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

#: Layers of a residual unit, of an encoder's and of a decoder's block: the release's numbers, diffusers' names.
_UNIT = {"0": "snake1", "1": "conv1", "2": "snake2", "3": "conv2"}
_ENCODER_BLOCK = {"0": "res_unit1", "1": "res_unit2", "2": "res_unit3", "3": "snake1", "4": "conv1"}
_DECODER_BLOCK = {"0": "snake1", "1": "conv_t1", "2": "res_unit1", "3": "res_unit2", "4": "res_unit3"}


class OobleckAutoencoder(nn.Module):
    """Stereo sound to latents and back, by the arguments of ``AutoencoderOobleck``. Weight norm is folded into the weights: it
    was there for training, and would be computed anew in every call."""

    def __init__(self, config: Mapping[str, Any]):
        from diffusers.models.autoencoders.autoencoder_oobleck import AutoencoderOobleck

        super().__init__()
        with warnings.catch_warnings():
            # diffusers builds it with the older form of weight norm, about which torch warns
            warnings.simplefilter("ignore", FutureWarning)
            self.network = AutoencoderOobleck(**config)
        for module in self.network.modules():
            if isinstance(module, (nn.Conv1d, nn.ConvTranspose1d)):
                nn.utils.remove_weight_norm(module)
        self.downsampling = int(self.network.hop_length)
        self.latent_channels = int(config["decoder_input_channels"])

    @property
    def encoder(self) -> nn.Module:
        """The half that makes latents."""
        return self.network.encoder

    def encode(self, sound: Tensor) -> Tensor:
        """Mean of the latents ``[B, C, ceil(N / downsampling)]`` of a sound ``[B, 2, N]`` in -1..1, silence after its end."""
        over = -sound.shape[-1] % self.downsampling
        return self.network.encode(nn.functional.pad(sound, (0, over))).latent_dist.mode()

    def decode(self, latents: Tensor, start: int = 0) -> Tensor:
        """Sound ``[B, 2, T * downsampling]`` of latents ``[B, C, T]``; ``start`` makes no difference here."""
        return self.network.decode(latents).sample


def renamed(key: str, blocks: int) -> str:
    """Key in diffusers' ``AutoencoderOobleck``, of so many ``blocks`` either side, for one of the release's, whose
    ``pretransform.model.`` is taken off. Keys of another make come back as they are."""
    side, _, rest = key.partition(".layers.")
    steps = rest.split(".layers.")
    number, _, last = steps[0].partition(".")
    block = _ENCODER_BLOCK if side == "encoder" else _DECODER_BLOCK
    if side not in ("encoder", "decoder") or not number.isdigit() or len(steps) > 3:
        return key
    ends = {0: "conv1", blocks + 1: "snake1", blocks + 2: "conv2"}
    if int(number) in ends:
        return f"{side}.{ends[int(number)]}.{last}"
    names = [f"{side}.block.{int(number) - 1}"]
    for step, layers in zip(steps[1:], (block, _UNIT), strict=False):
        number, _, last = step.partition(".")
        if number not in layers:
            return key
        names.append(layers[number])
    return ".".join([*names, last])
