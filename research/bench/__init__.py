"""Measurements of speed and memory on this machine, as ratios within one run; never part of the tests."""
