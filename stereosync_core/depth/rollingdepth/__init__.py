"""RollingDepth (Ke et al., "Video Depth without Video Models", CVPR 2025): video depth from overlapping snippets of frames.

A latent diffusion model sees a few frames at a time, near and far apart (``snippets``, ``attention``, ``denoising``), one scale
and shift for each snippet brings them together (``alignment``, ``merging``), and a last pass smooths (``refinement``). The
whole is in ``pipeline``; the released checkpoint folder is read by ``loader``.
"""
