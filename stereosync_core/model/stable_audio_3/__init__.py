"""Stable Audio 3 (arXiv 2605.17991) through diffusers' own networks."""
