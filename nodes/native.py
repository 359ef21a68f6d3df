"""The adapter, and guidance without one, on the host's own Stable Audio.

The host's sampler goes on as ever. Before it asks the network, a wrapper asks the adapter, for the same batch, what is to be
added to the hidden state; patches at the transformer's blocks add it. The native conditioning says which rows of the batch are
told where things are: a sampler may ask for any number of texts in any order. Spatial guidance changes what the host's own
guidance gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from ..stereosync_core.errors import StereoSyncError
from ..stereosync_core.model.backbone import add_residual
from ..stereosync_core.model.conditioning.features import SceneFeatures, Spoken
from ..stereosync_core.model.conditioning.target import StereoTarget
from ..stereosync_core.model.latent_levels import Levels, decoded_levels
from ..stereosync_core.model.model import Conditions
from ..stereosync_core.model.spatial_guidance import SpatialGuidance, corrected
from ..stereosync_core.model.stable_audio.adapter import SpatialAdapter
from ..stereosync_core.model.stable_audio.borrowed import Borrowed, borrowed
from . import host

#: Ours among wrappers, additional models, conditions and options of the host; the second is spatial guidance's.
KEY, LEADING = "stereosync", "stereosync_guidance"


def base_of(model: Any) -> Borrowed:
    """A native MODEL as a release that an adapter can be loaded for; LoRAs on it do not count.

    :raises StereoSyncError: when it is not Stable Audio Open 1.0.
    """
    network = getattr(model.model, "diffusion_model", None)
    weights = {} if network is None else dict(network.state_dict())
    # while a LoRA is worked into the weights on the device, the host keeps the weights of before
    originals = {key.removeprefix("diffusion_model."): kept.weight for key, kept in model.backup.items()}
    return borrowed({**weights, **{key: value for key, value in originals.items() if key in weights}}, "the MODEL")


def computes_in(model: Any) -> torch.dtype:
    """Precision that the host computes a native MODEL in."""
    return model.model.manual_cast_dtype or model.model.get_dtype()


def marked(conditioning: Sequence[Any], name: str, base: Borrowed, seconds: float, told: bool) -> list[Any]:
    """Native CONDITIONING of a clip that lasts ``seconds``, of which the adapter knows whether to tell where things are.

    :param name: of the input, for errors.
    :raises StereoSyncError: when it was not made by Stable Audio's text encoder.
    """
    width = base.backbone.config["cond_token_dim"]
    for tokens, _ in conditioning:
        if tokens is None or tokens.shape[-1] != width:
            raise StereoSyncError(
                f"The input '{name}' is of another text encoder than Stable Audio's; encode it with t5-base.safetensors in "
                "CLIPLoader of type stable_audio."
            )
    with_length = {"seconds_start": 0.0, "seconds_total": seconds}
    mark = host.condition(torch.full((1, 1), float(told)))
    return [
        [tokens, {**more, **with_length, "model_conds": {**more.get("model_conds", {}), KEY: mark}}]
        for tokens, more in conditioning
    ]


@dataclass(frozen=True)
class Said:
    """What is added at one call of the network: ``residuals`` by block, and ``beside``, tokens as the blocks see them."""

    residuals: list[Tensor | None]
    beside: Tensor | None
    blocks: nn.ModuleList


def with_adapter(model: Any, adapter: Any, conditions: Callable[[int], Conditions], scale: float) -> Any:
    """A native MODEL to which an adapter speaks.

    :param adapter: of :func:`.host.patched`; the host loads and unloads it with the MODEL.
    :param conditions: of one clip, for a number of latent frames.
    :param scale: of the envelope.
    :raises StereoSyncError: when the MODEL has an adapter already.
    """
    if model.get_additional_models_with_key(KEY):
        raise StereoSyncError(
            "The input 'model' has an adapter already; connect the MODEL of before the first Apply StereoSync."
        )
    patched = model.clone()
    patched.set_additional_models(KEY, [adapter])
    speaker = _Speaker(adapter.model, conditions, scale)
    host.around_network(patched, KEY, speaker.around)
    host.after_each_run(patched, KEY, speaker.forget)
    before = patched.model_options["transformer_options"].get("patches_replace", {}).get("dit", {})
    for n in range(len(patched.model.diffusion_model.transformer.layers)):
        patched.set_model_patch_replace(_told(n, before.get(("double_block", n))), "dit", "double_block", n)
    return patched


class _Speaker:
    """Asks the adapter at each call of the network."""

    def __init__(self, adapter: SpatialAdapter, conditions: Callable[[int], Conditions], scale: float):
        self.adapter, self.conditions, self.scale = adapter, conditions, scale
        self._once: dict[tuple[int, torch.device], tuple[Conditions, Spoken]] = {}

    def around(
        self, executor, x, t, c_concat=None, c_crossattn=None, control=None, transformer_options=None, **more: Any
    ) -> Tensor:
        """A wrapper of the host's ``apply_model``: latents ``x [B, C, T]`` at the noise levels ``t [B]``."""
        mark = more.pop(KEY, None)
        if mark is not None and c_crossattn is not None:
            said = self._said(executor.class_obj, x, t, c_crossattn, more["global_embed"], mark)
            transformer_options = {**(transformer_options or {}), KEY: said}
        return executor(x, t, c_concat, c_crossattn, control, transformer_options, **more)

    def _said(self, model: Any, x: Tensor, t: Tensor, tokens: Tensor, globally: Tensor, mark: Tensor) -> Said:
        network = model.diffusion_model
        dtype = model.manual_cast_dtype or model.get_dtype()
        rows = mark[:, 0].long().to(x.device)
        conditions, spoken = (_rows(one, rows) for one in self._spoken(x))
        latents, times = model.model_sampling.calculate_input(t, x).to(dtype), model.model_sampling.timestep(t).float()
        tokens, globally = tokens.to(x.device, dtype), globally.to(x.device, dtype)
        residuals = self.adapter.residuals(latents, times, tokens, globally, conditions, spoken, self.scale)
        beside = None if spoken.tokens is None else network.to_cond_embed(spoken.tokens.to(dtype))
        return Said(residuals, beside, network.transformer.layers)

    def _spoken(self, x: Tensor) -> tuple[Conditions, Spoken]:
        """Of a batch of two: nothing but the envelope, and everything."""
        key = x.shape[-1], x.device
        if key not in self._once:
            whole = self.conditions(key[0])
            both = Conditions.join([whole.without_space().without_timbre(), whole]).to(x.device)
            self._once[key] = both, self.adapter.spoken(both)
        return self._once[key]

    def forget(self, _: Any) -> None:
        """Let go of what was made for one run, for the host's memory's sake."""
        self._once.clear()


