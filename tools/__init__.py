"""Helpers of dev.py and of the tests, standard library alone: the environment, the ComfyUI process, workflow conversion."""
