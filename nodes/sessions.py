"""Hand-over to other programs: a folder with a session."""

from __future__ import annotations

from comfy_api.latest import io

from ..stereosync_core.rendering.spatialize import OFFSCREEN, SpatializeSettings
from ..stereosync_core.scene import DISTANCE_CUES
from ..stereosync_core.sessions.adm import save_adm
from ..stereosync_core.sessions.folder import FORMATS, check_session, save_session
from . import convert, host
from .inputs import checked, choice_input, number_input, schema, unit_input
from .sockets import Depth, Events, Tracks

WHAT = {"REAPER and EDL": ("rpp", "edl"), "OpenTimelineIO and EDL": ("otio", "edl"), "all": tuple(FORMATS)}


class SaveSession(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncSaveSession",
            display_name="Save Session",
            category="StereoSync/export",
            description="A folder that a DAW opens: the picture, a track for each voice with its dry sound, volume and pan "
            "envelopes from where its object is, and markers at events and shots.",
            is_output_node=True,
            inputs=[
                io.Video.Input("video", tooltip="The clip; it is copied into the folder."),
                io.Audio.Input("audio", tooltip="The voices before they are placed: a batch with one for each track."),
                Tracks.Input("tracks", tooltip="The tracks that the voices go along."),
                io.String.Input(
                    "filename_prefix",
                    default="sessions/StereoSync",
                    tooltip="Name of the folder in the output folder; gets a number.",
                ),
                choice_input("format", WHAT, "Events are a CSV as well. OpenTimelineIO needs its package."),
                unit_input("width", 1.0, "Stereo width: 0 puts all in the middle."),
                number_input("distance", 1.0, 0.0, 2.0, 0.05, "Exponent of the inverse distance law; 0 is off."),
                choice_input("distance_from", DISTANCE_CUES, "With depth connected: depth maps, the boxes' height, or both."),
                choice_input("offscreen", OFFSCREEN, "An object that leaves the picture fades out, goes on, or is muted."),
                Events.Input("events", optional=True, tooltip="Become markers."),
                Depth.Input("depth", optional=True, tooltip="Distance from depth maps; without it, from the boxes' height."),
            ],
            outputs=[io.String.Output(display_name="files", tooltip="The files that were written, a line each.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, video, audio, tracks, filename_prefix, format, events=None, depth=None, **settings) -> io.NodeOutput:
        check_session(host.temp_path(""), WHAT[format])
        voices, rate = convert.waveform_of(audio)
        folder, _ = host.output_folder(filename_prefix)
        options = {"events": events, "depth": depth, "formats": WHAT[format], "copy_picture": True}
        placing = SpatializeSettings(**settings)
        paths = save_session(folder, host.source_of(video), list(voices.numpy()), rate, tracks, placing, **options)
        lines = [path.relative_to(folder.parent).as_posix() for path in paths]
        host.show(lines, cls.hidden.unique_id)
        return io.NodeOutput("\n".join(lines), ui={"text": lines})

    @classmethod
    def validate_inputs(cls, filename_prefix=None, format=None):
        formats = checked(lambda: check_session(host.temp_path(""), WHAT.get(format or "", ())))
        return (
            formats if filename_prefix is None or formats is not True else checked(lambda: host.check_output(filename_prefix))
        )


class SaveAdm(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncSaveAdm",
            display_name="Save ADM",
            category="StereoSync/export",
            description="A WAV at 48 kHz with each voice as an object with its positions over time (ADM, ITU-R BS.2076), for "
            "renderers of immersive sound.",
            is_output_node=True,
            inputs=[
                io.Audio.Input("audio", tooltip="The voices before they are placed: a batch with one for each track."),
                Tracks.Input("tracks", tooltip="The tracks that the voices go along."),
                io.String.Input("filename_prefix", default="audio/StereoSync_ADM", tooltip="Name in the output folder."),
                number_input(
                    "field_of_view", 60.0, 10.0, 180.0, 1.0, "Degrees that the picture spans; 60: up to the front loudspeakers."
                ),
                unit_input("width", 1.0, "Width: 0 puts all ahead."),
                number_input("distance", 1.0, 0.0, 2.0, 0.05, "Exponent of the inverse distance law; 0 is off."),
                choice_input("distance_from", DISTANCE_CUES, "With depth connected: depth maps, the boxes' height, or both."),
                choice_input("offscreen", OFFSCREEN, "An object that leaves the picture fades out, goes on, or is muted."),
                Depth.Input("depth", optional=True, tooltip="Distance from depth maps; without it, from the boxes' height."),
            ],
            outputs=[io.String.Output(display_name="file", tooltip="The file that was written.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, audio, tracks, filename_prefix, depth=None, **settings) -> io.NodeOutput:
        voices, rate = convert.waveform_of(audio)
        (path,), _ = host.output_paths(filename_prefix, ".wav", 1)
        scene = {"duration": tracks.duration, "depth": depth}
        save_adm(path, voices.numpy(), rate, tracks, SpatializeSettings(**settings), **scene)
        host.show([path.name], cls.hidden.unique_id)
        return io.NodeOutput(str(path), ui={"text": [path.name]})

    @classmethod
    def validate_inputs(cls, filename_prefix=None):
        return True if filename_prefix is None else checked(lambda: host.check_output(filename_prefix))


NODES = [SaveSession, SaveAdm]
