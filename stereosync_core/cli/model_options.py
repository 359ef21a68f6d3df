"""The options of a generative model on the command line, and the pipeline that they give."""

import argparse
from pathlib import Path
from typing import Any

import torch

from ..errors import StereoSyncError, explained
from ..model.generative_model import STEREOSYNC
from ..model.loader import check_parts, is_release, objective_of
from ..model.pipeline import StereoSyncPipeline
from ..model.precision import PRECISIONS, chosen_dtype, fast_dtype
from ..model.samplers import SAMPLER_NAMES, check_sampler
from ..model.settings import check_numbers
from ..model.spatial_guidance import SpatialGuidance
from ..model.speedups import FAST
from ..model.stable_audio_3.release import is_stable_audio_3
from ..rendering.panning_laws import panning_laws

#: What is loaded once, whatever is made with it.
LOADED = ("model", "adapter", "t5", "levels", "precision", "device")
_STABLE_AUDIO = ("adapter", "text", "t5", "levels", "precision", "compile")
_NEED_ADAPTER = ("envelope", "timbre", "space_scale", "envelope_scale")
_SPATIAL_GUIDANCE = "training-free guidance to where things are, 0 = off to 1 (default: 0.5; Stable Audio Open: 0)"
_LAW = "its panning law: how azimuth becomes a level difference (default: rooms; Stable Audio Open: pan)"
_FAST = (
    "guidance in the middle timesteps alone, and the control branch at every other step; Stable Audio Open in bf16 where the "
    "device is faster in it (docs/results.md)"
)


def add_model_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Adds the options and returns the group of those that go with every model."""
    # what is left out is as the model has it; the defaults named here are the StereoSync model's
    group = parser.add_argument_group("model")
    release = parser.add_argument_group("Stable Audio Open", "where --model is its folder or file")
    folder = {"type": Path, "metavar": "DIR"}
    table: tuple[tuple[argparse._ArgumentGroup, str, dict[str, Any]], ...] = (
        (group, "model", {**folder, "help": "a model's folder (default: the bundled one), or Stable Audio Open's"}),
        (group, "steps", {"type": int, "help": f"of the sampler (default: {STEREOSYNC.num_inference_steps})"}),
        (group, "sampler", {"choices": SAMPLER_NAMES, "help": f"(default: {STEREOSYNC.sampler})"}),
        (group, "cfg", _scale(f"guidance scale of timbre and text, 0 = off (default: {STEREOSYNC.guidance_scale})")),
        (group, "space-scale", _scale(f"guidance scale of boxes and depth, 0 = off (default: {STEREOSYNC.spatial_scale})")),
        (group, "envelope-scale", _scale("of the envelope's control branch, 0 = off (default: 1.0)")),
        (group, "spatial-guidance", _scale(_SPATIAL_GUIDANCE) | {"metavar": "STRENGTH"}),
        (group, "law", {"choices": list(panning_laws()), "help": _LAW}),
        (group, "fast", {"action": "store_true", "help": _FAST}),
        (group, "device", {"help": "where it runs (default: cpu)"}),
        (release, "adapter", {**folder, "help": "conditions it on the scene; see train adapter"}),
        (release, "text", {"metavar": "PROMPT", "help": "what it sounds like; may be left out with an adapter"}),
        (release, "t5", {**folder, "help": "folder of T5 base, which encodes the prompt"}),
        (release, "levels", {**folder, "help": "for --spatial-guidance: of train levels; without it, through the decoder"}),
        (release, "precision", {"choices": list(PRECISIONS), "help": "of its weights (default: fp32)"}),
        (
            release,
            "compile",
            {"action": "store_true", "help": "torch compiles the blocks: for many steps, on a graphics card"},
        ),
    )
    for where, name, options in table:
        where.add_argument(f"--{name}", **options)
    return group


def _scale(text: str) -> dict[str, Any]:
    return {"type": float, "help": text}


def check_model_options(arguments: argparse.Namespace) -> None:
    """Before anything is loaded; raises StereoSyncError for options that do not go together, and folders without what they are
    given for."""
    source, device = arguments.model or "bundled", arguments.device or "cpu"
    for name in ("model", "adapter", "t5", "levels"):
        path = getattr(arguments, name)
        if path is not None and not path.exists():
            raise StereoSyncError(f"--{name}: '{path}' does not exist; give a folder that is there.")
    check_numbers(arguments.steps, **_scales(arguments))
    SpatialGuidance(arguments.spatial_guidance or 0.0)
    with explained(f"--device: '{device}' is not here ({{line}}); choose cpu, or leave the option out.", RuntimeError):
        torch.zeros(1, device=device)
    objective = objective_of(source)
    if arguments.sampler is not None:
        check_sampler(arguments.sampler, objective)
    if source == "bundled" or not is_release(source):
        _refuse(arguments, _STABLE_AUDIO, "is for Stable Audio Open; give its folder or file with --model")
        return
    if arguments.adapter is None:
        _refuse(arguments, _NEED_ADAPTER, "needs an adapter; give one with --adapter")
    check_parts(source, arguments.adapter, arguments.levels, arguments.t5)
    encoder = arguments.t5 is not None or (is_stable_audio_3(source) and (source / "text_encoder").is_dir())
    if arguments.text is None and arguments.adapter is None:
        raise StereoSyncError("--text is missing, and there is no --adapter; give what it sounds like.")
    if arguments.text is not None and not encoder:
        raise StereoSyncError("--text: there is no text encoder for it; give the folder of T5 base with --t5.")


def load_pipeline(arguments: argparse.Namespace) -> StereoSyncPipeline:
    """The pipeline of checked options."""
    source, device = arguments.model or "bundled", arguments.device or "cpu"
    if source == "bundled" or not is_release(source):
        pipeline = StereoSyncPipeline.from_pretrained(source, device=device)
    else:
        pipeline = StereoSyncPipeline.from_pretrained(
            source,
            adapter=arguments.adapter,
            text_encoder=arguments.t5,
            levels=arguments.levels,
            dtype=chosen_dtype(arguments.precision or "fp32", device),
            device=device,
        )
        if arguments.fast and arguments.precision is None:
            pipeline.model.set_precision(fast_dtype(device))
    if arguments.compile:
        pipeline.model.backbone.compile_blocks()
    return pipeline


def numbers_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The prompt and the numbers that a pipeline is called with."""
    return {
        "prompt": arguments.text,
        "seed": arguments.seed,
        "num_inference_steps": arguments.steps,
        "sampler": arguments.sampler,
        **_scales(arguments),
        "spatial_guidance": arguments.spatial_guidance,
        "panning_law": arguments.law,
        "speedups": FAST if arguments.fast else None,
    }


def _scales(arguments: argparse.Namespace) -> dict[str, Any]:
    spatial = 0.0 if arguments.no_spatial else arguments.space_scale
    return {"guidance_scale": arguments.cfg, "spatial_scale": spatial, "control_scale": arguments.envelope_scale}


def _refuse(arguments: argparse.Namespace, names: tuple[str, ...], why: str) -> None:
    for name in names:
        if getattr(arguments, name) not in (None, False):
            raise StereoSyncError(f"--{name.replace('_', '-')} {why}, or leave the option out.")
