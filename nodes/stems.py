"""Stems: what a mix is made of, each with its name; one of them, and all of them as files."""

from __future__ import annotations

from comfy_api.latest import io, ui

from ..stereosync_core.media.loudness import level_text
from ..stereosync_core.rendering.spatialize import SpatializeSettings, spatialize_stems
from ..stereosync_core.rendering.stems import save_stems, select_stem
from . import convert, host
from .audio import FORMATS
from .inputs import checked, choice_input, schema
from .rendering import place_inputs
from .shown import sound_shown
from .sockets import Depth, Tracks

CATEGORY = "StereoSync/export"
STEMS = "An audio batch with names, from Stems."


class Stems(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncStems",
            display_name="Stems",
            category=CATEGORY,
            description="Places sounds as Spatialize Audio does and keeps them apart: a stem for each track, named by its "
            "label and id, and one for the room. Their sum is the mix.",
            inputs=[
                io.Audio.Input("audio", tooltip="A batch with a voice for each track, or one sound."),
                Tracks.Input("tracks", tooltip="The tracks that the sounds go along."),
                Depth.Input("depth", optional=True, tooltip="Distance from depth maps; without it, from the boxes' height."),
                *place_inputs(),
            ],
            outputs=[
                io.Audio.Output(display_name="stems", tooltip="An audio batch: a stereo entry for each stem, and their names."),
                io.Audio.Output(display_name="mix", tooltip="Their sum, as Spatialize Audio makes it."),
                io.String.Output(display_name="names", tooltip="The stems' names, a line each."),
            ],
        )

    @classmethod
    def execute(cls, audio, tracks, seed, depth=None, **settings) -> io.NodeOutput:
        voices, rate = convert.waveform_of(audio)
        scene = {"duration": tracks.duration, "depth": depth, "seed": seed, "progress": host.progress()}
        stems = spatialize_stems(voices.numpy(), rate, tracks, SpatializeSettings(**settings), **scene)
        batch = convert.stems_out(stems)
        mix = batch["waveform"].sum(0)
        names = "\n".join(stem.name for stem in stems)
        return io.NodeOutput(batch, convert.audio_out(mix, rate), names, ui=sound_shown(mix, rate, cls, tracks))


class SelectStem(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncSelectStem",
            display_name="Select Stem",
            category=CATEGORY,
            description="One stem of a batch, by its name or its number.",
            inputs=[
                io.Audio.Input("stems", tooltip=STEMS),
                io.String.Input(
                    "name", default="1", tooltip="A stem's name, such as person_1 or room, or its number from 1 on."
                ),
            ],
            outputs=[io.Audio.Output(display_name="audio", tooltip="The stem.")],
        )

    @classmethod
    def execute(cls, stems, name) -> io.NodeOutput:
        found = convert.stems_of(stems)
        chosen = found[select_stem([stem.name for stem in found], name)]
        return io.NodeOutput(convert.audio_out(chosen.samples, chosen.rate))


class SaveStems(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncSaveStems",
            display_name="Save Stems",
            category=CATEGORY,
            description="Saves each stem as a file of its name in a new folder, with a player for each. All keep one common "
            "level, so that they sum to the mix.",
            is_output_node=True,
            inputs=[
                io.Audio.Input("stems", tooltip=STEMS),
                io.String.Input(
                    "filename_prefix",
                    default="stems/StereoSync",
                    tooltip="Name of the folder in the output folder; gets a number.",
                ),
                choice_input("format", FORMATS, "wav float keeps every sample, also beyond full scale."),
            ],
            outputs=[io.String.Output(display_name="files", tooltip="A line for each file: name, loudness and true peak.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, stems, filename_prefix, format) -> io.NodeOutput:
        folder, subfolder = host.output_folder(filename_prefix)
        suffix, codec = FORMATS[format]
        reports = save_stems(folder, convert.stems_of(stems), suffix=suffix, codec=codec)
        lines = [f"{report.path.name}: {level_text(report.loudness_after, report.true_peak)}." for report in reports]
        host.show(lines, cls.hidden.unique_id)
        saved = [ui.SavedResult(report.path.name, subfolder, io.FolderType.output) for report in reports]
        return io.NodeOutput("\n".join(lines), ui={"audio": saved, "text": lines})

    @classmethod
    def validate_inputs(cls, filename_prefix=None):
        return True if filename_prefix is None else checked(lambda: host.check_output(filename_prefix))


NODES = [Stems, SelectStem, SaveStems]
