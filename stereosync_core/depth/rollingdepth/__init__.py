"""RollingDepth (Ke et al., "Video Depth without Video Models", CVPR 2025): video depth from overlapping snippets of frames.

A latent diffusion model (``model``, ``loader``) sees a few frames at a time, near and far apart (``snippets``, ``denoising``),
and one scale and shift for each snippet brings them together (``alignment``). The whole is in ``pipeline``.
"""
