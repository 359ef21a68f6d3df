"""How well sound fits its picture: place, distance, timing, and how it sounds. One topic a file; plain functions of arrays.

Every score that is not defined (silence, nothing in the picture, too few steps) is ``None`` or NaN with its count of zero
beside it, never a number that looks like a result.
"""
