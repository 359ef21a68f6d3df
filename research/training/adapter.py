"""Training of an adapter over Stable Audio Open, which stays as it is: the same conditions, latents and losses as the bundled
model's (:mod:`.diffusion`), the release's velocity in place of a backbone of our own."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stereosync_core.errors import StereoSyncError
from stereosync_core.model.conditioning.clap import ClapTimbre
from stereosync_core.model.conditioning.features import Spoken
from stereosync_core.model.conditioning.timbre import TimbreEncoder
from stereosync_core.model.folder import CONFIG, read_model_config, save_part, write_section
from stereosync_core.model.loader import bundled_folder, load_timbre
from stereosync_core.model.model import Conditions
from stereosync_core.model.precision import in_precision
from stereosync_core.model.samplers import dpmpp_2m
from stereosync_core.model.stable_audio.adapter import SpatialAdapter, save_adapter
from stereosync_core.model.stable_audio.conditioners import Told
from stereosync_core.model.stable_audio.guidance import guided
from stereosync_core.model.stable_audio.model import StableAudio, load_stable_audio
from stereosync_core.model.stable_audio.samplers import cosine_times, flow_times, starting
from stereosync_core.model.stable_audio.text import TextEncoder

from .diffusion import DiffusionTask
from .scenes import Codec, SceneBank

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


class AdapterTask(DiffusionTask):
    """Noise to latents by a frozen release, under conditions that reach it through an adapter.

    :param config: as :class:`DiffusionTask`'s, but ``model`` is that of :class:`SpatialAdapter` without ``timbre`` and
        ``window``, which follow from the timbre encoder and from ``frames``; ``drop`` has ``text`` too. Further ``prompt``
        (what the text encoder is told throughout), ``base_precision`` (``fp32`` or ``bf16``), ``checkpointed`` (blocks compute
        their insides twice, for memory), and ``clap`` (folder of a CLAP that is the timbre encoder; where it is left out, that
        of ``model``, or the bundled one).
    :param model: folder that the adapter goes to, with a timbre encoder or without.
    :param base: the release, a folder or a file.
    :param t5: folder of T5 base; without, the release is told no text.
    """

    name = "adapter"
    #: A latent of both channels has no halves that could change places.
    mirrored = 0.0

    def __init__(self, config: dict[str, Any], rooms: Path, model: Path, *, base: Path | None, t5: Path | None = None):
        if base is None:
            raise StereoSyncError("Training an adapter: say with --base over what, the folder or file of Stable Audio Open.")
        precision = config.get("base_precision", "bf16")
        if precision not in PRECISIONS:
            raise StereoSyncError(f"Config: 'base_precision' is '{precision}'; it must be one of {', '.join(PRECISIONS)}.")
        self.base = load_stable_audio(base)
        # latents are made, and measured, in single precision
        for part in (self.base.backbone, self.base.conditioners):
            in_precision(part, PRECISIONS[precision])
        self.text = self._text(config.get("prompt"), t5)
        super().__init__(config, rooms, model)

    def _text(self, prompt: str | None, t5: Path | None) -> Tensor:
        if prompt and t5 is not None:
            return TextEncoder(t5)(prompt, self.base.config.text_tokens).clone()  # one that gradients may pass by
        if prompt or t5 is not None:
            logging.getLogger(__name__).warning("The release is told no text; that needs 'prompt' in the config, and --t5.")
        return torch.zeros((1, 1, self.base.config.width))

    def parts(self, model: Path) -> tuple[Codec, TimbreEncoder | ClapTimbre]:
        from accelerate import PartialState

        if clap := self.config.get("clap"):
            timbre = ClapTimbre(Path(clap)).eval()
        else:
            timbre = load_timbre(model if _has_timbre(model) else bundled_folder())
        return self.base.autoencoder.to(PartialState().device), timbre

    def build(self) -> nn.Module:
        more = {"timbre": self.timbre.size, "window": self.config["frames"]}
        network = self.base.adapter = SpatialAdapter(self.base, {**self.config["model"], **more})
        network.control.checkpointed = self.base.backbone.checkpointed = bool(self.config.get("checkpointed"))
        return network

    def asked(
        self,
        network: nn.Module,
        bank: SceneBank,
        starts: np.ndarray,
        device: torch.device,
        generator: torch.Generator | None = None,
    ) -> Asked:
        self.base.to(device)
        told = self._told(bank, starts)
        if generator is not None:
            kept = torch.rand(len(starts), generator=generator) >= self.config["drop"].get("text", 0.0)
            told = Told(told.tokens * kept[:, None, None].to(told.tokens), told.globally)
        return Asked(self.base, told)

    def _told(self, bank: SceneBank, starts: np.ndarray) -> Told:
        """Text, where each window begins in its clip, and how long the clip is, as the sampler tells a window."""
        seconds = {
            "seconds_start": (starts / self.rate).tolist(),
            "seconds_total": [bank.latents.shape[-1] / self.rate] * len(starts),
        }
        return self.base.conditioners(self.text, seconds)

    def made(self, network: nn.Module, conditions: Conditions, noise: Tensor) -> Tensor:
        objective = self.base.objective
        times = cosine_times(10) if objective == "v" else flow_times(10)
        velocity = guided(self.base, self._told(self.held_out, np.zeros(len(noise))), 2.0, conditions)
        return dpmpp_2m(velocity, starting(noise, times[0], objective), times, objective=objective)

    def save(self, network: nn.Module, folder: Path) -> None:
        """The adapter, and the timbre encoder that it understands."""
        assert isinstance(network, SpatialAdapter)
        save_adapter(folder, network)
        if isinstance(self.timbre, ClapTimbre):
            where = os.path.relpath(self.timbre.folder, folder).replace(os.sep, "/")
            write_section(folder, "timbre", {"type": "clap", "folder": where})
        elif not _has_timbre(folder):
            save_part(folder, "timbre", self.timbre.to_config(), self.timbre.state_dict())


def _has_timbre(folder: Path) -> bool:
    return (Path(folder) / CONFIG).is_file() and "timbre" in read_model_config(folder)


@dataclass(frozen=True)
class Asked:
    """A release with its adapter, told text and seconds of a batch: asked as :class:`StereoSync` is."""

    base: StableAudio
    told: Told

    @property
    def objective(self) -> str:
        return self.base.objective

    def normalised(self, latents: Tensor) -> Tensor:
        """The release's latents have mean 0 and spread 1 as they are."""
        return latents

    def spoken(self, conditions: Conditions) -> Spoken:
        assert self.base.adapter is not None
        return self.base.adapter.spoken(conditions)

    def __call__(self, x: Tensor, t: Tensor, conditions: Conditions, spoken: Spoken | None = None) -> Tensor:
        dtype = self.base.place[1]
        return self.base(x.to(dtype), t.to(dtype), self.told, conditions, spoken=spoken).float()
