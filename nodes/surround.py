"""More than two channels: loudspeakers around, ambisonics, and headphones out of these."""

from __future__ import annotations

from comfy_api.latest import io

from ..stereosync_core.rendering.layouts import LAYOUTS, layout_of
from ..stereosync_core.rendering.spatialize import OFFSCREEN, SpatializeSettings
from ..stereosync_core.rendering.surround import ambisonics_to_binaural, spatialize_surround
from ..stereosync_core.scene import DISTANCE_CUES
from . import convert, host
from .inputs import choice_input, number_input, schema, unit_input, whole_input
from .shown import sound_shown
from .sockets import Depth, Tracks

CATEGORY = "StereoSync/sound"


class SpatializeSurround(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncSpatializeSurround",
            display_name="Spatialize Surround",
            category=CATEGORY,
            description="Places sounds along tracks in 5.1, 7.1.4 or ambisonics, near or far, left or right, high or low.",
            inputs=[
                io.Audio.Input("audio", tooltip="A batch with a voice for each track, or one sound."),
                Tracks.Input("tracks", tooltip="The tracks that the sounds go along."),
                Depth.Input("depth", optional=True, tooltip="Distance from depth maps; without it, from the boxes' height."),
                choice_input("layout", LAYOUTS, "Loudspeakers of BS.2051, or ambisonics (AmbiX: ACN, SN3D)."),
                number_input(
                    "field_of_view", 60.0, 10.0, 180.0, 1.0, "Degrees that the picture spans; 60: up to the front loudspeakers."
                ),
                unit_input("width", 1.0, "Width: 0 puts all ahead."),
                choice_input("distance_from", DISTANCE_CUES, "With depth connected: depth maps, the boxes' height, or both."),
                number_input("distance", 1.0, 0.0, 2.0, 0.05, "Exponent of the inverse distance law; 0 is off."),
                io.Boolean.Input("air", default=True, tooltip="Far sounds lose treble."),
                unit_input("room", 0.2, "Reverberation: 0 in the open, 1 in a hall."),
                choice_input("offscreen", OFFSCREEN, "An object that leaves the picture fades out, goes on, or is muted."),
                whole_input("seed", 0, 0, 2**31 - 1, "Seed of the reverberation tail."),
            ],
            outputs=[io.Audio.Output(display_name="audio", tooltip="Native AUDIO with the channels of the layout.")],
        )

    @classmethod
    def execute(cls, audio, tracks, layout, seed, depth=None, **settings) -> io.NodeOutput:
        voices, rate = convert.waveform_of(audio)
        scene = {"duration": tracks.duration, "depth": depth, "seed": seed, "progress": host.progress()}
        sound = spatialize_surround(voices.numpy(), rate, tracks, layout, SpatializeSettings(**settings), **scene)
        audio = convert.audio_out(sound, rate) | {"layout": layout_of(layout).file_layout}
        return io.NodeOutput(audio, ui=sound_shown(sound, rate, cls, tracks))


class AmbisonicsToBinaural(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncAmbisonicsToBinaural",
            display_name="Ambisonics to Binaural",
            category=CATEGORY,
            description="Ambisonics (AmbiX, first or third order) for headphones, by measured head responses.",
            inputs=[io.Audio.Input("audio", tooltip="4 or 16 channels, from Spatialize Surround or a file.")],
            outputs=[io.Audio.Output(display_name="audio", tooltip="Stereo for headphones.")],
        )

    @classmethod
    def execute(cls, audio) -> io.NodeOutput:
        sound = convert.sound_of(audio)
        return io.NodeOutput(convert.audio_out(ambisonics_to_binaural(sound.samples, sound.rate), sound.rate))


NODES = [SpatializeSurround, AmbisonicsToBinaural]
