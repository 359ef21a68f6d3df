"""A call's numbers: a model's defaults in the place of what is left out, checked before the work."""

from dataclasses import dataclass, replace

from ..errors import StereoSyncError
from .generative_model import GenerativeModel
from .samplers import check_sampler
from .spatial_guidance import SpatialGuidance
from .speedups import SamplerSpeedups


@dataclass(frozen=True)
class PipelineSettings:
    """A call's numbers after the model's defaults took the place of None; see :class:`.pipeline.StereoSyncPipeline`."""

    sampler: str
    num_inference_steps: int
    guidance_scale: float
    spatial_scale: float
    control_scale: float
    spatial_guidance: SpatialGuidance
    speedups: SamplerSpeedups
    strength: float


def check_numbers(
    num_inference_steps: int | None, strength: float | None = None, takes: int = 1, **scales: float | None
) -> None:
    """Raise StereoSyncError for numbers that no model takes; None is a model's own."""
    if num_inference_steps is not None and not 1 <= num_inference_steps <= 1000:
        raise StereoSyncError(f"Sampler: {num_inference_steps} steps; give 1 to 1000.")
    if strength is not None and not 0 <= strength <= 1:
        raise StereoSyncError(f"Sampler: the strength is {strength}; give 0, which leaves the sound as it is, to 1.")
    if not 1 <= takes <= 64:
        raise StereoSyncError(f"Sampler: {takes} takes; give 1 to 64.")
    for name, value in scales.items():
        if value is not None and not -20 <= value <= 20:
            raise StereoSyncError(f"Sampler: {name} is {value}; give a number near 1, at most 20.")


def settings_for(
    model: GenerativeModel,
    sampler: str | None = None,
    num_inference_steps: int | None = None,
    guidance_scale: float | None = None,
    spatial_scale: float | None = None,
    control_scale: float | None = None,
    spatial_guidance: float | SpatialGuidance | None = None,
    panning_law: str | None = None,
    speedups: SamplerSpeedups | None = None,
    strength: float | None = None,
    takes: int = 1,
) -> PipelineSettings:
    """A call's numbers with the model's defaults for None. Raises StereoSyncError for a sampler that does not go with the
    model, and numbers out of range."""
    defaults = model.defaults
    sampler = defaults.sampler if sampler is None else sampler
    check_sampler(sampler, model.objective)
    steps = defaults.num_inference_steps if num_inference_steps is None else num_inference_steps
    guidance_scale = defaults.guidance_scale if guidance_scale is None else guidance_scale
    if spatial_scale is None:
        spatial_scale = guidance_scale if defaults.spatial_scale is None else defaults.spatial_scale
    control_scale = 1.0 if control_scale is None else control_scale
    strength = defaults.strength if strength is None else strength
    scales = {"guidance_scale": guidance_scale, "spatial_scale": spatial_scale, "control_scale": control_scale}
    check_numbers(steps, strength, takes, **scales)
    if not isinstance(spatial_guidance, SpatialGuidance):
        # a strength alone: what each correction costs depends on how the levels are read
        own = defaults.decoder_guidance if model.levels is None else defaults.spatial_guidance
        if spatial_guidance is None:  # without space there is nothing to guide to
            spatial_guidance = own.strength if spatial_scale and model.cues != "depth" else 0.0
        spatial_guidance = replace(own, strength=spatial_guidance)
    if panning_law is not None:
        spatial_guidance = replace(spatial_guidance, panning_law=panning_law)
    speedups = speedups or SamplerSpeedups()
    return PipelineSettings(sampler, steps, **scales, spatial_guidance=spatial_guidance, speedups=speedups, strength=strength)
