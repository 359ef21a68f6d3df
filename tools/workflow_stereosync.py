"""The main workflow in short: sound made by the StereoSync model."""

from __future__ import annotations

from tools.workflow_designs import (
    CLIP_W,
    CLIP_X,
    GREEN,
    GREY,
    GROUPS,
    NODE_W,
    ORANGE,
    PLACE_X,
    RESULT_W,
    RESULT_X,
    SCENE_X,
    SOUND_X,
    VIEW,
    VIOLET,
    Design,
    Group,
    Node,
    Note,
    scene_nodes,
)

STEREOSYNC = Design(
    "stereosync",
    [
        Note(
            "start",
            (CLIP_X, 70),
            (CLIP_W, 190),
            "A silent clip of a walker goes in. The StereoSync model makes sound out of noise, when and where "
            "the walker steps.\n\n"
            "1. Press **Run**. Nothing has to be downloaded.\n"
            "2. Play the result in **Sound onto Video**, best with headphones.\n"
            "3. Take your own clip below, and say in **Timbre** what is walked on.",
            "Start here",
        ),
        *scene_nodes(),
        Node("model", "StereoSyncModelLoader", (SOUND_X, 70), (NODE_W, 60)),
        Node(
            "space",
            "StereoSyncSpatialConditioning",
            (SOUND_X, 170),
            (NODE_W, 90),
            {"tracks": "tracks.tracks", "depth": "depth.depth"},
        ),
        Node(
            "envelope",
            "StereoSyncEnvelopeFromVideo",
            (SOUND_X, 300),
            (NODE_W, 70),
            {"model": "model.model", "video": "clip.video", "tracks": "tracks.tracks"},
        ),
        Node("timbre", "StereoSyncTimbre", (SOUND_X, 410), (NODE_W, 90), {"model": "model.model"}, {"surface": "grass"}),
        Node(
            "sampler",
            "StereoSyncDitSampler",
            (PLACE_X, 70),
            (NODE_W, 330),
            {
                "model": "model.model",
                "space": "space.space",
                "envelope": "envelope.envelope",
                "timbre": "timbre.timbre",
            },
        ),
        Node(
            "result",
            "StereoSyncSoundOntoVideo",
            (RESULT_X, 70),
            (RESULT_W, 460),
            {"video": "clip.video", "audio": "sampler.audio"},
            {"filename_prefix": "video/StereoSync_generated"},
        ),
        Node(
            "scene",
            "StereoSyncPreviewScene",
            (SCENE_X, 530),
            (NODE_W, 345),
            {"video": "clip.video", "depth": "depth.depth", "tracks": "tracks.tracks"},
        ),
        Node(
            "plot",
            "StereoSyncScenePlot",
            (SOUND_X, 585),
            (580, 290),
            {"tracks": "tracks.tracks", "audio": "sampler.audio", "depth": "depth.depth"},
        ),
        Note(
            "swap",
            (RESULT_X, 620),
            (RESULT_W, 230),
            "- **When it sounds**: *Envelope from Audio* follows a sound of yours, *Envelope Curve* what you write or draw.\n"
            "- **Hear what the conditions do**: *use* = nothing in *Spatial Conditioning*.\n"
            "- **A timbre of your own**: connect a sound to *reference* in *Timbre*.\n"
            "- **Depth and tracker** of any other pack: *Depth from Images*, *Tracks from Boxes*, *Tracks from Masks*.\n"
            "- The bundled model is small and knows footsteps alone. Crisper steps by rule: workflow *spatial_footsteps*.",
            "Swap the parts",
        ),
    ],
    [
        GROUPS[0],
        Group("2 · Where things are", (365, 0, 310, 440), GREEN),
        Group("3 · The model, and what it is told", (690, 0, 610, 510), VIOLET),
        Group("4 · Result", (1315, 0, 390, 550), ORANGE),
        Group("Look at what was found", (365, 460, 310, 430), GREY),
        Group("Look: the dots follow the line", (690, 520, 610, 370), GREY),
    ],
    *VIEW,
)