def _rows(value: Any, rows: Tensor) -> Any:
    """Rows of every tensor in a dataclass or tuple."""
    if isinstance(value, Tensor):
        return value[rows]
    if isinstance(value, tuple):
        return tuple(_rows(one, rows) for one in value)
    if isinstance(value, (Conditions, Spoken, SceneFeatures)):
        return type(value)(*(_rows(getattr(value, field.name), rows) for field in fields(value)))
    return value


def _told(n: int, before: Callable | None) -> Callable:
    """A patch that adds what was said to block ``n``; ``before`` is another pack's patch of the same block."""
    # a function and not an object: the host copies a MODEL's options deeply, objects with all that they hold

    def patch(arguments: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
        said: Said | None = arguments["transformer_options"].get(KEY)
        if said is not None:
            hidden, block = arguments["img"], said.blocks[n]
            if n < len(said.residuals) and said.residuals[n] is not None:
                hidden = add_residual(hidden, said.residuals[n])
            if said.beside is not None:
                options = arguments["transformer_options"]
                hidden = hidden + block.cross_attn(
                    block.cross_attend_norm(hidden), context=said.beside, transformer_options=options
                )
            arguments = {**arguments, "img": hidden}
        return more["original_block"](arguments) if before is None else before(arguments, more)

    return patch


class _Decoder(nn.Module):
    """The decoding half of a native VAE, in the form that :func:`decoded_levels` takes."""

    def __init__(self, vae: Any):
        super().__init__()
        network = getattr(vae, "first_stage_model", None)
        if network is None or type(network).__name__ != "AudioOobleckVAE":
            raise StereoSyncError(
                "The input 'vae' is not Stable Audio's; connect the VAE of the Load Checkpoint that the MODEL comes from."
            )
        self.decoder, self.downsampling = network.decoder, int(vae.downscale_ratio)

    def decode(self, latents: Tensor, start: int = 0) -> Tensor:
        return self.decoder(latents.to(next(self.decoder.parameters()).device)).to(latents.device)


def led(model: Any, vae: Any, target: Callable[[int], StereoTarget], how: SpatialGuidance) -> Any:
    """A native MODEL whose sampler is led to put its sound where things are.

    :param vae: native VAE, through which the latents' levels are read; the host loads its decoder with the MODEL.
    :param target: what the scene asks for, for a number of latent frames.
    :raises StereoSyncError: when one of the two is not Stable Audio's.
    """
    base_of(model)
    decoder = _Decoder(vae)
    patched = model.clone()
    patched.set_additional_models(LEADING, [host.Whole(decoder, vae.device, vae.patcher.offload_device)])
    once: dict[int, tuple[Levels, StereoTarget]] = {}
    asked = [0]

    def lead(arguments: dict[str, Any]) -> Tensor:
        sound, sigma = arguments["denoised"], arguments["sigma"].max()
        if not how.latest <= float(arguments["model"].model_sampling.timestep(sigma)) <= how.earliest:
            return sound
        asked[0] += 1
        if (asked[0] - 1) % how.every:
            return sound
        frames = sound.shape[-1]
        if frames not in once:
            once[frames] = decoded_levels(decoder), target(frames)
        return corrected(sound, *once[frames], how)

    def forget(_: Any) -> None:
        """After each run: let go of what was made for it, and begin to count anew."""
        once.clear()
        asked[0] = 0

    patched.set_model_sampler_post_cfg_function(lead)
    host.after_each_run(patched, LEADING, forget)
    return patched
