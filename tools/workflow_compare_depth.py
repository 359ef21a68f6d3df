"""The shipped workflow ``compare_depth``: three depth estimators on one clip, side by side.

Small Depth runs at once. The other two need models that the user downloads; their nodes are muted until then, so that the
workflow runs as it is opened.
"""

from __future__ import annotations

from tools.workflow_designs import BLUE, CLIP, GREEN, MUTED, ORANGE, VIOLET, Design, Group, Node, Note

CLIP_X, LOADER_X, DEPTH_X, STEADY_X, VIEW_X = 15, 380, 700, 1020, 1340
NARROW, VIEW = 280, 320
ROWS = 70, 500, 930
#: Whole depth pictures, nothing of the clip.
DEPTH_ALONE = {"depth_opacity": 1.0, "rate": 4.0, "size": 480}


def view(key: str, row: int, depth: str, title: str, mode: int = 0) -> Node:
    inputs = {"video": "clip.video", "depth": depth}
    return Node(key, "StereoSyncPreviewScene", (VIEW_X, ROWS[row]), (VIEW, 345), inputs, DEPTH_ALONE, title, mode)


COMPARE_DEPTH = Design(
    "compare_depth",
    [
        Note(
            "start",
            (CLIP_X, 70),
            (320, 250),
            "Three ways to estimate depth, on the same clip; bright is near.\n\n"
            "1. Press **Run**: *Small Depth*, which comes with the pack, shows its depth.\n"
            "2. Download a model as told in its group, press **R**, mark the group's nodes and press **Ctrl+M** to switch them "
            "on.\n"
            "3. Connect the *depth* that you like best to **Spatialize Audio** in the other workflows, in place of Small "
            "Depth's.",
            "Start here",
        ),
        Node("clip", "StereoSyncLoadVideo", (CLIP_X, 380), (320, 400), values={"file": CLIP}),
        Node("small", "StereoSyncSmallDepth", (LOADER_X, ROWS[0]), (NARROW, 90), {"video": "clip.video"}),
        view("small_view", 0, "small.depth", "Small Depth"),
        Note(
            "anything_note",
            (LOADER_X, ROWS[1] + 140),
            (NARROW, 205),
            "Download [Depth-Anything-V2-Small-hf](https://huggingface.co/depth-anything/Depth-Anything-V2-Small-hf) "
            "(100 MB, Apache-2.0) into `models/depthanything/`.\n\nSharp, but each frame has a scale of its own; **Steady "
            "Depth** takes the flicker out.",
            "Needs a download",
        ),
        Node(
            "anything_model",
            "StereoSyncDepthAnythingLoader",
            (LOADER_X, ROWS[1]),
            (NARROW, 82),
            values={"model": "Depth-Anything-V2-Small-hf"},
            mode=MUTED,
        ),
        Node(
            "anything",
            "StereoSyncDepthAnything",
            (DEPTH_X, ROWS[1]),
            (NARROW, 180),
            {"video": "clip.video", "model": "anything_model.model"},
            mode=MUTED,
        ),
        Node("steady", "StereoSyncSteadyDepth", (STEADY_X, ROWS[1]), (NARROW, 80), {"depth": "anything.depth"}, mode=MUTED),
        view("anything_view", 1, "steady.depth", "Depth Anything, steady", MUTED),
        Note(
            "rolling_note",
            (LOADER_X, ROWS[2] + 140),
            (NARROW, 205),
            "Download [rollingdepth-v1-0](https://huggingface.co/prs-eth/rollingdepth-v1-0) (2.6 GB with the fp16 files, "
            "licence OpenRAIL++-M) into `models/rollingdepth/`.\n\nMade for video: steady and accurate. Wants a graphics card.",
            "Needs a download",
        ),
        Node(
            "rolling_model",
            "StereoSyncRollingDepthLoader",
            (LOADER_X, ROWS[2]),
            (NARROW, 82),
            values={"model": "rollingdepth-v1-0"},
            mode=MUTED,
        ),
        Node(
            "rolling",
            "StereoSyncRollingDepth",
            (DEPTH_X, ROWS[2]),
            (NARROW, 340),
            {"video": "clip.video", "model": "rolling_model.model"},
            mode=MUTED,
        ),
        view("rolling_view", 2, "rolling.depth", "RollingDepth", MUTED),
    ],
    [
        Group("Clip", (0, 0, 350, 800), BLUE),
        Group("Small Depth: bundled", (365, 0, 1310, 425), GREEN),
        Group("Depth Anything: one frame at a time", (365, 435, 1310, 420), VIOLET),
        Group("RollingDepth: made for video", (365, 865, 1310, 425), ORANGE),
    ],
    0.58,
    (541.0, 231.0),
)
