"""How well a sound fits its clip."""

import json

import torch
from comfy_api.latest import io, ui

from ..stereosync_core.media.video import probe
from ..stereosync_core.metrics.clips import RATE, check_length, stereo_44100
from ..stereosync_core.preview.plot import alignment_report
from ..stereosync_core.rendering.panning_laws import panning_laws
from ..stereosync_core.scene import check_depth_fits, check_tracks_fit
from . import convert, host
from .inputs import choice_input, schema
from .sockets import Depth, Events, Tracks

CATEGORY = "StereoSync/evaluation"
LAWS = (
    "How the sound was placed. auto: what fits the clip best. rooms: a game engine's stereo. pan, binaural: Spatialize Audio's "
    "modes."
)


class AlignmentReport(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncAlignmentReport",
            display_name="Alignment Report",
            category=CATEGORY,
            description="Measures whether a sound comes from where things are in the clip: a figure of object and sound over "
            "time, and a table of scores. Centre-panned sound has placement 0, sound in its place up to 1.",
            is_output_node=True,
            inputs=[
                io.Video.Input("video", tooltip="The clip."),
                io.Audio.Input("audio", tooltip="The sound to be measured; as long as the clip."),
                Tracks.Input("tracks", tooltip="The objects that should sound."),
                Depth.Input("depth", optional=True, tooltip="Distance from depth maps; without it, from the boxes' height."),
                io.Audio.Input(
                    "reference", optional=True, tooltip="The true sound, where there is one: adds timing scores (onsets, E-L1)."
                ),
                choice_input("law", ["auto", *panning_laws()], LAWS),
                Events.Input(
                    "events", optional=True, tooltip="What should sound when: adds how far the sound's attacks are from it."
                ),
            ],
            outputs=[
                io.Image.Output(display_name="figure", tooltip="Object and sound over time, as an image."),
                io.String.Output(display_name="scores", tooltip="The table of scores, as JSON."),
            ],
        )

    @classmethod
    def execute(cls, video, audio, tracks, depth=None, reference=None, law="auto", events=None) -> io.NodeOutput:
        duration = probe(host.source_of(video)).duration
        check_tracks_fit(tracks, duration)
        if depth is not None:
            check_depth_fits(depth, duration)
        sound = _of_clip(audio, "audio", duration)
        true = None if reference is None else _of_clip(reference, "reference", duration)
        report, figure = alignment_report(sound, RATE, tracks, depth=depth, reference=true, events=events, law=law)
        image = torch.from_numpy(figure).float()[None] / 255.0
        return io.NodeOutput(image, json.dumps(report, indent=1), ui=ui.PreviewImage(image, cls=cls))


def _of_clip(audio, name: str, duration: float):
    """Stereo at 44.1 kHz, float32 ``[2, N]``, as long as the clip."""
    sound = convert.sound_of(audio, name)
    check_length(sound, duration, f"The input '{name}'")
    return stereo_44100(sound, duration)


NODES = [AlignmentReport]
