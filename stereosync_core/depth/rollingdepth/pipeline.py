"""RollingDepth over a clip: encode, denoise and decode snippets, co-align, merge, refine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from ...batches import Batches, batched
from ...errors import StereoSyncError
from ...media.source import Source, as_clip
from ...media.video import frame_times, frames, probe
from ...scene import DepthSequence
from .alignment import RELEASED_ALIGNMENT, AlignmentOptions, co_align
from .denoising import denoise_snippets, draw_noise
from .merging import SnippetMaps, merge, normalize
from .model import FACTOR, RollingDepthModel, prepare_frame, processing_size
from .presets import PRESETS, SMALLEST, RollingDepthSettings
from .refinement import refine
from .snippets import Snippets, plan_refinement, plan_snippets
from .stages import Progress, Stages

#: Called with a stage's name and its array, named as in the parity fixtures; snippets are given in batches. Copy what is to
#: stay: later stages write into the same memory.
Observe = Callable[[str, torch.Tensor], None]


@dataclass(frozen=True)
class Resources:
    """How much is done at once; nothing here changes the result beyond rounding.

    :param snippets: snippets that go through the UNet at once.
    :param images: pictures that go through the autoencoder at once.
    :param notice: called with a line of text when memory runs out and the batches are halved.
    """

    snippets: int = 4
    images: int = 4
    notice: Callable[[str], None] | None = None

    def for_unet(self) -> Batches:
        return Batches(self.snippets, "snippets", self.notice)

    def for_autoencoder(self) -> Batches:
        return Batches(self.images, "pictures", self.notice)


DEFAULT_RESOURCES = Resources()


def estimate_with_rollingdepth(
    source: Source,
    network: RollingDepthModel,
    settings: RollingDepthSettings = PRESETS["fast"],
    *,
    rate: float = 4.0,
    seed: int = 0,
    alignment: AlignmentOptions = RELEASED_ALIGNMENT,
    resources: Resources = DEFAULT_RESOURCES,
    progress: Progress | None = None,
) -> DepthSequence:
    """Relative depth of a clip, 1 = near: the clip's smallest value becomes 0, its largest 1.

    Frames are decoded one at a time at the clip's own size and resized at once, so that a long clip costs its latents, the
    alignment's points and the finished maps. Maps are as large as the frames that the networks saw. Where a side of these is
    not divisible by 8, the autoencoder leaves up to 7 rows or columns out, as in the release; they repeat the last one.

    :param rate: maps a second; 4 is what the paper of StereoSync takes, 0 gives every frame.
    :param seed: of the noise.
    :param progress: called with the part done and 1; raising inside it stops the work within a batch.
    """
    if rate != 0 and not 0.1 <= rate <= 240:
        raise StereoSyncError(f"RollingDepth: {rate} maps a second is outside 0.1..240; 4 is usual, 0 means every frame.")
    clip = as_clip(source)
    info = probe(clip)
    if rate == 0:
        times = frame_times(clip)
    else:
        times = np.arange(max(1, int(np.ceil(info.duration * rate - 1e-6)))) / rate
    height, width = processing_size(info.height, info.width, settings.resolution)
    if max(height, width) < SMALLEST or min(height, width) < FACTOR:
        raise StereoSyncError(
            f"RollingDepth: frames of {width} x {height} pixels are too small; the longer side needs {SMALLEST} or more, the "
            f"shorter {FACTOR}. Choose a resolution of 768."
        )
    # Made at the size of the frames from the beginning, so that nothing has to be held twice when the rest is filled in.
    maps = torch.empty((len(times), height, width), dtype=torch.float32)
    inner = maps[:, : height // FACTOR * FACTOR, : width // FACTOR * FACTOR]
    images = (
        prepare_frame(torch.from_numpy(image).to(network.compute_device), settings.resolution)
        for _, image in frames(clip, times=times)
    )
    estimate(images, inner, network, settings, seed, alignment=alignment, resources=resources, progress=progress)
    with torch.inference_mode():
        normalize(inner, 0.0, 1.0)
        maps[:, inner.shape[1] :, :] = maps[:, inner.shape[1] - 1 : inner.shape[1], :]
        maps[:, :, inner.shape[2] :] = maps[:, :, inner.shape[2] - 1 : inner.shape[2]]
    return DepthSequence(maps.clamp_(0.0, 1.0).numpy(), times)


@torch.inference_mode()
def estimate(
    images: Iterable[torch.Tensor],
    out: torch.Tensor,
    model: RollingDepthModel,
    settings: RollingDepthSettings,
    seed: int = 0,
    *,
    alignment: AlignmentOptions = RELEASED_ALIGNMENT,
    resources: Resources = DEFAULT_RESOURCES,
    observe: Observe | None = None,
    progress: Progress | None = None,
) -> torch.Tensor:
    """The released model's own values, larger = nearer.

    :param images: ``len(out)`` frames float ``[3, H, W]`` in -1..1, see :func:`.model.prepare_frame`; taken as needed.
    :param out: CPU float32 ``[N, H // 8 * 8, W // 8 * 8]``, is filled and returned: -1..1 without refinement, about that with.
    :param observe: sees every stage's arrays.
    :raises StereoSyncError: the model gives values that are not finite, or memory does not suffice for one snippet.
    """
    observe = observe or (lambda name, array: None)
    frame_count = len(out)
    plan, refinement = plan_snippets(settings, frame_count), plan_refinement(settings, frame_count)
    stages = Stages(_weights(plan, refinement, frame_count), progress)
    autoencoder, unet = resources.for_autoencoder(), resources.for_unet()
    rgb = _encode_frames(images, frame_count, model, autoencoder, stages.next())
    observe("rgb_latents", rgb)
    height, width = rgb.shape[-2:]
    noise = draw_noise(model, height, width, seed)
    passes: list[SnippetMaps] = []
    try:
        for number, snippets in enumerate(plan):
            passes.append(SnippetMaps(snippets, tuple(out.shape[1:]), model.dtype, alignment))
            report, done = stages.next(), 0
            for latents in denoise_snippets(model, rgb, noise, snippets, unet):
                observe(f"snippet_latents_{number}", latents)
                for maps in _decode(model, latents.flatten(0, 1), autoencoder):
                    observe(f"snippet_depth_{number}", maps)
                    passes[-1].add(maps)
                    done += len(maps)
                    report(done, snippets.count * snippets.length)
        minimum = min(maps.minimum for maps in passes)
        points = [maps.points(minimum).to(model.compute_device) for maps in passes]
        aligned = co_align(points, plan, alignment, progress=stages.next())
        for number, (scales, shifts) in enumerate(aligned):
            observe(f"align_scale_{number}", scales)
            observe(f"align_shift_{number}", shifts)
        merge(passes, aligned, minimum, out)
    finally:
        for maps in passes:
            maps.close()
    observe("merged_depth_raw", out)
    _normalize_as(out, model.dtype)
    observe("merged_depth_normalized", out)
    if refinement:
        depth = _encode_depth(out, model, autoencoder, stages.next())
        observe("coaligned_latents", depth)
        depth = refine(model, rgb, depth, noise, refinement, unet, progress=stages.next())
        observe("refine_latents_final", depth)
        report, done = stages.next(), 0
        for maps in _decode(model, depth, autoencoder):
            out[done : done + len(maps)] = maps
            done += len(maps)
            report(done, frame_count)
        if not torch.isfinite(out.sum()):
            raise StereoSyncError("RollingDepth: the refinement gave NaN or infinite depth; choose bf16 or fp32 in the loader.")
        observe("refined_depth", out)
    return out


def _weights(plan: list[Snippets], refinement: list[Snippets], frame_count: int) -> list[float]:
    """Rough cost of the stages, in pictures that go through a network."""
    decoding = 3.0  # a decoder's pass, in passes of the encoder or the UNet
    weights = [float(frame_count)]
    weights += [snippets.count * snippets.length * (1 + decoding) for snippets in plan]
    weights.append(0.05 * sum(weights) + 20)
    if refinement:
        weights += [frame_count, sum(step.count * step.length for step in refinement), frame_count * decoding]
    return weights


def _encode_frames(
    images: Iterable[torch.Tensor], frame_count: int, model: RollingDepthModel, batches: Batches, progress: Progress
) -> torch.Tensor:
    """Latents ``[N, 4, h, w]`` of frames that come one by one; a batch of them is held."""
    latents: list[torch.Tensor] = []
    for batch in map(torch.stack, batched(images, batches.size)):
        latents.extend(result for _, result in batches.run(lambda part, batch=batch: model.encode(batch[part]), len(batch)))
        progress(sum(map(len, latents)), frame_count)
    result = torch.cat(latents)
    if len(result) != frame_count:
        raise StereoSyncError(
            f"RollingDepth: {len(result)} frames came where {frame_count} were expected; the clip is damaged."
        )
    return result


def _encode_depth(depth: torch.Tensor, model: RollingDepthModel, batches: Batches, progress: Progress) -> torch.Tensor:
    """Latents ``[N, 4, h, w]`` of depth ``[N, H, W]``, which the encoder takes as a grey picture."""
    latents = []
    for part, result in batches.run(lambda part: model.encode(depth[part, None].expand(-1, 3, -1, -1)), len(depth)):
        latents.append(result)
        progress(part.stop, len(depth))
    return torch.cat(latents)


def _decode(model: RollingDepthModel, latents: torch.Tensor, batches: Batches) -> Iterator[torch.Tensor]:
    """Depth ``[B, H, W]`` of latents, a batch at a time."""
    for _, maps in batches.run(lambda part: model.decode(latents[part]), len(latents)):
        yield maps


def _normalize_as(maps: torch.Tensor, dtype: torch.dtype) -> None:
    """Stretch to -1..1 with the rounding of the model's precision, as the release does, in place."""
    if dtype == torch.float32:
        normalize(maps)
        return
    low = maps.min()
    largest = (maps.max().to(dtype) - low.to(dtype)).clamp(min=torch.finfo(dtype).tiny)
    for row in maps:  # one at a time: no second clip in half precision
        row.copy_((row.to(dtype) - low.to(dtype)) / largest * 2 - 1)
