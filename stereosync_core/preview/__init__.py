"""Figures of a scene: depth, boxes and ids over the clip, azimuth and level over time."""
