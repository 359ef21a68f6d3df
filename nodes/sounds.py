"""Recorded sounds: the library, and what it has put at events."""

from __future__ import annotations

from comfy_api.latest import io, ui

from ..stereosync_core.rendering.one_shots import CONTINUOUS, OneShotSettings, sound_voices
from ..stereosync_core.rendering.surfaces import SURFACES
from ..stereosync_core.sounds.library import attribution
from ..stereosync_core.sounds.selection import SoundSelection, check_classes, chosen_library
from . import convert, host
from .inputs import checked, choice_input, number_input, offset_input, schema, seed_input, unit_input
from .shown import sound_shown
from .sockets import Events, Sounds, Tracks

CATEGORY = "StereoSync/sound"
USUAL = OneShotSettings()


class SoundLibraryNode(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncSoundLibrary",
            display_name="Sound Library",
            category=CATEGORY,
            description="The recorded sounds that come with the pack, and before them a folder of yours; shows what is there, "
            "by whom and under which licence.",
            is_output_node=True,
            inputs=[
                io.String.Input(
                    "folder",
                    default="",
                    tooltip="A folder of your own, as a whole path or in ComfyUI's input folder. The class is the name of a "
                    "sound's folder, the surface that of the one inside: dog/bark.wav, footstep/grass/1.flac. A file with "
                    "loop in its name is one. Empty: the bundled sounds alone.",
                ),
            ],
            outputs=[
                Sounds.Output(display_name="library", tooltip="The sounds, for Sounds at Events."),
                io.String.Output(display_name="attribution", tooltip="The list, and authors with licences and sources."),
            ],
        )

    @classmethod
    def execute(cls, folder) -> io.NodeOutput:
        library = chosen_library(host.folder_path(folder))
        text = attribution(library)
        return io.NodeOutput(library, text, ui=ui.PreviewText(text))

    @classmethod
    def fingerprint_inputs(cls, folder):
        return host.folder_state(host.folder_path(folder))

    @classmethod
    def validate_inputs(cls, folder=None):
        return folder is None or checked(lambda: chosen_library(host.folder_path(folder)))


class SoundsAtEvents(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncSoundsAtEvents",
            display_name="Sounds at Events",
            category=CATEGORY,
            description="A recorded sound at each event, by what its track is and what happens, and a loop for what sounds all "
            "along. One mono sound for each track, as an audio batch; Spatialize Audio places each along its track.",
            inputs=[
                Events.Input("events", tooltip="From Detect Events or Events from Text."),
                Tracks.Input("tracks", tooltip="Whose events they are."),
                choice_input("surface", SURFACES, "The ground, for steps and landings.", USUAL.surface),
                number_input(
                    "pitch", USUAL.pitch, 0.0, 6.0, 0.1, "Semitones by which takes differ.", display_name="pitch jitter"
                ),
                number_input("gain", USUAL.gain, 0.0, 12.0, 0.1, "dB by which takes differ.", display_name="gain jitter"),
                unit_input("toe", USUAL.toe, "The ball of the foot after the heel; 0: an event has one attack."),
                choice_input(
                    "continuous",
                    CONTINUOUS,
                    "Engines and other loops sound while their thing is in the picture, always, or not at all.",
                ),
                io.Boolean.Input("doppler", default=False, tooltip="The pitch of loops moves with their thing's approach."),
                io.String.Input(
                    "classes",
                    default="",
                    multiline=True,
                    tooltip="Other classes than the usual ones, such as: impact = door, dog = cat, person clap = glass, "
                    "car loop = truck. One recording alone: impact = door/steel door. Sound Library shows all.",
                ),
                seed_input(),
                choice_input("sample_rate", ["48000", "44100"], "Samples a second."),
                Sounds.Input(
                    "library", optional=True, tooltip="From Sound Library, with a folder of yours; else the bundled one."
                ),
                io.Audio.Input("sound", optional=True, tooltip="A sound of yours, which goes before the library."),
                io.String.Input(
                    "sound_for",
                    default="",
                    optional=True,
                    tooltip="What your sound is for: a label, a kind of event, or both, such as person step. Empty: all.",
                ),
                offset_input(),
            ],
            outputs=[
                io.Audio.Output(display_name="voices", tooltip="An audio batch: one mono sound for each track."),
                io.String.Output(display_name="played", tooltip="Second and name of each sound, a line each, by track."),
            ],
        )

    @classmethod
    def execute(
        cls, events, tracks, classes, sample_rate, library=None, sound=None, sound_for="", offset=0.0, **options
    ) -> io.NodeOutput:
        own = None if sound is None else convert.sound_of(sound, "sound")
        selection = SoundSelection(library or chosen_library(), classes, own, sound_for)
        settings = OneShotSettings(rate=int(sample_rate), offset=offset / 1000, **options)
        voices, played = sound_voices(events, tracks, selection, settings)
        lines = [f"{place} {moment:.3f} {name}" for place, own_sounds in enumerate(played, 1) for moment, name in own_sounds]
        made = list(voices)
        shown = sound_shown(made, settings.rate, cls)
        return io.NodeOutput(convert.audio_out(made, settings.rate), "\n".join(lines), ui=shown)

    @classmethod
    def validate_inputs(cls, classes=None):
        return classes is None or checked(lambda: check_classes(classes))


NODES = [SoundsAtEvents, SoundLibraryNode]
