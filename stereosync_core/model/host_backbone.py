"""ComfyUI's own Stable Audio seen as a release: its MODEL has the transformer alone, in classes of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import StereoSyncError, explained
from .backbone import Backbone
from .stable_audio_3.backbone import from_native
from .stable_audio_3.release import networks

#: Latent frames a second of Stable Audio Open 1.0, which is the only release that ComfyUI knows.
LATENT_RATE = 44100 / 2048
_FOREIGN = (
    "The MODEL is not Stable Audio Open 1.0 ({why}), nor Stable Audio 3, which ComfyUI knows since 0.22; load "
    "stable-audio-open-1.0.safetensors with the native Load Checkpoint."
)


@dataclass(frozen=True)
class HostBackbone:
    """What an adapter needs of a release (:class:`.adapter.Base`); the weights are the other program's, none is copied."""

    backbone: Backbone
    name: str
    latent_rate: float = LATENT_RATE

    #: On which an adapter is to begin.
    execution_device = torch.device("cpu")

    @property
    def objective(self) -> str:
        return self.backbone.objective

    @property
    def latent_channels(self) -> int:
        return self.backbone.config["io_channels"]

    @property
    def token_width(self) -> int:
        """Of the text encoder's tokens."""
        return self.backbone.config["cond_token_dim"]


@dataclass(frozen=True)
class HostStableAudio3:
    """What is needed of a host's Stable Audio 3 without an adapter; the numbers are its own."""

    latent_rate: float
    latent_channels: int
    token_width: int


def host_backbone(weights: Mapping[str, Tensor], name: str) -> HostBackbone:
    """A release made of a transformer's weights.

    :param weights: by the names that they have in stable-audio-tools' ``DiffusionTransformer``.
    :raises StereoSyncError: when they are not those of Stable Audio Open 1.0 or of a model of its kind.
    """
    foreign = explained(_FOREIGN.format(why="it has no {error}"), KeyError, IndexError, ValueError, ZeroDivisionError)
    with foreign, torch.device("meta"):
        backbone = Backbone(_config(weights))
    own = dict(backbone.dit.named_parameters())
    wrong = [key for key, value in own.items() if key not in weights or weights[key].shape != value.shape]
    wrong += [key for key in weights if key not in own and not key.endswith((".beta", "inv_freq"))]
    if wrong:
        raise StereoSyncError(_FOREIGN.format(why=f"{wrong[0]} does not fit"))
    state = {key: weights[key].detach() for key in own}
    for key, value in backbone.dit.named_buffers():
        # a host drops the norms' shifts, which are zero, and may hold the rotary embedding's frequencies in half precision, too
        # coarse for them (Su et al., "RoFormer", 2021)
        if not key.endswith("inv_freq"):
            state[key] = torch.zeros(value.shape)
        elif weights[key].dtype == torch.float32:
            state[key] = weights[key].detach()
        else:
            state[key] = 10000.0 ** -(torch.arange(len(value)) / len(value))
    backbone.dit.load_state_dict(state, assign=True)
    backbone.requires_grad_(False).eval()
    return HostBackbone(backbone, name)


def host_stable_audio_3(weights: Mapping[str, Tensor], name: str, latent_rate: float) -> HostBackbone:
    """The same of Stable Audio 3, whose control branch is of diffusers' blocks. Raises StereoSyncError when diffusers does not
    know them, or the weights are of another form."""
    kind, other = networks()["transformer"], "The MODEL is no Stable Audio 3 as it was released ({line}); load a release."
    with explained(other, KeyError, IndexError, ValueError, RuntimeError, ZeroDivisionError):
        return HostBackbone(from_native(weights, kind), name, latent_rate)


def _config(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    width, channels = weights["transformer.project_in.weight"].shape
    rotated = len(weights["transformer.rotary_pos_emb.inv_freq"])
    embedded, tokens = weights["to_cond_embed.0.weight"].shape
    return {
        **{"io_channels": channels, "embed_dim": width, "diffusion_objective": "v"},
        "depth": len({key.split(".")[2] for key in weights if key.startswith("transformer.layers.")}),
        "num_heads": width // (4 * rotated),  # half of a head is rotated, in pairs
        **{"cond_token_dim": tokens, "project_cond_tokens": embedded != tokens},
        "global_cond_dim": weights["to_global_embed.0.weight"].shape[1],
    }
