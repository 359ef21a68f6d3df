"""The adapter, and guidance without one, on the host's own Stable Audio.

The host's sampler goes on as ever. Around each call of its network, a wrapper evaluates the adapter for the same batch, and
patches of the transformer's blocks add the residuals and the attention to spatial tokens. The native conditioning marks which
rows of the batch are conditioned on places: a sampler may evaluate any number of texts in any order. Spatial guidance changes
the output of the host's own guidance.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..stereosync_core.errors import StereoSyncError
from ..stereosync_core.model.adapter import SpatialAdapter
from ..stereosync_core.model.backbone import add_residual
from ..stereosync_core.model.conditioning.clip import ClipConditions
from ..stereosync_core.model.conditioning.features import map_tensors
from ..stereosync_core.model.conditioning.spatial_target import SpatialGuidanceTarget
from ..stereosync_core.model.control import ControlOutput
from ..stereosync_core.model.host_backbone import HostBackbone, HostStableAudio3, host_backbone, host_stable_audio_3
from ..stereosync_core.model.latent_levels import Levels, decoded_levels
from ..stereosync_core.model.spatial_guidance import SpatialGuidance, correct_denoised
from ..stereosync_core.model.stable_audio_3.backbone import attend
from . import host

#: Ours among wrappers, additional models, conditions and options of the host; the second is spatial guidance's.
KEY, GUIDANCE_KEY = "stereosync", "stereosync_guidance"
#: Samples a second of every Stable Audio, which a host's MODEL does not hold.
SAMPLE_RATE = 44100


def base_of(model: Any) -> HostBackbone:
    """A native MODEL as a release that an adapter can be loaded for; LoRAs on it do not count. Raises StereoSyncError when it
    is neither Stable Audio Open 1.0 nor 3."""
    network = getattr(model.model, "diffusion_model", None)
    weights = {} if network is None else dict(network.state_dict())
    # while a LoRA is worked into the weights on the device, the host keeps the weights of before
    originals = {key.removeprefix("diffusion_model."): kept.weight for key, kept in model.backup.items()}
    weights |= {key: value for key, value in originals.items() if key in weights}
    if _is_stable_audio_3(model):
        return host_stable_audio_3(weights, "the MODEL", release_of(model).latent_rate)
    return host_backbone(weights, "the MODEL")


def _is_stable_audio_3(model: Any) -> bool:
    return type(model.model).__name__ == "StableAudio3"


def release_of(model: Any) -> HostBackbone | HostStableAudio3:
    """A native MODEL without an adapter: Stable Audio 3 where the host knows it, or :func:`base_of`. Raises StereoSyncError for
    any other."""
    if not _is_stable_audio_3(model):
        return base_of(model)
    latents = model.model.latent_format
    width = int(model.model.diffusion_model.to_cond_embed[0].weight.shape[1])
    return HostStableAudio3(SAMPLE_RATE / latents.temporal_downscale_ratio, int(latents.latent_channels), width)


def compute_dtype(model: Any) -> torch.dtype:
    """Precision that the host computes the network of a native MODEL in."""
    return model.manual_cast_dtype or model.get_dtype()


def marked(
    conditioning: Sequence[Any], name: str, base: HostBackbone | HostStableAudio3, seconds: float, conditional: bool
) -> list[Any]:
    """Native CONDITIONING of a clip that lasts ``seconds``, marked as conditioned on places and timbre or not.

    :param name: of the input, for errors.
    :raises StereoSyncError: when it was not made by Stable Audio's text encoder.
    """
    for tokens, _ in conditioning:
        if tokens is None or tokens.shape[-1] != base.token_width:
            raise StereoSyncError(
                f"The input '{name}' is of another text encoder than Stable Audio's; encode it with t5-base.safetensors in "
                "CLIPLoader of type stable_audio."
            )
    own = {"seconds_start": 0.0, "seconds_total": seconds}
    mark = {KEY: host.condition(torch.full((1, 1), float(conditional)))}
    return [[tokens, {**more, **own, "model_conds": more.get("model_conds", {}) | mark}] for tokens, more in conditioning]


@dataclass(frozen=True)
class ControlResiduals:
    """What is added at one call of the network: ``residuals`` by block, and ``extra_context``, tokens as the blocks see
    them; ``local [B, T, C]`` is the host's own local condition, which it leaves out of a block that is patched."""

    residuals: list[Tensor | None]
    extra_context: Tensor | None
    blocks: nn.ModuleList
    local: Tensor | None = None


