"""RollingDepth over a clip: encode, denoise and decode snippets, co-align, merge, refine."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import accumulate
from typing import Any

import torch

from ...batches import Batches
from ...errors import StereoSyncError
from ...media.source import Source, as_clip
from ...media.video import frame_times, frames, probe
from ...scene import DepthSequence
from ..frame_by_frame import map_times
from .alignment import RELEASED_ALIGNMENT, AlignmentOptions, SnippetMaps, co_align, normalize
from .denoising import denoise_snippets, draw_noise, refine
from .model import FACTOR, RollingDepthModel, prepare_frame, processing_size
from .snippets import PRESETS, SMALLEST, RollingDepthSettings, Snippets, plan_refinement, plan_snippets

Progress = Callable[[float, float], None]
#: Called with a stage's name and its array, named as in the parity fixtures; snippets are given in batches. Copy what is to
#: stay: later stages write into the same memory.
Observe = Callable[[str, torch.Tensor], None]


def estimate_with_rollingdepth(
    source: Source,
    network: RollingDepthModel,
    settings: RollingDepthSettings = PRESETS["fast"],
    *,
    rate: float = 4.0,
    **options: Any,
) -> DepthSequence:
    """Relative depth of a clip, 1 = near: the clip's smallest value becomes 0, its largest 1.

    Frames are decoded one at a time at the clip's own size and resized at once, so that a long clip costs its latents, the
    alignment's points and the finished maps. Maps are as large as the frames that the networks saw. Where a side of these is
    not divisible by 8, the autoencoder leaves up to 7 rows or columns out, as in the release; they repeat the last one.

    :param rate: maps a second; 4 is what the paper of StereoSync takes, 0 gives every frame.
    :param options: the keywords of :func:`estimate`.
    """
    clip = as_clip(source)
    info = probe(clip)
    times = map_times(info.duration, rate, "4 is usual, 0 means every frame") if rate else frame_times(clip)
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
    estimate(images, inner, network, settings, **options)
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
    *,
    seed: int = 0,
    alignment: AlignmentOptions = RELEASED_ALIGNMENT,
    batch: int = 4,
    picture_batch: int = 4,
    notice: Callable[[str], None] | None = None,
    observe: Observe = lambda name, array: None,
    progress: Progress | None = None,
) -> torch.Tensor:
    """The released model's own values, larger = nearer.

    :param images: ``len(out)`` frames float ``[3, H, W]`` in -1..1, see :func:`.model.prepare_frame`; taken as needed.
    :param out: CPU float32 ``[N, H // 8 * 8, W // 8 * 8]``, is filled and returned: -1..1 without refinement, about that with.
    :param batch: snippets that go through the UNet at once, and ``picture_batch`` pictures through the autoencoder; both are
        halved, with a line of text to ``notice``, when memory runs out, and change nothing beyond rounding.
    :param observe: sees every stage's arrays.
    :param progress: called with the part done and 1; raising inside it stops the work within a batch.
    :raises StereoSyncError: the model gives values that are not finite, or memory does not suffice for one snippet.
    """
    frame_count = len(out)
    plan, refinement = plan_snippets(settings, frame_count), plan_refinement(settings, frame_count)
    stages = _stages(plan, refinement, frame_count, progress)
    autoencoder, unet = Batches(picture_batch, "pictures", notice), Batches(batch, "snippets", notice)
    rgb = _encode(images, frame_count, model, autoencoder, next(stages))
    observe("rgb_latents", rgb)
    noise = draw_noise(model, rgb.shape[-2], rgb.shape[-1], seed)
    with closing(SnippetMaps(plan, tuple(out.shape[1:]), model.dtype, alignment)) as snippet_maps:
        for number, snippets in enumerate(plan):
            report, done = next(stages), 0
            for latents in denoise_snippets(model, rgb, noise, snippets, unet):
                observe(f"snippet_latents_{number}", latents)
                for _, maps in _decode(model, latents.flatten(0, 1), autoencoder):
                    observe(f"snippet_depth_{number}", maps)
                    snippet_maps.add(maps)
                    done += len(maps)
                    report(done, snippets.count * snippets.length)
        points = [values.to(model.compute_device) for values in snippet_maps.points()]
        aligned = co_align(points, plan, alignment, progress=next(stages))
        for number, (scales, shifts) in enumerate(aligned):
            observe(f"align_scale_{number}", scales)
            observe(f"align_shift_{number}", shifts)
        observe("merged_depth_raw", snippet_maps.merge(aligned, out))
    observe("merged_depth_normalized", normalize(out, dtype=model.dtype))
    if refinement:
        # the encoder takes depth as a grey picture
        depth = _encode((grey.expand(3, -1, -1) for grey in out), frame_count, model, autoencoder, next(stages))
        observe("coaligned_latents", depth)
        depth = refine(model, rgb, depth, noise, refinement, unet, progress=next(stages))
        observe("refine_latents_final", depth)
        report = next(stages)
        for part, maps in _decode(model, depth, autoencoder):
            out[part] = maps
            report(part.stop, frame_count)
        if not torch.isfinite(out.sum()):
            raise StereoSyncError("RollingDepth: the refinement gave NaN or infinite depth; choose bf16 or fp32 in the loader.")
        observe("refined_depth", out)
    return out


def _stages(
    plan: list[Snippets], refinement: list[Snippets], frame_count: int, progress: Progress | None
) -> Iterator[Progress]:
    """A ``report(done, total)`` for each stage in turn; ``progress`` gets the part of the whole that is done, and 1."""
    decoding = 3.0  # a decoder's pass, in passes of the encoder or the UNet
    # rough cost of the stages, in pictures that go through a network
    weights = [frame_count, *(snippets.count * snippets.length * (1 + decoding) for snippets in plan)]
    weights.append(0.05 * sum(weights) + 20)
    if refinement:
        weights += [frame_count, sum(step.count * step.length for step in refinement), frame_count * decoding]
    for before, weight in zip(accumulate(weights, initial=0.0), weights, strict=False):

        def report(done: float, total: float, before=before, weight=weight) -> None:
            if progress is not None:
                progress((before + weight * min(1.0, done / max(total, 1e-9))) / sum(weights), 1.0)

        yield report


def _encode(
    images: Iterable[torch.Tensor], frame_count: int, model: RollingDepthModel, batches: Batches, progress: Progress
) -> torch.Tensor:
    latents: list[torch.Tensor] = []
    for part, result in batches.over(lambda some: model.encode(torch.stack(some)), images):
        latents.append(result)
        progress(part.stop, frame_count)
    result = torch.cat(latents)
    if len(result) != frame_count:
        raise StereoSyncError(
            f"RollingDepth: {len(result)} frames came where {frame_count} were expected; the clip is damaged."
        )
    return result


def _decode(model: RollingDepthModel, latents: torch.Tensor, batches: Batches) -> Iterator[tuple[slice, torch.Tensor]]:
    """Depth ``[B, H, W]`` of latents and its place among them, a batch at a time."""
    return batches.run(lambda part: model.decode(latents[part]), len(latents))
