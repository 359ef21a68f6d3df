"""Custom nodes that exist for the tests alone: they make what other packs would hand to StereoSync, good and bad."""

import sys
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch
from comfy_api.input_impl import VideoFromFile

WIDTH, HEIGHT = 96, 64


class Node:
    CATEGORY = "StereoSync tests"
    FUNCTION = "make"
    RETURN_TYPES = ()
    REQUIRED: ClassVar = {}

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": cls.REQUIRED}


class LazyAudio(Mapping):
    """AUDIO as some packs pass it: a mapping that is no dict and reads its content when asked."""

    def __init__(self, waveform: torch.Tensor):
        self._items = {"waveform": waveform, "sample_rate": 48000}

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


class MakeAudio(Node):
    KINDS = ("tone", "stereo", "lazy", "nan", "eight channels", "empty", "none", "int16", "uint8", "loud", "batch", "numpy")
    RETURN_TYPES = ("AUDIO",)
    REQUIRED: ClassVar = {"kind": (KINDS,), "seconds": ("FLOAT", {"default": 1.0})}

    def make(self, kind: str, seconds: float) -> tuple[Any]:
        if kind == "none":
            return (None,)
        count = 0 if kind == "empty" else round(48000 * seconds)
        channels = {"stereo": 2, "eight channels": 8}.get(kind, 1)
        waveform = (0.3 * torch.sin(torch.arange(count) * 2 * np.pi * 440 / 48000)).expand(1, channels, count).clone()
        if kind == "nan":
            waveform[..., count // 2] = torch.nan
        if kind == "batch":
            waveform = torch.cat([waveform, 0.5 * waveform, 0.25 * waveform])
        waveform = {
            "int16": (waveform * 32768).round().to(torch.int16),
            "uint8": (waveform * 128 + 128).round().to(torch.uint8),
            "loud": waveform * 50 / 0.3,
            "numpy": waveform.numpy(),
        }.get(kind, waveform)
        return (LazyAudio(waveform) if kind == "lazy" else {"waveform": waveform, "sample_rate": 48000},)


def boxes(frames: int) -> list[tuple[int, int, int, int]]:
    """x, y, width, height of a thing that goes from the left edge to the right edge."""
    return [(round(x), 16, 16, 40) for x in np.linspace(0, WIDTH - 16, frames)]


class MakeBoxes(Node):
    """The same moving box in the three dialects, and as masks."""

    RETURN_TYPES = ("BOUNDING_BOX", "BBOX", "SEGS", "MASK", "IMAGE")
    REQUIRED: ClassVar = {"frames": ("INT", {"default": 30})}

    def make(self, frames: int) -> tuple[Any, ...]:
        native = [[{"x": x, "y": y, "width": w, "height": h, "label": "cat", "score": 0.9}] for x, y, w, h in boxes(frames)]
        kj = [[box] for box in boxes(frames)]
        segs = []
        masks = torch.zeros(frames, HEIGHT, WIDTH)
        for n, (x, y, w, h) in enumerate(boxes(frames)):
            masks[n, y : y + h, x : x + w] = 1
            seg = SimpleNamespace(bbox=(x, y, x + w, y + h), crop_region=(x, y, x + w, y + h), label="cat", confidence=0.9)
            segs.append(((HEIGHT, WIDTH), [seg]))
        return native, kj, segs, masks, masks[..., None].expand(-1, -1, -1, 3).clone()


class MakeCrowd(Node):
    """Many boxes that stand in rows, in each of 30 frames."""

    RETURN_TYPES = ("BBOX",)
    REQUIRED: ClassVar = {"count": ("INT", {"default": 200, "max": 1000})}

    def make(self, count: int) -> tuple[Any, ...]:
        row = [(4 * (n % 20), 5 * (n // 20 % 12), 4, 5) for n in range(count)]
        return ([row] * 30,)


class TrimmedVideo(VideoFromFile):
    """A VIDEO trimmed without a file, for hosts before 0.28: the stream source is the whole, the video itself a part of it."""

    def __init__(self, path: str, seconds: float):
        super().__init__(path)
        self._whole, self._seconds = path, seconds

    def get_duration(self) -> float:
        return self._seconds

    def save_to(self, path, *_: Any, **__: Any) -> None:
        import av

        with av.open(self._whole) as old, av.open(str(path), "w", format="mp4") as new:
            stream = old.streams.video[0]
            copy = new.add_stream_from_template(stream)
            for packet in old.demux(stream):
                if packet.pts is not None and packet.pts * stream.time_base < self._seconds:
                    packet.stream = copy
                    new.mux(packet)


class EditedVideo(VideoFromFile):
    """A VIDEO as ComfyUI 0.28 and later edit it: what is shown differs from the stream source, and methods tell so."""

    def __init__(self, path: str, kind: str):
        super().__init__(path)
        self._whole, self._kind = path, kind

    def get_active_trim_window(self) -> tuple[float, float]:
        return {"start": (0.04, 0.0), "end": (0.0, 0.96)}.get(self._kind, (0.0, 0.0))

    def has_pending_frame_edits(self) -> bool:
        return self._kind == "edited"

    def get_dimensions(self) -> tuple[int, int]:
        width, height = super().get_dimensions()
        return (width // 2, height) if self._kind in ("cropped", "edited") else (width, height)

    def save_to(self, path, *_: Any, **__: Any) -> None:
        """The shown part as a clip of its own, encoded anew."""
        import av

        begin, length = self.get_active_trim_window()
        with av.open(self._whole) as old, av.open(str(path), "w", format="mp4") as new:
            frames = [frame for frame in old.decode(video=0) if begin - 1e-6 <= frame.time < begin + (length or 1e9) - 1e-6]
            stream = new.add_stream("mpeg4", rate=30)
            stream.width, stream.height = self.get_dimensions()
            for number, frame in enumerate(frames):
                image = av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24")[:, : stream.width].copy(), format="rgb24")
                image.pts = number
                new.mux(stream.encode(image))
            new.mux(stream.encode(None))


class EditLazily(Node):
    RETURN_TYPES = ("VIDEO",)
    REQUIRED: ClassVar = {"video": ("VIDEO",), "kind": ("STRING", {"default": "cropped"})}

    def make(self, video: Any, kind: str) -> tuple[Any]:
        return (EditedVideo(video.get_stream_source(), kind),)


class TrimLazily(Node):
    RETURN_TYPES = ("VIDEO",)
    REQUIRED: ClassVar = {"video": ("VIDEO",), "seconds": ("FLOAT", {"default": 0.5})}

    def make(self, video: Any, seconds: float) -> tuple[Any]:
        if hasattr(video, "as_trimmed"):
            return (video.as_trimmed(0.0, seconds),)
        return (TrimmedVideo(video.get_stream_source(), seconds),)


class MakeTracked(Node):
    """What SAM 3 and Depth Anything 3 of newer hosts give: a square of eight pixels goes to the right, in front of a wall."""

    RETURN_TYPES = ("SAM3_TRACK_DATA", "DA3_GEOMETRY", "MASK")
    RETURN_NAMES = RETURN_TYPES
    REQUIRED: ClassVar = {"frames": ("INT", {"default": 30})}

    def make(self, frames: int) -> tuple[Any, ...]:
        masks = torch.zeros((frames, 1, 32, 64), dtype=torch.bool)
        for n in range(frames):
            masks[n, 0, 8:24, n : n + 8] = True
        packed = (masks.reshape(frames, 1, 32, 8, 8) * (1 << torch.arange(8))).sum(-1).byte()
        track = {"packed_masks": packed, "orig_size": (64, 96), "n_frames": frames, "scores": [0.75]}
        metres = torch.where(masks[:, 0], 2.0, 8.0)
        sky = torch.zeros_like(metres)
        sky[:, :4] = 1.0
        return (
            track,
            {"depth": metres, "image": metres[..., None].expand(-1, -1, -1, 3), "mode": "mono", "sky": sky},
            masks[:, 0].float(),
        )


class Spread(Node):
    """A MODEL under a newer host's nodes for several GPUs: with its copies, or being copied with all that belongs to it."""

    RETURN_TYPES = ("MODEL",)
    REQUIRED: ClassVar = {"model": ("MODEL",), "copied": ("BOOLEAN", {"default": False})}

    def make(self, model: Any, copied: bool) -> tuple[Any]:
        if copied:
            for own in model.get_additional_models():
                own.deepclone_multigpu(new_load_device="cpu")
        spread = model.clone()
        spread.set_additional_models("multigpu", [model])
        return (spread,)


class ListModules(Node):
    """Names of all modules that the host's process has imported."""

    OUTPUT_NODE = True

    def make(self) -> dict[str, Any]:
        return {"ui": {"modules": sorted(sys.modules)}}


NODES = (MakeAudio, MakeBoxes, MakeCrowd, MakeTracked, TrimLazily, EditLazily, Spread, ListModules)
NODE_CLASS_MAPPINGS = {f"Test{node.__name__}": node for node in NODES}
