"""The shipped workflows in short: nodes with their places, what is connected, what the notes say.

Written to ``workflows/`` by :mod:`tools.make_workflows`. A node's inputs name another node's output as ``key.output``.
Places and sizes are canvas units, below each node's title bar of 30.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MUTED = 2
CLIP = "stereosync_walking.mp4"


@dataclass(frozen=True)
class Model:
    """A file that a node needs, for the dialog about missing models; ``directory`` is one of models/'s."""

    name: str
    url: str
    directory: str


@dataclass(frozen=True)
class Node:
    key: str
    kind: str
    at: tuple[int, int]
    size: tuple[int, int]
    inputs: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    title: str | None = None
    mode: int = 0
    models: tuple[Model, ...] = ()


@dataclass(frozen=True)
class Note:
    key: str
    at: tuple[int, int]
    size: tuple[int, int]
    text: str
    title: str | None = None


@dataclass(frozen=True)
class Group:
    title: str
    box: tuple[int, int, int, int]
    colour: str


@dataclass(frozen=True)
class Design:
    name: str
    nodes: list[Node | Note]
    groups: list[Group]
    scale: float
    offset: tuple[float, float]


BLUE, GREEN, VIOLET, ORANGE, GREY = "#3f789e", "#5b8c5a", "#7d6b9e", "#b0783f", "#a0a0a0"


# Columns: left edges and widths of the nodes in them.
CLIP_X, SCENE_X, SOUND_X, PLACE_X, RESULT_X = 15, 380, 705, 1005, 1330
CLIP_W, NODE_W, RESULT_W = 320, 280, 360


def scene_nodes() -> list[Node | Note]:
    """The half that both workflows share: a clip, and where things are in it."""
    return [
        Node("clip", "StereoSyncLoadVideo", (CLIP_X, 320), (CLIP_W, 400), values={"file": CLIP}),
        Node("depth", "StereoSyncSmallDepth", (SCENE_X, 70), (NODE_W, 90), {"video": "clip.video"}),
        Node("tracks", "StereoSyncSmallTracker", (SCENE_X, 210), (NODE_W, 210), {"video": "clip.video"}),
    ]


def plot_node() -> Node:
    inputs = {"tracks": "tracks.tracks", "audio": "placed.audio", "depth": "depth.depth"}
    return Node("plot", "StereoSyncScenePlot", (SOUND_X, 530), (580, 345), inputs)


GROUPS = [
    Group("1 · Clip", (0, 0, 350, 740), BLUE),
    Group("2 · Where things are", (365, 0, 310, 440), GREEN),
    Group("3 · Sound, placed", (690, 0, 610, 440), VIOLET),
    Group("4 · Result", (1315, 0, 390, 550), ORANGE),
    Group("Look at what was found", (365, 460, 935, 430), GREY),
]
VIEW = 0.85, (88.0, 158.0)

FOOTSTEPS = Design(
    "spatial_footsteps",
    [
        Note(
            "start",
            (CLIP_X, 70),
            (CLIP_W, 190),
            "A silent clip of a walker goes in; the same clip comes out with footsteps that walk across the stereo picture.\n\n"
            "1. Press **Run**. Nothing has to be downloaded.\n"
            "2. Play the result in **Sound onto Video**, best with headphones.\n"
            "3. Take your own clip: *choose file to upload* below, and set in **Footsteps** what is walked on.",
            "Start here",
        ),
        *scene_nodes(),
        Node("steps", "StereoSyncFootsteps", (SOUND_X, 70), (NODE_W, 350), {"tracks": "tracks.tracks"}, {"surface": "grass"}),
        Node(
            "placed",
            "StereoSyncSpatializeAudio",
            (PLACE_X, 70),
            (NODE_W, 350),
            {"audio": "steps.voices", "tracks": "tracks.tracks", "depth": "depth.depth"},
        ),
        Node(
            "result",
            "StereoSyncSoundOntoVideo",
            (RESULT_X, 70),
            (RESULT_W, 460),
            {"video": "clip.video", "audio": "placed.audio"},
        ),
        Node(
            "scene",
            "StereoSyncPreviewScene",
            (SCENE_X, 530),
            (NODE_W, 345),
            {"video": "clip.video", "depth": "depth.depth", "tracks": "tracks.tracks"},
        ),
        plot_node(),
        Note(
            "swap",
            (RESULT_X, 620),
            (RESULT_W, 200),
            "Every part can be swapped:\n\n"
            "- **Depth** of any other pack: connect its pictures to *Depth from Images*.\n"
            "- **Tracker** of any other pack: *Tracks from Boxes* or *Tracks from Masks*.\n"
            "- **Other things than people**: write them into *classes*, for example `dog, car`.\n"
            "- **Other sound**: any AUDIO goes into *Spatialize Audio*; see the workflow *place_any_audio*.",
            "Swap the parts",
        ),
    ],
    GROUPS,
    *VIEW,
)

ANY_AUDIO = Design(
    "place_any_audio",
    [
        Note(
            "start",
            (CLIP_X, 70),
            (CLIP_W, 190),
            "Any sound can come from where a thing is: a recording, or what another pack generated.\n\n"
            "1. Press **Run** to see and hear how it works, with a stand-in sound.\n"
            "2. Choose your clip below, and in **Small Tracker** what to follow.\n"
            "3. Connect your sound as told on the right.",
            "Start here",
        ),
        *scene_nodes(),
        Node(
            "stand_in",
            "StereoSyncFootsteps",
            (SOUND_X, 70),
            (NODE_W, 350),
            {"tracks": "tracks.tracks"},
            {"surface": "wood", "timing": "cadence", "cadence": 2.0},
            title="Stand-in sound: replace me",
        ),
        Node(
            "placed",
            "StereoSyncSpatializeAudio",
            (PLACE_X, 70),
            (NODE_W, 350),
            {"audio": "stand_in.voices", "tracks": "tracks.tracks", "depth": "depth.depth"},
        ),
        Node(
            "result",
            "StereoSyncSoundOntoVideo",
            (RESULT_X, 70),
            (RESULT_W, 460),
            {"video": "clip.video", "audio": "placed.audio"},
            {"filename_prefix": "video/StereoSync_placed"},
        ),
        Node("own", "LoadAudio", (SCENE_X, 530), (NODE_W, 140), title="Your own sound (muted)", mode=MUTED),
        Note(
            "connect",
            (SCENE_X, 710),
            (NODE_W, 165),
            "Click *Your own sound*, press **Ctrl+M** to switch it on, choose a file, and pull its AUDIO to **Spatialize "
            "Audio**. The AUDIO of any other node goes there in the same way: Stable Audio, MMAudio, a voice ...",
            "How to connect it",
        ),
        plot_node(),
        Note(
            "hints",
            (RESULT_X, 620),
            (RESULT_W, 200),
            "- *pan* suits loudspeakers and headphones; *binaural* is for headphones alone, and nearer to life there.\n"
            "- A mono or stereo sound follows the most prominent track. A batch of sounds follows one track each.\n"
            "- *distance* and *room* set how near it sounds and in what place.\n"
            "- A sound longer than the clip is cut, a shorter one ends in silence.\n"
            "- Keep the clip's own sound under it: *original_sound* = mix.",
            "Hints",
        ),
    ],
    [
        *GROUPS[:4],
        Group("Your own sound", (365, 460, 310, 430), VIOLET),
        Group("Look: the dots follow the line", (690, 460, 610, 430), GREY),
    ],
    *VIEW,
)
