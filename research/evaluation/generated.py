"""Systems of the generative model. They are given the recording's loudness envelope (of the mono mix) and its timbre, as the
paper's is, unless their name has another; where things are comes from boxes and depth alone."""

import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from stereosync_core.errors import StereoSyncError
from stereosync_core.media.envelope import envelope_of_sound
from stereosync_core.metrics.clips import RATE
from stereosync_core.model.conditioning.features import ENVELOPE_WINDOW, REFERENCE_LEVEL
from stereosync_core.model.conditioning.spatial import SpatialConditioning
from stereosync_core.model.conditioning.video_envelope import envelope_from_video, picture_motion
from stereosync_core.model.decoding import decode
from stereosync_core.model.generative_model import GenerativeModel
from stereosync_core.model.loader import load_model
from stereosync_core.model.pipeline import StereoSyncPipeline
from stereosync_core.model.precision import fast_dtype
from stereosync_core.model.speedups import FAST
from stereosync_core.rendering.event_envelope import envelope_from_events
from stereosync_core.scene import Envelope

from ..rooms.rooms import RoomClip
from .systems import EvaluationClip, Options, System, recording_of

#: The bundled model with the paper's form of conditions.
PAPER = Path(__file__).resolve().parents[1] / "weights" / "walking-rooms-paper"


def autoencoder(options: Options) -> System:
    """The recording through the autoencoder and back: what the model could reach at best."""
    model = _model(options.model, options.device)

    def system(clip: EvaluationClip) -> np.ndarray:
        sound = recording_of(clip)
        loudest = float(_envelope(sound).values.max())
        gain = np.float32(REFERENCE_LEVEL / max(loudest, 1e-6))
        with torch.inference_mode():
            latents = model.autoencoder.encode(torch.from_numpy(sound * gain)[None].to(model.execution_device))
        return decode(model.autoencoder, latents, sound.shape[1]) / gain

    return system


def aligned(options: Options) -> System:
    """The model with all its conditions."""
    return _generator(options.model, options)


def paper(options: Options) -> System:
    """The model whose spatial conditions are the paper's flat list of tokens, trained on the same rooms for as many steps; from
    the folder ``paper`` next to a model of one's own."""
    folder = PAPER if options.model is None else options.model.parent / "paper"
    return _generator(folder, options)


def no_spatial(options: Options) -> System:
    """The model without boxes and depth."""
    return _generator(options.model, options, spatial_scale=0.0)


def fast(options: Options) -> System:
    """The model with all its conditions and the sampler's fast options: bfloat16 where that is faster, guidance in the
    middle of the way alone, residuals that serve two steps."""
    return _generator(options.model, options, quickly=True)


def spatial_guidance(options: Options) -> System:
    """The model without boxes and depth, under training-free spatial guidance."""
    return _generator(options.model, options, spatial_scale=0.0, guidance=1.0)


def video_envelope(options: Options) -> System:
    """The model with the envelope read off the picture: nothing of the recording but its timbre."""
    return _generator(options.model, options, from_video=True)


def true_events(options: Options) -> System:
    """The model with the envelope that a room's true events ask for: nothing of the recording but its timbre."""
    return _generator(options.model, options, envelope=_events_envelope)


def aligned_events(options: Options) -> System:
    """The model with all its conditions and a room's true events: the recording's envelope, and whose its each moment is."""
    return _generator(options.model, options, with_events=True)


def _room(clip: EvaluationClip) -> RoomClip:
    if not isinstance(clip, RoomClip):
        raise StereoSyncError("Systems: true events are known of walking rooms alone; leave out what has 'events' in its name.")
    return clip


def _events_envelope(clip: EvaluationClip) -> Envelope:
    room = _room(clip)
    options = {"surface": room.surface, "window": ENVELOPE_WINDOW}
    return envelope_from_events(room.events(only_visible=True), room.tracks, room.depth, **options)


def _generator(
    folder: Path | None,
    options: Options,
    spatial_scale: float | None = None,
    from_video: bool = False,
    envelope: Callable[[EvaluationClip], Envelope] | None = None,
    guidance: float | None = None,
    quickly: bool = False,
    with_events: bool = False,
) -> System:
    model = load_model(folder).to(options.device) if quickly else _model(folder, options.device)
    if quickly:
        model.set_precision(fast_dtype(options.device))
    pipeline = StereoSyncPipeline(model)

    def system(clip: EvaluationClip) -> np.ndarray:
        sound = recording_of(clip)
        assert model.timbre_encoder is not None
        return pipeline(
            SpatialConditioning(clip.tracks, clip.depth),
            envelope=envelope(clip) if envelope else _video_envelope(model, clip) if from_video else _envelope(sound),
            events=_room(clip).events(only_visible=True) if with_events else None,
            timbre=model.timbre_encoder.of_sound(sound, RATE),
            spatial_scale=spatial_scale,
            spatial_guidance=guidance,
            # from the clip's name, so that any part of a set gives the same sounds
            seed=options.seed + zlib.crc32(clip.name.encode()),
            speedups=FAST if quickly else None,
        ).samples

    return system


def _video_envelope(model: GenerativeModel, clip: EvaluationClip) -> Envelope:
    times, pictures = clip.frames()
    moved = picture_motion(zip(times.tolist(), pictures, strict=True), clip.tracks)
    assert model.envelope_reader is not None
    return envelope_from_video(model.envelope_reader, clip.tracks, *moved, model.latent_rate)


def _envelope(sound: np.ndarray) -> Envelope:
    return envelope_of_sound(sound, RATE, window=ENVELOPE_WINDOW)


@lru_cache(maxsize=4)
def _model(folder: Path | None, device: str) -> GenerativeModel:
    return load_model(folder).to(device)
