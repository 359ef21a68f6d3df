"""What can make a clip's sound on the command line, behind one face: a StereoSync model, or Stable Audio Open."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ..model.conditioning.clap import ClapTimbre
from ..model.conditioning.timbre import TimbreEncoder
from ..model.conditioning.video_envelope import VideoEnvelope
from ..model.generate import Sampling, generate
from ..model.loader import load_model
from ..scene import DepthSequence, Envelope, Tracks


@dataclass(frozen=True)
class ClipConditions:
    """Of a clip: where things are, when they sound, and what like.

    :param spatial: False leaves boxes and depth out.
    """

    tracks: Tracks
    depth: DepthSequence | None
    envelope: Envelope | None
    timbre: Tensor | None
    spatial: bool


@dataclass(frozen=True)
class Source:
    """A loaded model.

    :param make: from what is told, with ``progress(done, total)``, to sound float32 ``[2, round(duration * sample_rate)]``.
    :param timbre: what makes a timbre's vector; None where the model hears none.
    :param reader: what reads an envelope off the picture; None where the model hears none.
    """

    name: str
    sample_rate: int
    latent_rate: float
    make: Callable[[ClipConditions, Callable[[int, int], None]], np.ndarray]
    timbre: TimbreEncoder | ClapTimbre | None
    reader: VideoEnvelope | None


def own_source(arguments: argparse.Namespace) -> Source:
    """The model of ``--model``, or the bundled one, with the sampler's options."""
    names = ("steps", "sampler", "cfg", "seed", "spatial_guidance", "law")
    options = Sampling(**given(arguments, *names, space="space_scale", envelope="envelope_scale", economy="fast"))
    model = load_model(arguments.model)

    def make(told: ClipConditions, progress: Callable[[int, int], None]) -> np.ndarray:
        return generate(
            model,
            told.tracks,
            told.depth,
            envelope=told.envelope,
            timbre=told.timbre,
            spatial=told.spatial,
            options=options,
            progress=progress,
        )

    return Source(model.name, model.sample_rate, model.latent_rate, make, model.timbre, model.envelope)


def given(arguments: argparse.Namespace, *names: str, **renamed: str) -> dict[str, Any]:
    """Options that were given, by their own names or by others: what is left out has its default elsewhere."""
    everything = {name: getattr(arguments, option) for name, option in ({name: name for name in names} | renamed).items()}
    return {name: value for name, value in everything.items() if value is not None}


def is_release(path: Path | None) -> bool:
    """Whether ``--model`` means Stable Audio Open: one file, or a folder as its release is."""
    from ..model.stable_audio.release import CONFIG, WEIGHTS

    if path is None:
        return False
    return path.suffix == ".safetensors" or path.is_file() or any((path / name).is_file() for name in (CONFIG, WEIGHTS))
