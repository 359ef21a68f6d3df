"""Footsteps, and any sound placed along a track."""

from __future__ import annotations

from comfy_api.latest import io

from ..stereosync_core.rendering.footsteps import SHOES
from ..stereosync_core.rendering.spatialize import MODES, OFFSCREEN, SpatializeSettings, spatialize
from ..stereosync_core.rendering.surfaces import SURFACES
from ..stereosync_core.rendering.voices import NOTHING_TRACKED, TIMINGS, footstep_voices
from ..stereosync_core.scene import DISTANCE_CUES
from . import convert, host
from .inputs import offset_input, schema, unit_input
from .shown import sound_shown
from .sockets import Depth, Events, Tracks

CATEGORY = "StereoSync/sound"


class Footsteps(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncFootsteps",
            display_name="Footsteps",
            category=CATEGORY,
            description="Synthesises footsteps for every tracked walker, timed by the gait. One mono sound for each track, as "
            "an audio batch; Spatialize Audio places each along its track.",
            inputs=[
                Tracks.Input("tracks", tooltip="The walkers."),
                io.Combo.Input("surface", options=list(SURFACES), default="concrete", tooltip="The ground."),
                io.Combo.Input("shoe", options=list(SHOES), default="sneaker", tooltip="The footwear."),
                unit_input("weight", 0.5, "From light (0) to heavy (1)."),
                unit_input("variation", 0.5, "Difference from step to step."),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**31 - 1,
                    control_after_generate=True,
                    tooltip="Seed of the variation.",
                ),
                io.Combo.Input(
                    "timing",
                    options=list(TIMINGS),
                    default="gait",
                    tooltip="gait: foot contacts from the motion of the box. envelope: loudness peaks of timing_sound. "
                    "cadence: a fixed number of steps a second. events: those that are connected, which go before all others.",
                ),
                io.Float.Input(
                    "cadence",
                    default=1.8,
                    min=0.5,
                    max=5.0,
                    step=0.05,
                    tooltip="Steps a second for timing by cadence, and where nothing is tracked.",
                ),
                io.Combo.Input("sample_rate", options=["48000", "44100"], default="48000", tooltip="Samples a second."),
                io.Combo.Input(
                    "if_nothing_tracked",
                    options=["centre", "error"],
                    default="centre",
                    tooltip="Where nothing is tracked: steps in the middle with a warning, or an error.",
                ),
                io.Audio.Input(
                    "timing_sound", optional=True, tooltip="The sound whose loudness peaks give the steps (timing: envelope)."
                ),
                Events.Input("events", optional=True, tooltip="Steps, landings and hits from Detect Events."),
                offset_input(),
            ],
            outputs=[io.Audio.Output(display_name="voices", tooltip="An audio batch: one mono sound for each track.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, tracks, timing, sample_rate, if_nothing_tracked, timing_sound=None, events=None, offset=0.0, **options
    ) -> io.NodeOutput:
        if len(tracks) == 0 and events is None:
            host.notice(NOTHING_TRACKED, cls.hidden.unique_id)
        uses_sound = timing == "envelope" and timing_sound is not None
        voices, _ = footstep_voices(
            tracks,
            rate=int(sample_rate),
            timing=timing if events is None else "events",
            events=events,
            offset=offset / 1000,
            timing_sound=convert.sound_of(timing_sound, "timing_sound") if uses_sound else None,
            fallback=if_nothing_tracked,
            **options,
        )
        made = list(voices)
        return io.NodeOutput(convert.audio_out(made, int(sample_rate)), ui=sound_shown(made, int(sample_rate), cls))


def place_inputs() -> list[io.Input]:
    """The settings by which sounds are placed, which go to ``SpatializeSettings``, and the seed."""
    return [
        io.Combo.Input(
            "mode",
            options=list(MODES),
            default="pan",
            tooltip="pan: for loudspeakers and headphones. binaural: measured head responses, for headphones only.",
        ),
        unit_input("width", 1.0, "Stereo width: 0 puts all in the middle."),
        io.Float.Input(
            "field_of_view",
            default=60.0,
            min=10.0,
            max=180.0,
            step=1.0,
            tooltip="Degrees that the picture spans (binaural).",
        ),
        io.Boolean.Input(
            "time_difference",
            default=True,
            tooltip="Interaural time difference of up to 0.66 ms.",
        ),
        io.Combo.Input(
            "distance_from",
            options=list(DISTANCE_CUES),
            default="both",
            tooltip="With depth connected: depth maps, the boxes' height, or the mean of both. Boxes suit "
            "objects of one size, depth those cut off by the frame.",
        ),
        io.Float.Input(
            "distance",
            default=1.0,
            min=0.0,
            max=2.0,
            step=0.05,
            tooltip="Exponent of the inverse distance law; 0 is off.",
        ),
        io.Boolean.Input("air", default=True, tooltip="Far sounds lose treble."),
        unit_input("room", 0.2, "Reverberation: 0 in the open, 1 in a hall."),
        io.Combo.Input(
            "offscreen",
            options=list(OFFSCREEN),
            default="fade",
            tooltip="An object that leaves the picture fades out, goes on sounding at its last place, or is muted.",
        ),
        io.Int.Input("seed", default=0, min=0, max=2**31 - 1, tooltip="Seed of the reverberation tail."),
    ]


class SpatializeAudio(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncSpatializeAudio",
            display_name="Spatialize Audio",
            category=CATEGORY,
            description="Places any sound along a track: left and right, near and far, in a room. A batch goes along a track "
            "each, one sound along the most prominent track. Takes native AUDIO from any pack.",
            inputs=[
                io.Audio.Input("audio", tooltip="Mono or stereo; a batch holds a voice for each track."),
                Tracks.Input("tracks", tooltip="The tracks that the sounds go along."),
                Depth.Input("depth", optional=True, tooltip="Distance from depth maps; without it, from the boxes' height."),
                *place_inputs(),
            ],
            outputs=[io.Audio.Output(display_name="audio", tooltip="Stereo, exactly as long as the clip.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, audio, tracks, seed, depth=None, **settings) -> io.NodeOutput:
        voices, rate = convert.waveform_of(audio)
        if len(tracks) == 0:
            host.notice("Spatialize Audio: nothing is tracked, so the sound stays in the middle.", cls.hidden.unique_id)
        stereo = spatialize(
            voices.numpy(),
            rate,
            tracks,
            SpatializeSettings(**settings),
            duration=tracks.duration,
            depth=depth,
            seed=seed,
            progress=host.progress(),
        )
        return io.NodeOutput(convert.audio_out(stereo, rate), ui=sound_shown(stereo, rate, cls, tracks))


NODES = [Footsteps, SpatializeAudio]
