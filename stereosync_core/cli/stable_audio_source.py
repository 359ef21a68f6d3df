"""Stable Audio Open on the command line: its options, and what they load."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ..errors import StereoSyncError
from ..model.conditioning.features import latent_count
from ..model.conditioning.target import stereo_target
from ..model.generate import make_conditions
from ..model.loader import bundled_folder, load_envelope, load_timbre
from ..model.packed import pack
from ..model.precision import PRECISIONS, chosen_dtype
from ..model.spatial_guidance import Lead, SpatialGuidance
from .sound_sources import ClipConditions, Source, given


def add_stable_audio_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("Stable Audio Open", "where --model is its folder or file")
    group.add_argument("--adapter", type=Path, metavar="DIR", help="what tells it of the scene; see train adapter")
    group.add_argument("--text", metavar="PROMPT", help="what it is to sound like; may be left out with an adapter")
    group.add_argument("--t5", type=Path, metavar="DIR", help="folder of T5 base, which reads the prompt")
    group.add_argument(
        "--levels", type=Path, metavar="DIR", help="for --spatial-guidance: of train levels; without it, the decoder is asked"
    )
    group.add_argument(
        "--precision", choices=list(PRECISIONS), help="of its weights (default: fp32; with --fast bf16, where that is faster)"
    )
    group.add_argument("--device", help="where it is run (default: cpu)")
    group.add_argument(
        "--compile", action="store_true", default=None, help="have torch compile the blocks: for many steps, on a graphics card"
    )


def refuse_stable_audio_options(arguments: argparse.Namespace) -> None:
    """:raises StereoSyncError: for an option of this group with another kind of model."""
    found = given(arguments, "adapter", "text", "t5", "levels", "precision", "device", "compile")
    if found:
        raise StereoSyncError(
            f"--{next(iter(found))} is for Stable Audio Open; give its folder or file with --model, or leave the option out."
        )


def stable_audio_source(arguments: argparse.Namespace) -> Source:
    """The release of ``--model``, with or without an adapter.

    :raises StereoSyncError: for a prompt without its encoder, and for what only an adapter hears without one.
    """
    from ..model.stable_audio.adapter import load_adapter
    from ..model.stable_audio.generate import StableAudioSampling, encoded, generate
    from ..model.stable_audio.model import load_stable_audio
    from ..model.stable_audio.text import TextEncoder

    options = StableAudioSampling(**given(arguments, "steps", "sampler", "cfg", "seed", economy="fast"))
    if arguments.adapter is None:
        unheard = given(arguments, "envelope", "timbre", space_scale="space_scale", envelope_scale="envelope_scale")
        if unheard:
            name = next(iter(unheard)).replace("_", "-")
            raise StereoSyncError(f"--{name} is heard by an adapter alone; give one with --adapter, or leave the option out.")
    dtype = chosen_dtype(arguments.precision, arguments.device or "cpu", fast=arguments.fast is not None)
    model = load_stable_audio(arguments.model, dtype)
    text = timbre = reader = None
    if arguments.text is not None or arguments.adapter is None:
        encoder = None if arguments.t5 is None else TextEncoder(arguments.t5)
        text = encoded(arguments.text, encoder, model.config.text_tokens)
    if arguments.adapter is not None:
        model.adapter = load_adapter(arguments.adapter, model, dtype)
        timbre, reader = load_timbre(arguments.adapter), load_envelope(bundled_folder())
    if arguments.levels is not None:
        model.hear_levels(arguments.levels)
        if model.levels is None:
            raise StereoSyncError(f"--levels: '{arguments.levels}' has no part 'levels'; give what `train levels` has written.")
    if dtype == torch.float32 and not arguments.compile:
        pack(model)
    model.to(arguments.device or "cpu")
    if arguments.compile:
        model.backbone.compile_blocks()
    how = SpatialGuidance(**given(arguments, "law", strength="spatial_guidance")) if arguments.spatial_guidance else None

    def make(told: ClipConditions, progress: Callable[[int, int], None]) -> np.ndarray:
        conditions = {}
        if model.adapter is not None:
            made, loudest = make_conditions(model, told.tracks, told.depth, told.envelope, told.timbre, spatial=told.spatial)
            scales = given(arguments, space="space_scale", envelope="envelope_scale")
            conditions = {"conditions": made, "loudest": loudest, **scales}
        lead = None
        if how is not None:
            frames = latent_count(told.tracks.duration, model.latent_rate)
            lead = Lead(stereo_target(told.tracks, told.depth, frames, model.latent_rate, law=how.law), how)
        return generate(model, text, told.tracks.duration, lead=lead, options=options, progress=progress, **conditions)

    return Source(model.name, model.sample_rate, model.latent_rate, make, timbre, reader)
