"""Clips in and out: load and trim, replace the sound."""

import os
from functools import partial

from comfy_api.input_impl import VideoFromFile
from comfy_api.latest import io, ui

from ..stereosync_core.media.loudness import level_text
from ..stereosync_core.media.mux import mux
from ..stereosync_core.media.output import AUTO_CODEC
from ..stereosync_core.media.sound import check_sound_file
from ..stereosync_core.media.trim import cut_clip
from . import convert, host
from .inputs import checked, choice_input, limiter_input, number_input, schema

CATEGORY = "StereoSync/video"
CONTAINERS = ["mp4", "mkv", "mov", "webm"]
CODECS = ["auto", "aac", "flac", "opus", "pcm16", "pcm24"]
ORIGINAL = "Drop the clip's own sound, mix both, let the new one make way for its speech (over), or it for the new one (under)."
LOUDNESS = "Target in LUFS: -23 for broadcast, about -14 for the web. Peaks stay below -1 dB."


class LoadVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncLoadVideo",
            display_name="Load Video (Trim)",
            category=CATEGORY,
            description="Opens a clip without decoding it, trims it to the frame, and gives its own sound in step with the "
            "picture. The native Load Video works just as well with every node of this pack.",
            inputs=[
                io.Combo.Input(
                    "file",
                    options=host.input_videos(),
                    upload=io.UploadType.video,
                    tooltip="A video in ComfyUI's input folder; drop a file here to upload it.",
                ),
                number_input("start", 0.0, 0.0, 100000.0, 0.01, "Seconds to leave out at the beginning."),
                number_input("duration", 0.0, 0.0, 100000.0, 0.01, "Seconds to keep; 0 keeps all that follows."),
            ],
            outputs=[
                io.Video.Output(display_name="video", tooltip="The clip, trimmed, with its times from 0 on."),
                io.Audio.Output(
                    display_name="audio",
                    tooltip="The clip's own sound, exactly as long as the picture; nothing if it has none.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, file, start, duration) -> io.NodeOutput:
        note = partial(host.notice, node_id=cls.hidden.unique_id)
        path, sound = cut_clip(host.input_path(file), start, duration, host.temp_path(".mp4"), host.progress(), note)
        return io.NodeOutput(VideoFromFile(str(path)), None if sound is None else convert.audio_out(sound.samples, sound.rate))

    @classmethod
    def fingerprint_inputs(cls, file, start, duration):
        path = host.input_path(file)
        state = os.stat(path)
        return f"{path} {state.st_mtime_ns} {state.st_size}"

    @classmethod
    def validate_inputs(cls, file=None):
        if file is not None and not host.input_exists(file):
            return f"The video '{file}' is not in the input folder; upload it or choose another."
        return True


class ReplaceVideoAudio(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncSoundOntoVideo",
            display_name="Replace Video Audio",
            category=CATEGORY,
            description="Gives a clip another sound. Its video packets are copied wherever a copy shows them right, "
            "the sound gets exactly the clip's length.",
            is_output_node=True,
            inputs=[
                io.Video.Input("video", tooltip="The clip that gets the sound."),
                io.Audio.Input("audio", tooltip="The sound, from this pack or any other."),
                io.String.Input(
                    "filename_prefix", default="video/StereoSync", tooltip="Name in the output folder; may hold subfolders."
                ),
                choice_input(
                    "container",
                    ["auto", *CONTAINERS],
                    "File type. auto keeps mkv, and takes mp4 for all others, or mov where mp4 cannot hold it.",
                ),
                choice_input("codec", CODECS, "Codec of the sound. auto: AAC in mp4 and mov, FLAC in mkv, Opus in webm."),
                choice_input("original_sound", ["replace", "mix", "over", "under"], ORIGINAL),
                number_input(
                    "original_gain_db", 0.0, -60.0, 12.0, 0.5, "Level of the clip's own sound in the mix, in decibels."
                ),
                io.Boolean.Input(
                    "normalize", default=False, tooltip="Bring the whole sound to the loudness below, measured as in EBU R128."
                ),
                number_input("loudness_lufs", -23.0, -40.0, -8.0, 0.5, LOUDNESS),
                limiter_input(),
                io.Audio.Input(
                    "stems",
                    optional=True,
                    tooltip="From Stems: further sound tracks with their names, in mp4, mov and mkv.",
                ),
            ],
            outputs=[io.Video.Output(display_name="video", tooltip="The clip with its new sound, as it was saved.")],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo, io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        video,
        audio,
        filename_prefix,
        container,
        codec,
        original_sound,
        original_gain_db,
        normalize,
        loudness_lufs,
        limiter=False,
        stems=None,
    ) -> io.NodeOutput:
        clip = host.source_of(video)
        path, subfolder = host.output_path(filename_prefix, clip, container)
        report = mux(
            clip,
            convert.sound_of(audio),
            path,
            codec=codec,
            keep_original=original_sound,
            original_gain_db=original_gain_db,
            loudness=loudness_lufs if normalize else None,
            limiter=limiter,
            metadata=host.workflow_metadata(cls.hidden),
            stems=[] if stems is None else [(stem.name, stem.sound) for stem in convert.stems_of(stems)],
            layout=audio.get("layout", ""),
            progress=host.progress(),
        )
        reached = [level_text(report.loudness_after, report.true_peak)] if report.true_peak is not None else []
        host.show([*reached, *report.notes], cls.hidden.unique_id)
        saved = ui.SavedResult(path.name, subfolder, io.FolderType.output)
        return io.NodeOutput(VideoFromFile(str(path)), ui=ui.PreviewVideo([saved]))

    @classmethod
    def validate_inputs(cls, filename_prefix=None, container=None, codec=None):
        if container not in (None, "auto", *CONTAINERS):
            return f"There is no container '{container}'; choose auto, {', '.join(CONTAINERS)}."
        sound = host.temp_path(f".{container if container not in (None, 'auto') else 'mkv'}")
        held = checked(lambda: check_sound_file(sound, codec=codec or "auto", endings=AUTO_CODEC))
        return held if filename_prefix is None or held is not True else checked(lambda: host.check_output(filename_prefix))


NODES = [LoadVideo, ReplaceVideoAudio]
