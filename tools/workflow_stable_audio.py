"""The shipped workflows over Stable Audio Open: with the pack's own sampler, with the host's, and led without training."""

from __future__ import annotations

from tools.workflow_designs import BLUE, CLIP, GREEN, GREY, ORANGE, VIOLET, Design, Group, Model, Node, Note

CHECKPOINT = Model(
    "stable-audio-open-1.0.safetensors",
    "https://huggingface.co/Comfy-Org/stable-audio-open-1.0_repackaged/resolve/main/stable-audio-open-1.0.safetensors",
    "checkpoints",
)
TEXT_ENCODER = Model(
    "t5-base.safetensors",
    "https://huggingface.co/ComfyUI-Wiki/t5-base/resolve/main/t5-base.safetensors",
    "text_encoders",
)
# Columns: left edges and widths of the nodes in them.
CLIP_X, SCENE_X, TEXT_X, MAKE_X, RESULT_X = 15, 380, 705, 1030, 1355
CLIP_W, NODE_W, RESULT_W = 320, 280, 360
PROMPT = "footsteps on dry grass, close, clear, field recording"
DOWNLOADS = (
    "1. Download [stable-audio-open-1.0.safetensors](" + CHECKPOINT.url + ") (Stability AI Community License) into "
    "`models/checkpoints` and [t5-base.safetensors](" + TEXT_ENCODER.url + ") into `models/text_encoders`.\n"
)


def start(what: str, then: str) -> Note:
    return Note("start", (CLIP_X, 70), (CLIP_W, 260), f"{what}\n\n{DOWNLOADS}{then}", "Start here")


def clip_and_scene() -> list[Node | Note]:
    return [
        Node("clip", "StereoSyncLoadVideo", (CLIP_X, 370), (CLIP_W, 400), values={"file": CLIP}),
        Node("tracks", "StereoSyncSmallTracker", (SCENE_X, 70), (NODE_W, 210), {"video": "clip.video"}),
        Node("space", "StereoSyncSpatialConditioning", (SCENE_X, 320), (NODE_W, 90), {"tracks": "tracks.tracks"}),
    ]


def texts(top: int) -> list[Node | Note]:
    clip = {"clip": "encoder.CLIP"}
    values = {"clip_name": TEXT_ENCODER.name, "type": "stable_audio"}
    return [
        Node("encoder", "CLIPLoader", (TEXT_X, top), (NODE_W, 106), values=values, models=(TEXT_ENCODER,)),
        Node("positive", "CLIPTextEncode", (TEXT_X, top + 150), (NODE_W, 130), clip, {"text": PROMPT}, "What it sounds like"),
        Node("negative", "CLIPTextEncode", (TEXT_X, top + 320), (NODE_W, 110), clip, {"text": ""}, "What it does not"),
    ]


def checkpoint_node() -> Node:
    values = {"ckpt_name": CHECKPOINT.name}
    return Node("model", "CheckpointLoaderSimple", (TEXT_X, 70), (NODE_W, 98), values=values, models=(CHECKPOINT,))


def placed_node(at: tuple[int, int], audio: str) -> Node:
    inputs = {"audio": audio, "tracks": "tracks.tracks"}
    return Node("placed", "StereoSyncSpatializeAudio", at, (NODE_W, 350), inputs)


def result_node(audio: str, name: str) -> Node:
    inputs = {"video": "clip.video", "audio": audio}
    return Node(
        "result",
        "StereoSyncSoundOntoVideo",
        (RESULT_X, 70),
        (RESULT_W, 460),
        inputs,
        {"filename_prefix": f"video/StereoSync_{name}"},
    )


def native_sampler(top: int, model: str) -> list[Node | Note]:
    """KSampler and VAE Decode Audio as in the host's own Stable Audio workflow."""
    inputs = {"model": model, "positive": "apply.positive", "negative": "apply.negative", "latent_image": "apply.latent"}
    values = {"steps": 50, "cfg": 5.0, "sampler_name": "dpmpp_3m_sde", "scheduler": "exponential"}
    decoding = {"samples": "sampler.LATENT", "vae": "model.VAE"}
    return [
        Node("sampler", "KSampler", (MAKE_X, top), (NODE_W, 262), inputs, values),
        Node("sound", "VAEDecodeAudio", (MAKE_X, top + 305), (NODE_W, 46), decoding),
    ]


def groups(making: str, height: int) -> list[Group]:
    return [
        Group("1 · Clip", (0, 0, 350, height), BLUE),
        Group("2 · Where things are", (365, 0, 310, 430), GREEN),
        Group("3 · Model and text", (690, 0, 310, height), GREY),
        Group(f"4 · {making}", (1015, 0, 310, height), VIOLET),
        Group("5 · Result", (1340, 0, 390, 550), ORANGE),
    ]


VIEW = 0.83, (94.0, 168.0)

