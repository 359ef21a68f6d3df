"""Dialogue, beds and loudness: what goes under and over the sounds of a scene."""

from __future__ import annotations

from comfy_api.latest import io

from ..stereosync_core.media.ducking import DEPTH, ducked
from ..stereosync_core.media.loudness import PRESETS, level_text, to_loudness
from ..stereosync_core.rendering.bed import ambience_bed
from . import convert, host
from .inputs import choice_input, limiter_input, number_input, schema, seed_input
from .shown import sound_shown
from .sockets import Tracks

CATEGORY = "StereoSync/sound"


class DuckAudio(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncDuckAudio",
            display_name="Duck Audio",
            category=CATEGORY,
            description="Turns a sound down while another one speaks: by the other's level in the band of speech.",
            inputs=[
                io.Audio.Input("audio", tooltip="The sound that makes way; each entry of a batch."),
                io.Audio.Input("key", tooltip="The sound that it makes way for, such as the clip's own with its dialogue."),
                number_input("depth_db", DEPTH, 0.0, 60.0, 0.5, "Decibels by which it goes down."),
            ],
            outputs=[io.Audio.Output(display_name="audio", tooltip="The sound, as long as before.")],
        )

    @classmethod
    def execute(cls, audio, key, depth_db) -> io.NodeOutput:
        other, sounds = convert.sound_of(key, "key"), convert.sounds_of(audio)
        return io.NodeOutput(convert.audio_out([ducked(one, other, depth_db).samples for one in sounds], sounds[0].rate))


class AmbienceBed(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncAmbienceBed",
            display_name="Ambience Bed",
            category=CATEGORY,
            description="A wide stereo bed of the clip's length out of any recording, without a seam. It leaves the centre "
            "free for dialogue and for what is placed there.",
            inputs=[
                io.Audio.Input("audio", tooltip="A recording of a place; mono is made wide."),
                Tracks.Input("tracks", tooltip="Tracks of the clip, which give its length."),
                number_input("centre_db", -12.0, -60.0, 0.0, 1.0, "Level of the centre in the band of speech, in decibels."),
                number_input("loudness_lufs", -40.0, -70.0, -10.0, 0.5, "Loudness of the bed in LUFS."),
                seed_input(),
            ],
            outputs=[io.Audio.Output(display_name="audio", tooltip="Stereo, exactly as long as the clip.")],
        )

    @classmethod
    def execute(cls, audio, tracks, centre_db, loudness_lufs, seed) -> io.NodeOutput:
        options = {"centre_db": centre_db, "loudness": loudness_lufs, "seed": seed}
        bed = ambience_bed(convert.sound_of(audio), tracks.duration, **options)
        return io.NodeOutput(convert.audio_out(bed.samples, bed.rate), ui=sound_shown(bed.samples, bed.rate, cls))


class Loudness(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncLoudness",
            display_name="Loudness",
            category=CATEGORY,
            description="Brings a sound to the loudness of a kind of delivery, measured as in EBU R128, and shows what "
            "was reached.",
            inputs=[
                io.Audio.Input("audio", tooltip="The sound; of a batch, the first entry."),
                choice_input(
                    "preset", [*PRESETS, "own"], "streaming: -14 LUFS. broadcast: -23. film: -27. own: the value below."
                ),
                number_input("loudness_lufs", -20.0, -60.0, -8.0, 0.5, "Target in LUFS of the preset own."),
                limiter_input(),
            ],
            outputs=[
                io.Audio.Output(display_name="audio", tooltip="At the loudness, true peak at most -1 dBTP."),
                io.String.Output(display_name="reached", tooltip="Loudness and true peak, and why a target was missed."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, audio, preset, loudness_lufs, limiter=False) -> io.NodeOutput:
        target = PRESETS.get(preset) or loudness_lufs
        level = to_loudness(convert.sound_of(audio), target, limiter=limiter)
        reached = " ".join([f"{level_text(level.after, level.peak_dbtp)}.", *filter(None, [level.reason])])
        host.show([reached], cls.hidden.unique_id)
        return io.NodeOutput(convert.audio_out(level.sound.samples, level.sound.rate), reached)


NODES = [DuckAudio, AmbienceBed, Loudness]
