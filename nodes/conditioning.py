"""Conditions of the StereoSync model: when it sounds, what it sounds like, and where."""

from comfy_api.latest import io

from ..stereosync_core.events.envelope import ENVELOPE_METHODS, envelope_from_video_events
from ..stereosync_core.media.envelope import envelope_of_sound
from ..stereosync_core.model.conditioning.curve import CURVE_HELP, envelope_of_curve
from ..stereosync_core.model.conditioning.features import ENVELOPE_WINDOW
from ..stereosync_core.model.conditioning.spatial import CUES
from ..stereosync_core.model.conditioning.spatial import SpatialConditioning as SpaceValue
from ..stereosync_core.model.conditioning.video_envelope import envelope_of_clip
from ..stereosync_core.model.loader import bundled_timbres
from ..stereosync_core.scene import check_depth_fits
from . import convert, host
from .inputs import choice_input, number_input, schema, seconds_input
from .shown import envelope_shown
from .sockets import Depth, Envelope, Model, Space, Timbre, Tracks

CATEGORY = "StereoSync/conditioning"
METHODS = "events: an attack at each step, landing or hit. learned: the model's network on boxes and motion."


class SpatialConditioning(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncSpatialConditioning",
            display_name="Spatial Conditioning",
            category=CATEGORY,
            description="Where things are, for the samplers: tracked boxes and depth maps of the clip.",
            inputs=[
                Tracks.Input("tracks", tooltip="What sounds, and where it is in the picture. Also gives the clip's length."),
                Depth.Input("depth", optional=True, tooltip="Depth maps of the same clip; without them, boxes alone."),
                choice_input("use", CUES, "What the model is conditioned on. nothing: to compare with."),
            ],
            outputs=[Space.Output(display_name="space", tooltip="Where things are, for a sampler.")],
        )

    @classmethod
    def execute(cls, tracks, use, depth=None) -> io.NodeOutput:
        if depth is not None:
            check_depth_fits(depth, tracks.duration)
        return io.NodeOutput(SpaceValue(tracks, depth, use))


class EnvelopeFromVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncEnvelopeFromVideo",
            display_name="Envelope from Video",
            category=CATEGORY,
            description="Reads off the picture when it sounds and how loud: from detected events, or by the model's own "
            "network, which was trained on a game's footsteps.",
            inputs=[
                Model.Input("model", tooltip="From StereoSync Model Loader."),
                io.Video.Input("video", tooltip="The clip."),
                Tracks.Input("tracks", tooltip="The walkers. Ten boxes a second or more separate single steps."),
                choice_input("method", ENVELOPE_METHODS, METHODS, "events", optional=True),
            ],
            outputs=[Envelope.Output(display_name="envelope", tooltip="Loudness over time, for a sampler.")],
        )

    @classmethod
    def execute(cls, model, video, tracks, method="events") -> io.NodeOutput:
        source, progress = host.source_of(video), host.progress()
        if method == "events":
            envelope = envelope_from_video_events(source, tracks, window=ENVELOPE_WINDOW, progress=progress)
        else:
            loaded = host.placed(model)
            envelope = envelope_of_clip(loaded.envelope_reader, source, tracks, loaded.latent_rate, progress)
        return io.NodeOutput(envelope, ui=envelope_shown(envelope, cls))


class EnvelopeFromAudio(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncEnvelopeFromAudio",
            display_name="Envelope from Audio",
            category=CATEGORY,
            description="The loudness of a sound over time: what is made then sounds when that sound does. Of a stereo sound "
            "the mono mix counts, so that no place leaks in.",
            inputs=[io.Audio.Input("audio", tooltip="A guide: a recording, hand claps, another pack's sound.")],
            outputs=[Envelope.Output(display_name="envelope", tooltip="Loudness over time, for a sampler.")],
        )

    @classmethod
    def execute(cls, audio) -> io.NodeOutput:
        sound = convert.sound_of(audio)
        envelope = envelope_of_sound(sound.samples, sound.rate, window=ENVELOPE_WINDOW)
        return io.NodeOutput(envelope, ui=envelope_shown(envelope, cls))


class EnvelopeCurve(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncEnvelopeCurve",
            display_name="Envelope Curve",
            category=CATEGORY,
            description="Loudness over time as you write or draw it.",
            inputs=[
                io.String.Input("curve", default="0.5 hit, 1.0 hit 0.7, 1.5 hit", multiline=True, tooltip=CURVE_HELP),
                io.Mask.Input(
                    "drawing",
                    optional=True,
                    tooltip="Instead of text: a mask painted over the clip's length, from left to right; the higher a column "
                    "is painted, the louder.",
                ),
                seconds_input(8.0, "How long the drawing's width lasts."),
                number_input("level", 0.05, 0.0, 0.5, 0.005, "Loudness of 1: 0.05 is a near step."),
            ],
            outputs=[Envelope.Output(display_name="envelope", tooltip="Loudness over time, for a sampler.")],
        )

    @classmethod
    def execute(cls, curve, seconds, level, drawing=None) -> io.NodeOutput:
        mask = None if drawing is None else drawing[0].cpu().numpy()
        envelope = envelope_of_curve(curve, mask, seconds, level)
        return io.NodeOutput(envelope, ui=envelope_shown(envelope, cls))


class TimbreNode(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncTimbre",
            display_name="Timbre",
            category=CATEGORY,
            description="What it is to sound like: a surface, a class of sounds, or a sound of your own.",
            inputs=[
                Model.Input("model", tooltip="From StereoSync Model Loader."),
                choice_input("surface", bundled_timbres(), "What is walked on, or another class of sound.", "concrete"),
                io.Audio.Input("reference", optional=True, tooltip="A sound to be like; takes the place of the surface."),
            ],
            outputs=[Timbre.Output(display_name="timbre", tooltip="What it sounds like, for a sampler.")],
        )

    @classmethod
    def execute(cls, model, surface, reference=None) -> io.NodeOutput:
        encoder = host.placed(model).timbre_encoder
        if reference is None:
            return io.NodeOutput(encoder.of_name(surface).cpu())
        sound = convert.sound_of(reference, "reference")
        return io.NodeOutput(encoder.of_sound(sound.samples, sound.rate).cpu())


NODES = [SpatialConditioning, EnvelopeFromVideo, EnvelopeFromAudio, EnvelopeCurve, TimbreNode]
