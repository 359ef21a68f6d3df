"""The release's ``model_config.json``: what of it builds the networks, and which release a file without one holds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ...errors import StereoSyncError

#: Configs of the releases, by name; written from published facts, in the form of ``model_config.json``.
RELEASES = ("open_1_0", "open_small")
#: Options of the transformer that :class:`..backbone.Backbone` runs; with any other its loop would be wrong without a word.
_TRANSFORMER = {
    *("io_channels", "embed_dim", "depth", "num_heads", "cond_token_dim", "global_cond_dim", "project_cond_tokens"),
    *("project_global_cond", "transformer_type", "global_cond_type", "attn_kwargs", "ff_kwargs", "norm_kwargs"),
}
_CHANNELS, _STRIDES = [1, 2, 4, 8, 16], [2, 4, 4, 8, 8]


@dataclass(frozen=True)
class StableAudioConfig:
    """What of a release its networks are built from.

    :ivar backbone: arguments of :class:`..backbone.Backbone`, and ``autoencoder`` of diffusers' ``AutoencoderOobleck``.
    :ivar numbers: least and largest value of each number that the model is conditioned on, by name, in seconds.
    :ivar cross_attn_ids: what cross-attention sees, in order: ``prompt`` and names of numbers; ``global_ids`` make the global
        condition.
    :ivar text_tokens: tokens of a prompt.
    :ivar sample_size: samples that the model was trained on at a time.
    :ivar distilled: made for few steps without guidance (the objective ``rf_denoiser``).
    """

    backbone: dict[str, Any]
    autoencoder: dict[str, Any]
    numbers: dict[str, tuple[float, float]]
    cross_attn_ids: tuple[str, ...]
    global_ids: tuple[str, ...]
    text_tokens: int
    sample_size: int
    sample_rate: int
    distilled: bool

    @property
    def objective(self) -> str:
        return self.backbone["diffusion_objective"]

    @property
    def width(self) -> int:
        """Of a token."""
        return self.backbone["cond_token_dim"]


@cache
def release_config(name: str) -> dict[str, Any]:
    """The bundled config of a release of :data:`RELEASES`; not to be changed."""
    return json.loads((Path(__file__).parent / "configs" / f"{name}.json").read_text(encoding="utf-8"))


def recognise(shapes: Mapping[str, tuple[int, ...]], where: Path) -> dict[str, Any]:
    """Config of the release whose tensors have these shapes, by width, depth and the numbers that it is conditioned on.

    :param shapes: by the release's keys.
    :raises StereoSyncError: when it is neither of them.
    """
    width = shapes.get("model.model.transformer.project_in.weight", (0,))[0]
    start = "model.model.transformer.layers."
    depth = len({key[len(start) :].split(".")[0] for key in shapes if key.startswith(start)})
    numbers = {key.split(".")[2] for key in shapes if key.startswith("conditioner.conditioners.seconds_")}
    for name in RELEASES:
        config = release_config(name)
        diffusion = config["model"]["diffusion"]
        known = (diffusion["config"]["embed_dim"], diffusion["config"]["depth"], set(diffusion["global_cond_ids"]))
        if (width, depth, numbers) == known:
            return config
    raise StereoSyncError(
        f"Stable Audio: '{where}' holds a transformer of width {width} with {depth} blocks, which is neither Stable Audio Open "
        "1.0 nor Small; give the folder that holds its model_config.json too, or put that next to the file as NAME_config.json."
    )


def understood(config: Mapping[str, Any], where: Path) -> StableAudioConfig:
    """A release's config, as the networks need it.

    :param where: named in errors.
    :raises StereoSyncError: for another family of models, or an option that would change the numbers and is not known here.
    """
    try:
        return _understood(config, where)
    except (KeyError, TypeError, AttributeError) as error:
        raise StereoSyncError(
            f"Stable Audio: '{where}' is no config of Stable Audio Open ({type(error).__name__}: {error}); "
            "give the release's folder with its own model_config.json."
        ) from error


def _understood(config: Mapping[str, Any], where: Path) -> StableAudioConfig:
    def require(fits: bool, why: str) -> None:
        if not fits:
            raise StereoSyncError(
                f"Stable Audio: '{where}' is a model of another family ({why}); give Stable Audio Open 1.0 or Small."
            )

    model = config["model"]
    diffusion, pretransform = model["diffusion"], model["pretransform"]
    kinds = (config["model_type"], pretransform["type"], diffusion["type"])
    require(kinds == ("diffusion_cond", "autoencoder", "dit"), f"it is of the kind {' / '.join(kinds)}")
    objective = diffusion.get("diffusion_objective", "v")
    require(objective in ("v", "rectified_flow", "rf_denoiser"), f"its objective is {objective}")
    unknown = sorted(diffusion["config"].keys() - _TRANSFORMER)
    unknown += [key for key in ("input_concat_ids", "prepend_cond_ids") if diffusion.get(key)]
    require(not unknown, f"its transformer has the options {', '.join(unknown)}")
    conditions = {each["id"]: each for each in model["conditioning"]["configs"]}
    numbers = {
        name: (float(each["config"]["min_val"]), float(each["config"]["max_val"]))
        for name, each in conditions.items()
        if each["type"] == "number"
    }
    cross_attn, global_cond = tuple(diffusion["cross_attention_cond_ids"]), tuple(diffusion["global_cond_ids"])
    text = conditions.get("prompt", {"type": "none"})
    alone = text["type"] == "t5" and {*cross_attn} <= {"prompt", *numbers} and {*global_cond} <= {*numbers}
    require(alone, f"it is conditioned on {', '.join(conditions)} and not a T5 prompt and seconds alone")
    autoencoder = _autoencoder(pretransform, int(config["sample_rate"]))
    require(autoencoder is not None, "its autoencoder is another than Stable Audio Open's")
    return StableAudioConfig(
        # both kinds of flow predict the same velocity; they differ in how they are sampled
        backbone={**diffusion["config"], "diffusion_objective": "v" if objective == "v" else "rectified_flow"},
        autoencoder=autoencoder or {},
        numbers=numbers,
        cross_attn_ids=cross_attn,
        global_ids=global_cond,
        text_tokens=int(text["config"].get("max_length", 128)),
        sample_size=int(config["sample_size"]),
        sample_rate=int(config["sample_rate"]),
        distilled=objective == "rf_denoiser",
    )


def _autoencoder(pretransform: Mapping[str, Any], rate: int) -> dict[str, Any] | None:
    """Arguments of ``AutoencoderOobleck``, which is one case of the release's config; None for the others."""
    whole = pretransform["config"]
    encoder, decoder = whole["encoder"]["config"], whole["decoder"]["config"]
    multiples, strides = encoder.get("c_mults", _CHANNELS), encoder.get("strides", _STRIDES)
    latent = whole["latent_dim"]
    fits = (
        (whole["encoder"]["type"], whole["decoder"]["type"], whole["bottleneck"]["type"]) == ("oobleck", "oobleck", "vae")
        and (decoder.get("c_mults", _CHANNELS), decoder.get("strides", _STRIDES)) == (multiples, strides)
        # diffusers' encoder ends as wide as its first convolution
        and encoder["channels"] == encoder["latent_dim"] == 2 * latent == 2 * decoder["latent_dim"]
        and encoder.get("in_channels", 2) == decoder.get("out_channels", 2)
        and all(part.get("use_snake") and not part.get("antialias_activation") for part in (encoder, decoder))
        and not decoder.get("use_nearest_upsample")
        and not decoder.get("final_tanh", True)
        and not whole.get("soft_clip")
        and pretransform.get("scale", 1.0) == 1.0
    )
    if not fits:
        return None
    return {
        "encoder_hidden_size": encoder["channels"],
        "decoder_channels": decoder["channels"],
        "decoder_input_channels": latent,
        "downsampling_ratios": list(strides),
        "channel_multiples": list(multiples),
        "audio_channels": encoder.get("in_channels", 2),
        "sampling_rate": rate,
    }
