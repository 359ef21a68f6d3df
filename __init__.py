"""StereoSync: sound for video that fits in time and in space. Custom nodes for ComfyUI."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """Called by ComfyUI once at start; gives it the pack's nodes."""
    from .nodes.extension import StereoSyncExtension

    return StereoSyncExtension()