def with_adapter(model: Any, adapter: Any, conditions: Callable[[int], ClipConditions], scale: float) -> Any:
    """A native MODEL with an adapter.

    :param adapter: of :func:`.host.patched`; the host loads and unloads it with the MODEL.
    :param conditions: of one clip, for a number of latent frames.
    :param scale: of the envelope.
    :raises StereoSyncError: when the MODEL has an adapter already.
    """
    _check_one_device(model)
    if model.get_additional_models_with_key(KEY):
        raise StereoSyncError(
            "The input 'model' has an adapter already; connect the MODEL of before the first Apply StereoSync."
        )
    patched = model.clone()
    patched.set_additional_models(KEY, [adapter])
    wrapper = _AdapterWrapper(adapter.model, conditions, scale)
    host.around_network(patched, KEY, wrapper.around)
    host.after_each_run(patched, KEY, wrapper.clear)
    before = patched.model_options["transformer_options"].get("patches_replace", {}).get("dit", {})
    for n in range(len(patched.model.diffusion_model.transformer.layers)):
        patched.set_model_patch_replace(_block_patch(n, before.get(("double_block", n))), "dit", "double_block", n)
    return patched


def _check_one_device(model: Any) -> None:
    if model.get_additional_models_with_key("multigpu"):
        raise host.one_device_alone()


class _AdapterWrapper:
    """Evaluates the adapter at each call of the network."""

    def __init__(self, adapter: SpatialAdapter, conditions: Callable[[int], ClipConditions], scale: float):
        self.adapter, self.conditions, self.scale = adapter, conditions, scale
        self._cache: dict[tuple[int, torch.device], tuple[ClipConditions, ControlOutput]] = {}

    def around(
        self, executor, x, t, c_concat=None, c_crossattn=None, control=None, transformer_options=None, **more: Any
    ) -> Tensor:
        """A wrapper of the host's ``apply_model``: latents ``x [B, C, T]`` at the noise levels ``t [B]``."""
        mark, local = more.pop(KEY, None), more.get("local_add_cond")
        if c_crossattn is not None and (mark is not None or local is not None):
            model = executor.class_obj
            added = ControlResiduals([], None, model.diffusion_model.transformer.layers)
            if mark is not None:
                added = self._residuals(model, x, t, c_crossattn, more["global_embed"], mark)
            if local is not None:
                added = replace(added, local=local.to(x.device, compute_dtype(model)).mT)
            transformer_options = {**(transformer_options or {}), KEY: added}
        return executor(x, t, c_concat, c_crossattn, control, transformer_options, **more)

    def _residuals(
        self, model: Any, x: Tensor, t: Tensor, tokens: Tensor, global_cond: Tensor, mark: Tensor
    ) -> ControlResiduals:
        network = model.diffusion_model
        dtype = compute_dtype(model)
        rows = mark[:, 0].long().to(x.device)
        conditions, output = map_tensors(lambda value: value[rows], self._encoded(x))
        latents, times = model.model_sampling.calculate_input(t, x).to(dtype), model.model_sampling.timestep(t).float()
        context = {"tokens": tokens.to(x.device, dtype), "global_cond": global_cond.to(x.device, dtype)}
        own = output.cross_attn_tokens
        residuals = self.adapter.residuals(latents, times, conditions, output, self.scale, **context, extra_context=own)
        extra_context = None if own is None else network.to_cond_embed(own.to(dtype))
        return ControlResiduals(residuals, extra_context, network.transformer.layers)

    def _encoded(self, x: Tensor) -> tuple[ClipConditions, ControlOutput]:
        """Of a batch of two: nothing but the envelope, and everything."""
        key = x.shape[-1], x.device
        if key not in self._cache:
            whole = self.conditions(key[0])
            both = ClipConditions.join([whole.without_space().without_timbre(), whole]).to(x.device)
            self._cache[key] = both, self.adapter.encode(both)
        return self._cache[key]

    def clear(self, _: Any) -> None:
        """Drop what was made for one run, for the host's memory's sake."""
        self._cache.clear()


