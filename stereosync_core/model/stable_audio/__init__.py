"""Stable Audio Open 1.0 and Small, from the files that people have: loading, conditions, samplers, sound."""
