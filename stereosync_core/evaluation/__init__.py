"""Metrics applied to clips: one clip's measures, systems compared on the same clips, folders of other sets, tables and plots."""