def _block_patch(n: int, before: Callable | None) -> Callable:
    """A patch that adds the adapter's part to the input of block ``n``; ``before`` is another pack's patch of the same
    block."""
    # a function and not an object: the host copies a MODEL's options deeply, objects with all that they hold

    def patch(arguments: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
        options = arguments["transformer_options"]
        added: ControlResiduals | None = options.get(KEY)
        if added is not None:
            hidden, block = arguments["img"], added.blocks[n]
            if n < len(added.residuals) and added.residuals[n] is not None:
                hidden = add_residual(hidden, added.residuals[n])
            if added.extra_context is not None and getattr(block.cross_attn, "differential", False):
                hidden = attend(block, hidden, added.extra_context)
            elif added.extra_context is not None:
                normed = block.cross_attend_norm(hidden)
                hidden = hidden + block.cross_attn(normed, context=added.extra_context, transformer_options=options)
            arguments = {**arguments, "img": hidden}
            if added.local is not None:
                more = {**more, "original_block": partial(_block_with_local, block, added.local)}
        return more["original_block"](arguments) if before is None else before(arguments, more)

    return patch


def _block_with_local(block: Any, local: Tensor, arguments: dict[str, Any]) -> dict[str, Any]:
    given = {"rotary_pos_emb": arguments["pe"], "global_cond": arguments["vec"], "context": arguments["txt"]}
    options = arguments["transformer_options"]
    return {"img": block(arguments["img"], local_add_cond=local, transformer_options=options, **given)}


#: By a host's class of a VAE, what of it decodes, in this order.
DECODERS = {"AudioOobleckVAE": ("decoder",), "SA3AudioVAE": ("bottleneck", "decoder", "pretransform")}


class _Decoder(nn.Module):
    """The decoding half of a native VAE, in the form that :func:`decoded_levels` takes."""

    def __init__(self, vae: Any):
        super().__init__()
        network = getattr(vae, "first_stage_model", None)
        parts = DECODERS.get(type(network).__name__)
        if network is None or parts is None:
            raise StereoSyncError(
                "The input 'vae' is not Stable Audio's; connect the VAE of the Load Checkpoint that the MODEL comes from."
            )
        self.parts, self.downsampling = nn.ModuleList(getattr(network, part) for part in parts), int(vae.downscale_ratio)
        self.channels = int(vae.latent_channels)

    def decode(self, latents: Tensor, start: int = 0) -> Tensor:
        sound = latents.to(next(self.parameters()).device)
        for part in self.parts:
            sound = part.decode(sound) if hasattr(part, "decode") else part(sound)
        return sound.to(latents.device)


def with_spatial_guidance(
    model: Any, vae: Any, target: Callable[[int, float], SpatialGuidanceTarget], guidance: SpatialGuidance
) -> Any:
    """A native MODEL under training-free spatial guidance.

    :param vae: native VAE, through which the latents' levels are read; the host loads its decoder with the MODEL.
    :param target: of the scene, for a number of latent frames, and how many of them there are a second.
    :raises StereoSyncError: when one of the two is not Stable Audio's, or they are of different releases.
    """
    _check_one_device(model)
    base, decoder = release_of(model), _Decoder(vae)
    if base.latent_channels != decoder.channels:
        raise StereoSyncError(
            f"The input 'vae' has {decoder.channels} latent channels and the MODEL {base.latent_channels}; connect the VAE of "
            "the Load Checkpoint that the MODEL comes from."
        )
    patched = model.clone()
    patched.set_additional_models(GUIDANCE_KEY, [host.Whole(decoder, vae.device, vae.patcher.offload_device)])
    cache: dict[int, tuple[Levels, SpatialGuidanceTarget]] = {}
    steps = [0]

    def correct(arguments: dict[str, Any]) -> Tensor:
        denoised = arguments["denoised"]
        steps[0] += 1
        if (steps[0] - 1) % guidance.every:
            return denoised
        frames = denoised.shape[-1]
        if frames not in cache:
            cache[frames] = decoded_levels(decoder), target(frames, SAMPLE_RATE / decoder.downsampling)
        return correct_denoised(denoised, *cache[frames], guidance)

    def clear(_: Any) -> None:
        """After each run: drop what was made for it, and count anew."""
        cache.clear()
        steps[0] = 0

    patched.set_model_sampler_post_cfg_function(correct)
    host.after_each_run(patched, GUIDANCE_KEY, clear)
    return patched
