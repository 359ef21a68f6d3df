"""Metrics applied to clips: one clip measured, systems compared on the same clips, other sets, tables and plots."""
