"""Training of the diffusion model on latents of the rooms."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stereosync_core.errors import StereoSyncError
from stereosync_core.model.conditioning.clap import ClapTimbre
from stereosync_core.model.conditioning.clip import ClipConditions
from stereosync_core.model.conditioning.features import SceneFeatures
from stereosync_core.model.conditioning.sound_timbre import SoundTimbre
from stereosync_core.model.decoding import decode
from stereosync_core.model.denoiser import Conditioning, Denoiser, StereoSync
from stereosync_core.model.folder import read_weights, save_part
from stereosync_core.model.guidance import guidance_branches, guided
from stereosync_core.model.level_autoencoder import BANDS, LEVELS, LevelAutoencoder
from stereosync_core.model.loader import load_autoencoder, load_timbre
from stereosync_core.model.objectives import add_noise
from stereosync_core.model.samplers import euler, linear_times
from stereosync_core.rendering.analysis import level_difference

from .augment import augment, mirror
from .scenes import RATE, Codec, SceneBank, scene_bank, windows

CUES = ("both", "boxes", "depth")


class DiffusionTask:
    """Noise to latents under conditions, each of which is now and then left out.

    :param config: ``model`` (see :class:`StereoSync`), ``batch`` windows of ``frames`` latent frames a step, ``train_clips``,
        ``valid_clips``, ``drop`` (how often ``space``, ``timbre``, ``envelope`` and
        ``events`` are left out), ``ownership`` (weight of
        :func:`assignment_loss`), ``level_weight`` (of the level latents' error over the others') and ``side_weight`` (of the
        other ones of the sides, under ``mid_side``),
        ``cues`` (``both``, ``boxes`` or ``depth``), and ``frozen``, beginnings of the names of weights that stay as they are.
    :param model: folder with the autoencoder and the timbre encoder.
    :param start: folders of models from whose diffusion weights training starts; what the first has not comes from the next.
    """

    name = "diffusion"
    #: How often left and right change places.
    mirrored = 0.5

    def __init__(self, config: dict[str, Any], rooms: Path, model: Path, *, start: Sequence[Path] = ()):
        self.config, self.cues, self.start = config, config.get("cues", CUES[0]), start
        if self.cues not in CUES:
            raise StereoSyncError(f"Config: 'cues' is '{self.cues}'; it must be one of {', '.join(CUES)}.")
        self.autoencoder, self.timbre = self.parts(model)
        self.rate = RATE / self.autoencoder.downsampling
        self.bank, self.held_out = (
            scene_bank(rooms / split, config[f"{split}_clips"], self.autoencoder, self.timbre, rooms / "latents")
            for split in ("train", "valid")
        )

    def parts(self, model: Path) -> tuple[Codec, SoundTimbre | ClapTimbre]:
        """The autoencoder and the timbre encoder, which are there before."""
        return load_autoencoder(model), load_timbre(model)

    def build(self) -> nn.Module:
        network = StereoSync({**self.config["model"], "latent_rate": self.rate})
        latents = self.bank.latents.float().cpu()
        # left and right share their numbers, for they are exchanged in training
        channels = (
            network.turned(torch.cat([latents, torch.cat(latents.chunk(2, dim=1)[::-1], dim=1)])).movedim(1, 0).flatten(1)
        )
        network.mean.copy_(channels.mean(1))
        network.spread.copy_(channels.std(1).clamp(min=1e-3))
        own = network.state_dict()
        for folder in reversed(self.start):
            weights = self._widened(read_weights(folder, self.name), own)
            same = {key: value for key, value in weights.items() if key in own and own[key].shape == value.shape}
            if not same:
                raise StereoSyncError(f"--start: no weights of '{folder}' are of the config's sizes; give another folder.")
            network.load_state_dict(same, strict=False)
        frozen = tuple(self.config.get("frozen", ()))
        for name, parameter in network.named_parameters():
            if name.startswith(frozen):
                parameter.requires_grad_(False)
        return network

    def _widened(self, weights: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights of a model whose latents have less detail than this one's, as they stand among ``own``: the new channels do
        nothing yet, and have the mean and spread that the rooms give them."""
        before, channels = len(weights.get("mean", own["mean"])), len(own["mean"])
        if before >= channels or not isinstance(self.autoencoder, LevelAutoencoder):
            return weights
        half, first = torch.arange(before // 2), self.autoencoder.config.channel
        half[first:] += (channels - before) // 2 * (half[first:] >= before // 2 - len(BANDS))
        places = torch.cat([half, half + channels // 2])
        wide = {}
        for key, value in weights.items():
            like = own.get(key)
            if like is None or like.dim() != value.dim():
                continue
            sizes = list(zip(value.shape, like.shape, strict=True))
            if all(size in ((before, channels), (size[0], size[0])) for size in sizes):
                index = [places if old < new else torch.arange(old) for old, new in sizes]
                wide[key] = like.clone() if key in ("mean", "spread") else torch.zeros_like(like)
                wide[key][torch.meshgrid(*index, indexing="ij")] = value
        return wide

    def loss(self, network: nn.Module, generator: torch.Generator, device: torch.device) -> dict[str, Tensor]:
        count, frames = self.config["batch"], self.config["frames"]
        self.bank = self.bank.to(device)
        clips = torch.randint(len(self.bank), (count,), generator=generator)
        starts = torch.randint(self.bank.latents.shape[-1] - frames + 1, (count,), generator=generator)
        latents, conditions = self._batch(self.bank, clips, starts, frames)
        turned = (torch.rand(count, generator=generator) < self.mirrored).to(device)
        latents, scene = mirror(latents, conditions.scene, turned)
        owner = windows(self.bank.owner, clips, starts, frames)
        conditions = self._informed(replace(conditions, scene=augment(scene, generator)), owner, clips, starts, generator)
        conditions = self._dropped(conditions, generator)
        model = self.denoiser(network, device)
        conditioning = self.conditioning(self.bank, starts, generator)
        x0 = model.normalised(latents.to(device))
        t = torch.sigmoid(torch.randn(count, generator=generator)).to(device)
        noise = torch.randn(x0.shape, generator=generator).to(device)
        x, velocity = add_noise(x0, noise, t, model.objective)
        conditions = conditions.to(device)
        assert model.spatial_control is not None
        output = model.spatial_control.encode(conditions)
        made = model(x, t, conditions, conditioning, control_output=output)
        losses = {"velocity": ((made - velocity).square() * self.weights(device)).mean()}
        if output.track_log_probs is not None:
            losses["ownership"] = self.config["ownership"] * assignment_loss(output.track_log_probs, owner, conditions)
        return losses

    def denoiser(self, network: nn.Module, device: torch.device) -> Denoiser:
        """What is trained through: the network itself, or what it is an adapter of."""
        assert isinstance(network, Denoiser)
        return network

    def conditioning(self, bank: SceneBank, starts: Tensor, generator: torch.Generator | None = None) -> Conditioning | None:
        """Prompt and seconds of windows of ``bank`` that begin at the latent frames ``starts``; None without. ``generator`` is
        for what is dropped at random in training."""
        return None

    def weights(self, device: torch.device) -> Tensor:
        """Of each latent channel's error ``[C, 1]``, 1 in the mean: where things are stands in the few that hold levels."""
        channels = torch.ones(self.bank.latents.shape[1], device=device)
        if isinstance(self.autoencoder, LevelAutoencoder):
            halves = channels.unflatten(0, (2, -1))
            halves[1] = self.config.get("side_weight", 1.0)
            halves[:, :LEVELS] = self.config.get("level_weight", 1.0)
        return (channels / channels.mean())[:, None]

    def _batch(self, bank: SceneBank, clips: Tensor, starts: Tensor, frames: int) -> tuple[Tensor, ClipConditions]:
        envelope, events = (windows(array, clips, starts, frames) for array in (bank.envelope, bank.events))
        there = envelope.new_ones((len(clips), 1))
        scene, timbre = bank.scene(clips, starts, frames).only(self.cues), bank.timbre[clips.to(bank.timbre.device)].float()
        conditions = ClipConditions(scene, envelope, there, timbre, events, there)
        return windows(bank.latents, clips, starts, frames), conditions

    def _informed(
        self, conditions: ClipConditions, owner: Tensor, clips: Tensor, starts: Tensor, generator: torch.Generator
    ) -> ClipConditions:
        """As much of a batch's events as a clip's maker may know: an envelope that was made from them instead of the sound's
        own, and whose each moment is; both now and then."""
        replaced, known = (torch.rand((2, len(clips), 1, 1), generator=generator) < 0.5).to(owner.device)
        curve = windows(self.bank.event_envelope, clips, starts, conditions.envelope.shape[-1])
        replaced = replaced & (curve.amax((1, 2), keepdim=True) > 0)
        scene = conditions.scene
        owners = owner[:, 1:].mT * scene.seen * known[..., None] if self.cues != "depth" else scene.owners
        envelope = torch.where(replaced, curve, conditions.envelope)
        return replace(conditions, scene=replace(scene, owners=owners), envelope=envelope)

    def _dropped(self, conditions: ClipConditions, generator: torch.Generator) -> ClipConditions:
        drop, count = self.config["drop"], len(conditions.envelope)

        def kept(name: str) -> Tensor:
            return (torch.rand(count, generator=generator) >= drop.get(name, 0.0)).float().to(conditions.envelope.device)

        space, timbre, envelope, events = (kept(name) for name in ("space", "timbre", "envelope", "events"))
        scene, whole = conditions.scene, space[:, None, None, None]
        seen, depth, owners = (value * whole for value in (scene.seen, scene.depth, scene.owners))
        scene = replace(scene, seen=seen, depth=depth, has_depth=scene.has_depth * space[:, None], owners=owners)
        return ClipConditions(
            scene,
            conditions.envelope * envelope[:, None, None],
            conditions.has_envelope * envelope[:, None],
            conditions.timbre * timbre[:, None],
            conditions.events * events[:, None, None],
            conditions.has_events * events[:, None],
        )

    @torch.no_grad()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """The loss at fixed noise, with and without space; and, over generated windows with one track, the correlation of the
        level difference with the azimuth."""
        device = next(network.parameters()).device
        count, frames = min(24, len(self.held_out)), self.config["frames"]
        clips, starts = torch.arange(count), torch.zeros(count, dtype=torch.long)
        latents, conditions = self._batch(self.held_out, clips, starts, frames)
        conditions = conditions.to(device)
        model, conditioning = self.denoiser(network, device), self.conditioning(self.held_out, starts)
        x0 = model.normalised(latents.to(device))
        generator = torch.Generator().manual_seed(1)
        t = ((torch.arange(count) + 0.5) / count).to(device)
        noise = torch.randn(x0.shape, generator=generator).to(device)
        x, velocity = add_noise(x0, noise, t, model.objective)
        losses = [
            float((model(x, t, given, conditioning) - velocity).square().mean())
            for given in (conditions, conditions.without_space())
        ]
        metrics = {"velocity": losses[0], "without_space": losses[1]}
        assert model.spatial_control is not None
        log_probs = model.spatial_control.encode(conditions).track_log_probs
        if log_probs is not None:
            owner = windows(self.held_out.owner, clips, starts, frames).to(device)
            metrics["ownership"] = float(assignment_loss(log_probs, owner, conditions))
        one = torch.nonzero(self.held_out.seen[:count].flatten(2).any(-1).sum(1) == 1)[:8, 0]
        if len(one):
            few = self._batch(self.held_out, one, starts[one], frames)[1]
            made = self.made(network, few.to(device), noise[one])
            sounds = [decode(self.autoencoder, latent[None], frames * self.autoencoder.downsampling) for latent in made]
            metrics["placement_r"] = _correlation(sounds, few.scene, self.rate)
        return metrics

    def made(self, network: nn.Module, conditions: ClipConditions, noise: Tensor) -> Tensor:
        """Latents ``[B, C, T]`` of held-out windows that begin with their clip, in a few steps."""
        return network.restored(euler(guided(network, guidance_branches(conditions, None, 1.5, 1.5)), noise, linear_times(10)))

    def save(self, network: nn.Module, folder: Path) -> None:
        more = {"window": self.config["frames"], "cues": self.cues}
        save_part(folder, "diffusion", {**network.config, **more}, network.state_dict())


def assignment_loss(log_probs: Tensor, owner: Tensor, conditions: ClipConditions) -> Tensor:
    """Cross entropy of the track assignment ``[B, 1 + K, M]`` against whose steps ring, ``owner [B, 1 + K, SUBFRAMES, T]``,
    over moments weighted by the envelope. A step of a track that was left out belongs to no track."""
    seen = conditions.scene.seen.flatten(2, 3)
    owner = owner.mT.flatten(2)
    kept = owner[:, 1:] * seen
    target = torch.cat([owner.sum(1, keepdim=True) - kept.sum(1, keepdim=True), kept], dim=1)
    weight = conditions.envelope.mT.flatten(1) * target.sum(1)
    return -((target * log_probs).sum(1) * weight).sum() / weight.sum().clamp(min=1e-6)


def _correlation(sounds: list[np.ndarray], scene: SceneFeatures, latent_rate: float) -> float:
    differences, places = [], []
    seen, boxes = scene.seen.amax(-1).numpy(), scene.boxes.mean(-2).numpy()
    for sound, own_seen, own in zip(sounds, seen, boxes, strict=True):
        times, difference, _, sounding = level_difference(sound, RATE)
        frame = np.minimum((times * latent_rate).astype(int), own.shape[1] - 1)
        track = int(own_seen.sum(-1).argmax())
        use = sounding & (own_seen[track, frame] > 0)
        differences.append(difference[use])
        places.append((own[track, frame, 0] + own[track, frame, 2] - 1)[use])
    a, b = np.concatenate(differences), np.concatenate(places)
    return float(np.corrcoef(a, b)[0, 1]) if len(a) > 2 and np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0
