"""Which take, which stretch, which text when: what goes with the samplers."""

from comfy_api.latest import io

from ..stereosync_core.metrics.takes import chosen_take, score_takes
from ..stereosync_core.model.stretches import all_but_event, timed_texts
from . import convert, host
from .inputs import number_input, schema, whole_input
from .sampling import CATEGORY
from .sockets import Events, Tracks


class SelectTake(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncSelectTake",
            display_name="Select Take",
            category=CATEGORY,
            description="One of several takes of a sampler. Shows each take's seed, how well it comes from where things are, "
            "and its loudness.",
            is_output_node=True,
            inputs=[
                io.Audio.Input("audio", tooltip="A batch of takes: from a sampler with 'takes' above 1, or any other."),
                whole_input("take", 0, 0, 64, "Which one, from 1. 0: the one that is placed best; without tracks the first."),
                Tracks.Input("tracks", optional=True, tooltip="Where things are, for the placement of each take."),
            ],
            outputs=[
                io.Audio.Output(display_name="audio", tooltip="The take."),
                io.String.Output(display_name="scores", tooltip="A line for each take: seed, placement, loudness in LUFS."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, audio, take, tracks=None) -> io.NodeOutput:
        sounds = convert.sounds_of(audio)
        scores = score_takes(sounds, tracks, audio.get("seeds") or ())
        chosen = chosen_take(scores, take)
        lines = [("> " if score is chosen else "") + score.text() for score in scores]
        host.show(lines, cls.hidden.unique_id)
        sound = sounds[chosen.number - 1]
        return io.NodeOutput(convert.audio_out(sound.samples, sound.rate), "\n".join(lines), ui={"text": lines})


class KeepAllButEvent(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncKeepAllButEvent",
            display_name="Keep All but an Event",
            category=CATEGORY,
            description="For the input 'keep' of a sampler: all of a sound stays but what sounds at one event, which is made "
            "anew.",
            inputs=[
                Events.Input("events", tooltip="From Detect Events or Events from Text."),
                whole_input("event", 1, 1, 10000, "Which one, in the order of time."),
                number_input("before", 0.05, 0.0, 10.0, 0.01, "Seconds before the event from which the sound is made anew."),
                number_input("after", 0.6, 0.05, 60.0, 0.05, "Seconds after it to which it is; not beyond the next event."),
            ],
            outputs=[io.String.Output(display_name="keep", tooltip="For the samplers' input 'keep'.")],
        )

    @classmethod
    def execute(cls, events, event, before, after) -> io.NodeOutput:
        return io.NodeOutput(all_but_event(events, event, before, after))


class TextOverTime(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncTextOverTime",
            display_name="Text over Time",
            category=CATEGORY,
            description="Several texts, each for its seconds of the clip, that fade into each other. For Stable Audio Sampler.",
            inputs=[
                io.Clip.Input("clip", tooltip="From CLIPLoader of type stable_audio."),
                io.String.Input(
                    "text",
                    default="0-4 gravel steps; 4-8 wooden stairs",
                    multiline=True,
                    dynamic_prompts=True,
                    tooltip="Parts with ';' between: from-to in seconds, then the text.",
                ),
            ],
            outputs=[io.Conditioning.Output(display_name="positive", tooltip="For the sampler's input 'positive'.")],
        )

    @classmethod
    def execute(cls, clip, text) -> io.NodeOutput:
        parts = timed_texts(text) or [(None, None, text)]
        return io.NodeOutput(convert.over_time([(start, stop, host.encoded_text(clip, part)) for start, stop, part in parts]))


NODES = [SelectTake, KeepAllButEvent, TextOverTime]
