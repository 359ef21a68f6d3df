"""Stable Audio Open as one module, and loading it from what people have."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import StereoSyncError
from ..backbone import Backbone
from ..conditioning.features import Spoken
from ..economy import Residuals, Reused
from ..latent_levels import LatentLevels
from ..loader import load_levels
from ..model import Conditions
from . import autoencoder as oobleck
from . import conditioners
from .adapter import SpatialAdapter
from .conditioners import Conditioners, Told
from .config import StableAudioConfig
from .release import AUTOENCODER, BACKBONE, NUMBERS, open_release
from .weights import check_nothing_else, matched, read


class StableAudio(nn.Module):
    """All parts of a release but its text encoder, as one module that moves as a whole.

    :ivar config: what the release's config says.
    :ivar name: for messages and menus.
    :ivar adapter: what speaks to it of a scene; None without.
    :ivar levels: reads the channels' levels off latents, for spatial guidance; None where the decoder is to be asked.
    """

    def __init__(self, config: StableAudioConfig, name: str = ""):
        super().__init__()
        self.config, self.name = config, name
        self.backbone = Backbone(config.backbone)
        self.autoencoder = oobleck.OobleckAutoencoder(config.autoencoder)
        self.conditioners = Conditioners(config)
        self.adapter: SpatialAdapter | None = None
        self.levels: LatentLevels | None = None

    @property
    def objective(self) -> str:
        return self.backbone.objective

    @property
    def sample_rate(self) -> int:
        return self.config.sample_rate

    @property
    def latent_rate(self) -> float:
        """Latent frames a second."""
        return self.sample_rate / self.autoencoder.downsampling

    @property
    def window(self) -> int:
        """Latent frames that it was trained on at a time; its adapter's where there is one."""
        own = self.config.sample_size // self.autoencoder.downsampling
        return own if self.adapter is None else min(own, self.adapter.window or own)

    @property
    def timbre_size(self) -> int:
        """Of the embedding of a timbre that its adapter takes.

        :raises StereoSyncError: without an adapter.
        """
        if self.adapter is None:
            raise StereoSyncError(f"Stable Audio: '{self.name}' by itself knows no timbre; give the folder of an adapter.")
        return self.adapter.timbre.in_features

    @property
    def place(self) -> tuple[torch.device, torch.dtype]:
        """Device and dtype."""
        parameter = next(self.backbone.parameters())
        return parameter.device, parameter.dtype

    def hear_levels(self, folder: Path) -> None:
        """Take the reader of levels that ``train levels`` has written into a folder, if there is one; see :attr:`levels`.

        :raises StereoSyncError: when it is of another autoencoder's latents.
        """
        levels = load_levels(folder)
        if levels is not None and levels.config["latents"] != self.autoencoder.latent_channels:
            raise StereoSyncError(
                f"Stable Audio: the part 'levels' of '{folder}' reads {levels.config['latents']} latents and this model has "
                f"{self.autoencoder.latent_channels}; train it over this model."
            )
        self.levels = levels

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        told: Told,
        conditions: Conditions | None = None,
        control_scale: float = 1.0,
        spoken: Spoken | None = None,
        reused: Reused | None = None,
    ) -> Tensor:
        """Velocity ``[B, C, T]`` of latents at ``t [B]``, without guidance.

        :param conditions: of the scene, for the adapter; without them it says nothing.
        :param control_scale: of the adapter's control branch; 0 leaves the envelope out.
        :param spoken: what the adapter's ``spoken`` gave for the same conditions.
        :param reused: keeps the adapter's residuals from step to step, for the same conditions.
        """
        adapter = self.adapter
        if adapter is None or conditions is None:
            return self.backbone(x, t, told.tokens, told.globally)
        said = adapter.spoken(conditions) if spoken is None else spoken

        def residuals() -> Residuals:
            return adapter.residuals(x, t, told.tokens, told.globally, conditions, said, control_scale)

        beside = None if said.tokens is None else said.tokens.to(x)
        made = residuals() if reused is None else reused(residuals)
        return self.backbone(x, t, told.tokens, told.globally, made, beside)


def load_stable_audio(path: Path, dtype: torch.dtype = torch.float32, config: Mapping[str, Any] | None = None) -> StableAudio:
    """Stable Audio Open 1.0 or Small on the CPU, frozen, for evaluation.

    Peak memory is that of the weights in ``dtype`` and at most a tenth more.

    :param path: the release's folder, or its one ``.safetensors`` file.
    :param config: see :func:`.release.open_release`.
    :raises StereoSyncError: names the file, what is wrong with it, and what to do.
    """
    release = open_release(path, config)
    with torch.device("meta"):
        model = StableAudio(release.config, release.name)
    check_nothing_else(release)
    rename = partial(oobleck.renamed, blocks=len(release.config.autoencoder["downsampling_ratios"]))
    # the autoencoder first: its largest tensors are larger than the transformer's, and folding them in needs some room
    parts = [
        matched(release, AUTOENCODER, model.autoencoder.network, rename),
        matched(release, NUMBERS, model.conditioners, conditioners.renamed),
        matched(release, BACKBONE, model.backbone.dit, str, _may_be_left_out),
    ]
    read(release, parts, dtype)
    return model.eval()


def _may_be_left_out(key: str) -> bool:
    """Shifts of the norms: never trained, zero in every release, and left out by ComfyUI when it saves a model."""
    return key.endswith("norm.beta")
