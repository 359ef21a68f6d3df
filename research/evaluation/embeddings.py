"""Embeddings that a comparison may use beside the bundled one: CLAP, and vision encoders for the joint distance."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from stereosync_core.errors import StereoSyncError
from stereosync_core.model.conditioning.clap import ClapEmbedding, load_pretrained
from stereosync_core.sound_embedding import AudioEmbedding, embed_aisfx

from .systems import EvaluationClip


class PictureEmbedding:
    """One pooled vector a frame of any of transformers' vision encoders from a local folder (CLIP, DINOv2, ViT ...)."""

    def __init__(self, folder: Path, device: str = "cpu", batch: int = 16):
        from transformers import AutoImageProcessor, AutoModel

        def load(kind: Any, **options: Any) -> Any:
            return load_pretrained(
                folder, lambda: kind.from_pretrained(str(folder), local_files_only=True, **options), "a vision encoder"
            )

        model, self.prepare = load(AutoModel, use_safetensors=True), load(AutoImageProcessor)
        self.model = getattr(model, "vision_model", model).to(device).eval()
        self.device, self.batch = device, batch

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        features = []
        for start in range(0, len(frames), self.batch):
            inputs = self.prepare(list(frames[start : start + self.batch]), return_tensors="pt")
            with torch.inference_mode():
                found = self.model(pixel_values=inputs["pixel_values"].to(self.device))
            pooled = getattr(found, "pooler_output", None)
            features.append((found.last_hidden_state.mean(1) if pooled is None else pooled).flatten(1).double().cpu().numpy())
        return np.concatenate(features)

    def of_clip(self, clip: EvaluationClip) -> tuple[np.ndarray, np.ndarray]:
        """Features of about four frames a second, with their times."""
        times, frames = clip.frames()
        return self(frames[::4]), times[::4]


def audio_embedding(name: str, folder: Path | None = None, device: str = "cpu") -> AudioEmbedding:
    """``aisfx`` or ``clap`` (with its folder). Raises StereoSyncError for other names, or a folder that does not hold the
    model."""
    if name == "aisfx":
        return embed_aisfx
    if name == "clap" and folder is not None:
        return ClapEmbedding(folder, device)
    raise StereoSyncError(f"Embedding: '{name}' is not known or lacks its folder; choose aisfx, or clap with its folder.")


def joint(audio: np.ndarray, audio_times: np.ndarray, video: np.ndarray, video_times: np.ndarray) -> np.ndarray:
    """Features ``[N, DA + DV]`` for the joint audio-video Frechet distance: each audio window with the video features at its
    time, taken linearly between theirs ``[M]``; for the scale of both parts see :func:`balance`."""
    audio, video = np.asarray(audio, dtype=np.float64), np.asarray(video, dtype=np.float64)
    if len(audio) != len(audio_times) or len(video) != len(video_times) or not len(video):
        raise StereoSyncError("Frechet distance: give one time for each feature, and one feature at least.")
    aligned = np.stack([np.interp(audio_times, video_times, column) for column in video.T], axis=1)
    return np.concatenate([audio, aligned], axis=1)


def balance(reference: np.ndarray, width: int) -> np.ndarray:
    """Factors ``[D]`` that give the first ``width`` features and the others the same total variance over a reference ``[N,
    D]``; without them the part with the larger numbers decides alone."""
    variance = np.asarray(reference, dtype=np.float64).var(0)
    parts = [max(float(variance[:width].sum()), 1e-12), max(float(variance[width:].sum()), 1e-12)]
    return np.concatenate([np.full(width, parts[0] ** -0.5), np.full(len(variance) - width, parts[1] ** -0.5)])
