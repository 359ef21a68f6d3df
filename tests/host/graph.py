"""API prompts written in a few words."""

from typing import Any

from tools.workflow import widgets_of


class Added:
    """A node of a graph; its attributes are its outputs, and it stands for the first of them itself."""

    def __init__(self, number: str, outputs: list[str]):
        self.number = number
        self._outputs = outputs

    def __getattr__(self, name: str) -> list[Any]:
        return [self.number, self._outputs.index(name)]


class Graph:
    """Collects nodes into ``prompt``; widgets that are not named get their defaults."""

    def __init__(self, object_info: dict[str, Any]):
        self.prompt: dict[str, Any] = {}
        self._object_info = object_info

    def add(self, kind: str, /, **inputs: Any) -> Added:
        definition = self._object_info[kind]
        values = {name: default for name, default in widgets_of(definition) if name is not None} | inputs
        number = str(len(self.prompt) + 1)
        links = {name: [value.number, 0] if isinstance(value, Added) else value for name, value in values.items()}
        self.prompt[number] = {"class_type": kind, "inputs": links}
        return Added(number, definition["output_name"])

    def placed_tone(self, video: Any, tracks: Any, prefix: str = "tone", **options: Any) -> Added:
        """A steady tone placed along tracks and put on the video, as FLAC so that it is exact; returns the saving node."""
        tone = self.add("TestMakeAudio", kind="tone")
        placed = self.add("StereoSyncSpatializeAudio", audio=tone, tracks=tracks, room=0.0, **options)
        result = {"container": "mkv", "codec": "flac", "filename_prefix": prefix}
        return self.add("StereoSyncSoundOntoVideo", video=video, audio=placed, **result)
