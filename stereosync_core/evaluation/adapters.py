"""Folders laid out as public sets are, read as clips."""