STABLE_AUDIO = Design(
    "stable_audio_open",
    [
        start(
            "Stable Audio Open makes sound for a text, as long as the clip, and the sound goes where the walker is.",
            "2. Press **Run**; play the result in **Sound onto Video**.\n3. Take your own clip below and your own words.",
        ),
        *clip_and_scene(),
        Node(
            "model",
            "StereoSyncStableAudioLoader",
            (TEXT_X, 70),
            (NODE_W, 106),
            values={"model": CHECKPOINT.name},
            models=(CHECKPOINT,),
        ),
        *texts(220),
        Node(
            "sampler",
            "StereoSyncStableAudioSampler",
            (MAKE_X, 70),
            (NODE_W, 330),
            {
                "model": "model.model",
                "positive": "positive.CONDITIONING",
                "negative": "negative.CONDITIONING",
                "space": "space.space",
            },
        ),
        placed_node((SCENE_X, 500), "sampler.audio"),
        result_node("placed.audio", "stable_audio"),
        Note(
            "adapter",
            (RESULT_X, 620),
            (RESULT_W, 230),
            "- **An adapter of yours** (docs/training.md) goes into `models/stereosync`; choose it in *Stable Audio Loader*. "
            "The model then places the sound itself: connect the sampler's *audio* straight to **Sound onto Video**.\n"
            "- An adapter also hears an *envelope* and a *timbre*, see the workflow *stereosync*.\n"
            "- With ComfyUI's own sampler: workflow *stable_audio_open_native*.",
            "Next",
        ),
    ],
    [*groups("Sound for the text", 870), Group("Placed", (365, 440, 310, 430), ORANGE)],
    *VIEW,
)

NATIVE = Design(
    "stable_audio_open_native",
    [
        start(
            "ComfyUI's own Stable Audio makes sound for a text, as long as the clip, and the sound goes where the walker is.",
            "2. Press **Run**; play the result in **Sound onto Video**.\n"
            "3. LoRAs go between *Load Checkpoint* and *Apply StereoSync*.",
        ),
        *clip_and_scene(),
        checkpoint_node(),
        *texts(220),
        Node(
            "apply",
            "StereoSyncApply",
            (MAKE_X, 70),
            (NODE_W, 190),
            {
                "model": "model.MODEL",
                "positive": "positive.CONDITIONING",
                "negative": "negative.CONDITIONING",
                "space": "space.space",
            },
        ),
        *native_sampler(320, "apply.model"),
        placed_node((SCENE_X, 500), "sound.AUDIO"),
        result_node("placed.audio", "native"),
        Note(
            "adapter",
            (RESULT_X, 620),
            (RESULT_W, 230),
            "- **Apply StereoSync** gives text and latent the clip's length. With **an adapter of yours** (docs/training.md) "
            "in `models/stereosync` the model places the sound itself: connect *VAE Decode Audio* straight to **Sound onto "
            "Video**.\n"
            "- Placed without an adapter while the sound is made: workflow *zero_shot_spatial*.",
            "Next",
        ),
    ],
    [*groups("Sound for the text", 870), Group("Placed", (365, 440, 310, 430), ORANGE)],
    *VIEW,
)

ZERO_SHOT = Design(
    "zero_shot_spatial",
    [
        start(
            "ComfyUI's own Stable Audio, led to put its sound where the walker is while it makes it. Nothing was "
            "trained for it.",
            "2. Press **Run**; play the result in **Sound onto Video**.\n"
            "3. Compare: *strength* 0 in **Spatial Guider** leaves it out.",
        ),
        *clip_and_scene(),
        checkpoint_node(),
        *texts(220),
        Node(
            "apply",
            "StereoSyncApply",
            (SCENE_X, 510),
            (NODE_W, 190),
            {
                "model": "model.MODEL",
                "positive": "positive.CONDITIONING",
                "negative": "negative.CONDITIONING",
                "space": "space.space",
            },
        ),
        Node(
            "guider",
            "StereoSyncSpatialGuider",
            (MAKE_X, 70),
            (NODE_W, 220),
            {"model": "apply.model", "vae": "model.VAE", "space": "space.space"},
            {"rounds": 2, "every": 5},
        ),
        *native_sampler(340, "guider.model"),
        result_node("sound.AUDIO", "zero_shot"),
        Note(
            "hints",
            (RESULT_X, 620),
            (RESULT_W, 230),
            "- *rounds* and *every* are what it costs: each round decodes the sound and goes back through the decoder. More "
            "rounds, or every step, place more firmly.\n"
            "- *law* = binaural is for headphones.\n"
            "- *level* above 0 lets the loudness follow the distance, or an *envelope*.",
            "Hints",
        ),
    ],
    [*groups("Sound, led", 870), Group("As long as the clip", (365, 440, 310, 430), GREY)],
    *VIEW,
)
