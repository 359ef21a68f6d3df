"""Events: what touches what, when; found in the picture, read from a file, and made an envelope."""

from __future__ import annotations

from comfy_api.latest import io

from ..stereosync_core.events.detect import CONFIDENCE, METHODS, detect_events
from ..stereosync_core.events.files import check_events_text, events_from_text, events_to_text
from ..stereosync_core.model.conditioning.features import ENVELOPE_WINDOW
from ..stereosync_core.model.loader import bundled_timbres
from ..stereosync_core.rendering.event_envelope import LEVEL, envelope_from_events
from ..stereosync_core.rendering.surfaces import ground_of
from . import convert, host
from .inputs import checked, choice_input, offset_input, schema, unit_input
from .shown import envelope_shown, events_shown
from .sockets import Camera, Depth, Envelope, Events, Tracks

CATEGORY = "StereoSync/events"


class DetectEvents(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncDetectEvents",
            display_name="Detect Events",
            category=CATEGORY,
            description="Finds the moments at which something sounds: feet that come down, landings, claps, things that "
            "bounce or are hit. People who stand or sway make no step.",
            inputs=[
                io.Video.Input("video", tooltip="The clip."),
                Tracks.Input("tracks", tooltip="Whom and what to watch."),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default="auto",
                    tooltip="auto: by each track's label. pose: body landmarks. gait: the boxes alone. motion: paths of "
                    "things. sound: onsets of a guide sound.",
                ),
                unit_input("confidence", CONFIDENCE, "Events that are less probable are left out."),
                io.Audio.Input("guide", optional=True, tooltip="A sound whose onsets are the events (method: sound)."),
                Camera.Input("camera", optional=True, tooltip="From Camera Motion; without it, it is found here."),
            ],
            outputs=[
                Events.Output(display_name="events", tooltip="What sounds when, and whose it is."),
                io.String.Output(display_name="json", tooltip="The events as JSON."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, video, tracks, method, confidence, guide=None, camera=None) -> io.NodeOutput:
        sound = None if guide is None else convert.sound_of(guide, "guide")
        options = {"method": method, "sound": sound, "confidence": confidence, "camera": camera}
        events = detect_events(host.source_of(video), tracks, progress=host.progress(), **options)
        if not len(events):
            host.notice("Detect Events: nothing was found; feet, hands or things must be in the picture.", cls.hidden.unique_id)
        return io.NodeOutput(events, events_to_text(events), ui=events_shown(video, events, tracks, cls))


class EventsFromText(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncEventsFromText",
            display_name="Events from Text",
            category=CATEGORY,
            description="Events as you write them: JSON of Detect Events, corrected by hand, or CSV of a spotting list.",
            inputs=[
                io.String.Input(
                    "text",
                    default="time,kind,strength\n0.5,step,0.7\n1.0,step,0.7",
                    multiline=True,
                    tooltip="JSON, or lines of CSV under the names time, kind, track, foot, strength, confidence.",
                ),
                Tracks.Input("tracks", tooltip="Tracks of the clip, which give its length."),
            ],
            outputs=[Events.Output(display_name="events", tooltip="What sounds when, and whose it is.")],
        )

    @classmethod
    def execute(cls, text, tracks) -> io.NodeOutput:
        return io.NodeOutput(events_from_text(text, tracks.duration))

    @classmethod
    def validate_inputs(cls, text=None):
        return text is None or checked(lambda: check_events_text(text))


class EnvelopeFromEvents(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncEnvelopeFromEvents",
            display_name="Envelope from Events",
            category="StereoSync/conditioning",
            description="Loudness over time with an attack at each event, a decay of its kind and ground, and a level by its "
            "strength and its owner's distance.",
            inputs=[
                Events.Input("events", tooltip="From Detect Events or Events from Text."),
                Tracks.Input("tracks", tooltip="The tracks of the same clip, for distances."),
                # those of Timbre, so that one widget of a subgraph can set both
                choice_input("surface", bundled_timbres(), "The ground, for the decay; what is none decays as concrete."),
                io.Float.Input(
                    "level",
                    default=LEVEL,
                    min=0.0,
                    max=0.5,
                    step=0.005,
                    tooltip="Loudness of the loudest event: 0.05 is a near step.",
                ),
                offset_input(),
                Depth.Input("depth", optional=True, tooltip="Distance from depth maps beside the boxes' height."),
            ],
            outputs=[Envelope.Output(display_name="envelope", tooltip="Loudness over time, for a sampler.")],
        )

    @classmethod
    def execute(cls, events, tracks, surface, level, offset=0.0, depth=None) -> io.NodeOutput:
        options = {"surface": ground_of(surface), "level": level, "offset": offset / 1000, "window": ENVELOPE_WINDOW}
        envelope = envelope_from_events(events, tracks, depth, **options)
        return io.NodeOutput(envelope, ui=envelope_shown(envelope, cls))


NODES = [DetectEvents, EventsFromText, EnvelopeFromEvents]
