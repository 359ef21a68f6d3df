"""Sound out: files with the loudness that they reach, and a player for each entry of a batch."""

from comfy_api.latest import io, ui

from ..stereosync_core.media.loudness import level_text
from ..stereosync_core.media.save import save_sounds
from . import convert, host
from .inputs import checked, choice_input, limiter_input, number_input, schema
from .video import LOUDNESS

#: Endings and codecs by the names on the canvas.
FORMATS = {
    "wav 24 bit": (".wav", "pcm24"),
    "wav 16 bit": (".wav", "pcm16"),
    "wav float": (".wav", "float32"),
    "flac": (".flac", "flac"),
}
NORMALIZE = "Bring each entry of a batch to the loudness below, by itself: leave it off where the balance of voices matters."


class SaveAudio(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncSaveAudio",
            display_name="Save Audio (WAV, FLAC)",
            category="StereoSync/sound",
            description="Saves sound without loss, each entry of a batch as a file with a player of its own, and shows the "
            "loudness reached and the true peak.",
            is_output_node=True,
            inputs=[
                io.Audio.Input("audio", tooltip="The sound, or a batch of voices, from this pack or any other."),
                io.String.Input(
                    "filename_prefix", default="audio/StereoSync", tooltip="Name in the output folder; may hold subfolders."
                ),
                choice_input(
                    "format", FORMATS, "wav float keeps every sample, also beyond full scale; the others clip nothing."
                ),
                io.Boolean.Input("normalize", default=False, tooltip=NORMALIZE),
                number_input("loudness_lufs", -23.0, -40.0, -8.0, 0.5, LOUDNESS),
                limiter_input(),
            ],
            outputs=[
                io.Audio.Output(display_name="audio", tooltip="As it is in the files."),
                io.String.Output(
                    display_name="levels", tooltip="A line for each file: loudness in LUFS and true peak in dBTP."
                ),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo, io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, audio, filename_prefix, format, normalize, loudness_lufs, limiter=False) -> io.NodeOutput:
        sounds = convert.sounds_of(audio)
        suffix, codec = FORMATS[format]
        paths, subfolder = host.output_paths(filename_prefix, suffix, len(sounds))
        reports = save_sounds(
            paths,
            sounds,
            codec=codec,
            loudness=loudness_lufs if normalize else None,
            limiter=limiter,
            metadata=host.workflow_metadata(cls.hidden),
            layout=audio.get("layout", ""),
            progress=host.progress(),
        )
        lines = [
            " ".join([f"{report.path.name}: {level_text(report.loudness_after, report.true_peak)}.", *report.notes])
            for report in reports
        ]
        host.show(lines, cls.hidden.unique_id)
        saved = [ui.SavedResult(report.path.name, subfolder, io.FolderType.output) for report in reports]
        written = convert.audio_out([report.sound.samples for report in reports], reports[0].rate)
        return io.NodeOutput(written, "\n".join(lines), ui={"audio": saved, "text": lines})

    @classmethod
    def validate_inputs(cls, filename_prefix=None):
        return True if filename_prefix is None else checked(lambda: host.check_output(filename_prefix))


NODES = [SaveAudio]
