"""Training of an adapter over Stable Audio Open or 3, which stays as it is: the same conditions, latents and losses as the
bundled model's (:mod:`.diffusion`), the release's velocity in place of a backbone of our own."""

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stereosync_core.errors import StereoSyncError
from stereosync_core.model.adapter import SpatialAdapter, save_adapter
from stereosync_core.model.conditioning.clap import ClapTimbre
from stereosync_core.model.conditioning.clip import ClipConditions
from stereosync_core.model.conditioning.sound_timbre import SoundTimbre
from stereosync_core.model.denoiser import Conditioning, Denoiser
from stereosync_core.model.folder import CONFIG, read_model_config, save_part, write_section
from stereosync_core.model.guidance import guidance_branches, guided
from stereosync_core.model.loader import bundled_folder, is_release, load_timbre
from stereosync_core.model.pipeline import StereoSyncPipeline
from stereosync_core.model.samplers import SCHEDULES, dpmpp_2m, initial_latents

from .diffusion import DiffusionTask
from .scenes import Codec, SceneBank

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


class AdapterTask(DiffusionTask):
    """Noise to latents by a frozen release, under conditions that reach it through an adapter.

    :param config: as :class:`DiffusionTask`'s, but ``model`` is that of :class:`SpatialAdapter` without ``timbre`` and
        ``window``, which follow from the timbre encoder and from ``frames``; ``drop`` has ``text`` too. Further ``prompt``
        (the text of all clips), ``base_precision`` (``fp32`` or ``bf16``), ``checkpointed`` (blocks compute
        their insides twice, for memory), and ``clap`` (folder of a CLAP that is the timbre encoder; where it is left out, that
        of ``model``, or the bundled one).
    :param model: folder that the adapter goes to, with a timbre encoder or without.
    :param base: the release, a folder or a file.
    :param t5: folder of T5 base, or of Stable Audio 3's text encoder where its own folder has none; without, the release gets
        no text.
    """

    name = "adapter"
    #: A latent of both channels has no halves that could change places.
    mirrored = 0.0

    def __init__(self, config: dict[str, Any], rooms: Path, model: Path, *, base: Path | None, t5: Path | None = None):
        if base is None or not is_release(base):
            named = "there is none" if base is None else f"'{base}' is none"
            raise StereoSyncError(f"Training an adapter needs --base: the folder or file of Stable Audio Open or 3; {named}.")
        precision = config.get("base_precision", "bf16")
        if precision not in PRECISIONS:
            raise StereoSyncError(f"Config: 'base_precision' is '{precision}'; it must be one of {', '.join(PRECISIONS)}.")
        pipeline = StereoSyncPipeline.from_pretrained(base, text_encoder=t5)
        self.base = pipeline.model
        # latents are made, and measured, in single precision
        self.base.set_precision(PRECISIONS[precision])
        assert self.base.conditioners is not None
        self.conditioners = self.base.conditioners
        prompt, encoder = config.get("prompt"), pipeline.text_encoder
        if (prompt or t5 is not None) and not (prompt and encoder):
            logging.getLogger(__name__).warning("The release gets no text; that needs 'prompt' in the config, and --t5.")
        empty = self.conditioners.empty
        self.text, self.empty = self._text(encoder, prompt), None if empty is None else self._text(encoder, empty)
        super().__init__(config, rooms, model)

    def _text(self, encoder: nn.Module | None, text: str | None) -> Tensor:
        if encoder is None or text is None:  # what stands after a text's end
            return torch.zeros((1, 0, self.conditioners.width))
        return encoder(text, self.conditioners.text_tokens).clone()  # one that gradients may pass by

    def parts(self, model: Path) -> tuple[Codec, SoundTimbre | ClapTimbre]:
        from accelerate import PartialState

        if clap := self.config.get("clap"):
            timbre = ClapTimbre(Path(clap)).eval()
        else:
            timbre = load_timbre(model if _has_timbre(model) else bundled_folder())
        return self.base.autoencoder.to(PartialState().device), timbre

    def build(self) -> nn.Module:
        more = {"timbre": self.timbre.size, "window": self.config["frames"]}
        network = self.base.denoiser.adapter = SpatialAdapter(self.base, {**self.config["model"], **more})
        network.control.checkpointed = self.base.backbone.checkpointed = bool(self.config.get("checkpointed"))
        return network

    def denoiser(self, network: nn.Module, device: torch.device) -> Denoiser:
        return self.base.to(device).denoiser

    def conditioning(self, bank: SceneBank, starts: Tensor, generator: torch.Generator | None = None) -> Conditioning:
        """The text, where each window begins in its clip, and how long the clip is, as in the pipeline."""
        seconds = {
            "seconds_start": (starts / self.rate).tolist(),
            "seconds_total": [bank.latents.shape[-1] / self.rate] * len(starts),
        }
        given = self.conditioners(self.text, seconds, self.empty)
        if generator is None:
            return given
        kept = torch.rand(len(starts), generator=generator) >= self.config["drop"].get("text", 0.0)
        tokens, dropped = given.cross_attn_tokens, given.unconditional().cross_attn_tokens
        assert isinstance(tokens, Tensor)
        assert isinstance(dropped, Tensor)
        return replace(given, cross_attn_tokens=torch.where(kept[:, None, None].to(tokens.device), tokens, dropped))

    def made(self, network: nn.Module, conditions: ClipConditions, noise: Tensor) -> Tensor:
        objective = self.base.objective
        times = SCHEDULES[self.base.defaults.schedule](10)
        branches = guidance_branches(conditions, self.conditioning(self.held_out, torch.zeros(len(noise))), 2.0, 2.0)
        latents = initial_latents(noise, times[0], objective)
        return dpmpp_2m(guided(self.base.denoiser, branches), latents, times, objective=objective)

    def save(self, network: nn.Module, folder: Path) -> None:
        """The adapter, and the timbre encoder that goes with it."""
        assert isinstance(network, SpatialAdapter)
        save_adapter(folder, network)
        if isinstance(self.timbre, ClapTimbre):
            where = os.path.relpath(self.timbre.folder, folder).replace(os.sep, "/")
            write_section(folder, "timbre", {"type": "clap", "folder": where})
        elif not _has_timbre(folder):
            save_part(folder, "timbre", self.timbre.config, self.timbre.state_dict())


def _has_timbre(folder: Path) -> bool:
    return (Path(folder) / CONFIG).is_file() and "timbre" in read_model_config(folder)
