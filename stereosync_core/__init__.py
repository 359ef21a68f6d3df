"""StereoSync: sound for video that fits in time and in space. The library; it knows nothing of ComfyUI."""

__version__ = "0.1.0"
