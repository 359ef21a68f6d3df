"""The only file that imports the host's modules: devices, progress, interrupt, folders."""

import json
import logging
import os
import shutil
import uuid
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import comfy.conds
import comfy.model_management
import comfy.model_patcher
import comfy.patcher_extension
import comfy.utils
import folder_paths
import torch

from ..stereosync_core.assets import WALKING_CLIP, asset_path
from ..stereosync_core.errors import StereoSyncError
from ..stereosync_core.media.output import best_suffix, safe_output_path
from ..stereosync_core.media.source import Clip, opened, timeline_of
from ..stereosync_core.media.video import probe
from ..stereosync_core.model.precision import chosen_dtype

logger = logging.getLogger("StereoSync")
_patchers: dict[str, comfy.model_patcher.ModelPatcher] = {}
_copies: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()


def one_device_alone() -> StereoSyncError:
    """The error where a newer host is to spread a MODEL with one of the pack's networks over several devices."""
    return StereoSyncError(
        "The MODEL is spread over several GPUs, and what StereoSync adds to it runs on one; take the multi-GPU node out of its "
        "way."
    )


class Whole(comfy.model_patcher.ModelPatcher):
    """Memory management for networks that are not made of the host's own layers: on the device whole, or not at all.

    The host leaves layers behind where memory is short, or under ``--novram``, and its own ones fetch their weights when
    they run. Others would meet weights on the wrong device.
    """

    def load(self, device_to=None, lowvram_model_memory=0, force_patch_weights=False, full_load=False):
        super().load(device_to, lowvram_model_memory, force_patch_weights, full_load=True)

    def deepclone_multigpu(self, *_: Any, **__: Any) -> Any:
        raise one_device_alone()

    def partially_unload(self, device_to, memory_to_free=0, force_patch_weights=False):
        return 0  # the host then unloads the whole


def on_device(name: str, build: Callable[[], torch.nn.Module]) -> Any:
    """The network ``name``, built once, brought to the host's device by the host's own memory management."""
    if name not in _patchers:
        _patchers[name] = patched(build())
    return placed(_patchers[name])


def patched(network: torch.nn.Module) -> Any:
    """A network in the hands of the host's memory management; it lives as long as what is returned, see :func:`placed`."""
    return Whole(
        network,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )


def placed(patcher: Any, memory: int = 0) -> Any:
    """The network of :func:`patched`, brought to the host's device with room for ``memory`` bytes of work."""
    comfy.model_management.load_models_gpu([patcher], memory_required=memory)
    return patcher.model


def encoded_text(clip: Any, text: str) -> list[Any]:
    """Native CONDITIONING of a text by a native CLIP. Raises StereoSyncError where there is none."""
    if clip is None:
        raise StereoSyncError(
            "The input 'clip' holds no text encoder; load t5-base.safetensors with CLIPLoader, type stable_audio."
        )
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def around_network(model: Any, key: str, wrapper: Callable[..., torch.Tensor]) -> None:
    """Have ``wrapper(executor, x, t, ...)`` called in place of each call of a native MODEL's network."""
    model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.APPLY_MODEL, key, wrapper)


def after_each_run(model: Any, key: str, callback: Callable[[Any], None]) -> None:
    """Have ``callback(model)`` called when a native MODEL's sampling has ended."""
    model.add_callback_with_key(comfy.patcher_extension.CallbacksMP.ON_CLEANUP, key, callback)


def condition(value: torch.Tensor) -> Any:
    """A value ``[1, ...]`` that goes with a native CONDITIONING into every call of the network."""
    return comfy.conds.CONDRegular(value)


def precision(choice: str) -> torch.dtype:
    """The dtype for ``fp16``, ``bf16`` or ``fp32``; for ``auto``, half precision where the host thinks it wise."""
    device = comfy.model_management.get_torch_device()
    if choice == "auto":
        choice = "fp16" if comfy.model_management.should_use_fp16(device) else "fp32"
    return chosen_dtype(choice, device)


def provide_model_folder(kind: str) -> None:
    """Make ``models/<kind>`` a folder of models, where no other pack has done so."""
    if kind not in folder_paths.folder_names_and_paths:
        place = os.path.join(folder_paths.models_dir, kind)
        folder_paths.folder_names_and_paths[kind] = ([place], {".safetensors", ".json"})


def model_folders(kinds: list[str], part: str) -> dict[str, Path]:
    """Folders in ``models/<kind>`` that hold the file ``part``, by name."""
    found: dict[str, Path] = {}
    for kind in kinds:
        for root in map(Path, folder_paths.get_folder_paths(kind)):
            for path in sorted(root.glob(f"*/{part}")):
                folder = root / path.relative_to(root).parts[0]
                found.setdefault(folder.name, folder)
    return found


def model_files(kind: str, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Files in ``models/<kind>`` with one of these suffixes, by name."""
    found: dict[str, Path] = {}
    for root in map(Path, folder_paths.get_folder_paths(kind)):
        for path in sorted(root.glob("*")):
            if path.suffix in suffixes and not path.name.startswith("."):
                found.setdefault(path.name, path)
    return found


def checkpoints() -> dict[str, Path]:
    """The safetensors files in ``models/checkpoints`` and its subfolders, by name."""
    names = [name for name in folder_paths.get_filename_list("checkpoints") if name.endswith(".safetensors")]
    return {name: Path(folder_paths.get_full_path_or_raise("checkpoints", name)) for name in names}


def model_target(kind: str, name: str) -> Path:
    """Where a model folder of that kind and name belongs."""
    return Path(folder_paths.get_folder_paths(kind)[0]) / name


def progress() -> Callable[[float, float], None]:
    """A ``progress(done, total)`` that moves the node's bar and stops where the user has pressed stop."""
    bar = comfy.utils.ProgressBar(1000)

    def report(done: float, total: float) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(round(1000 * min(1.0, done / max(total, 1e-9))), 1000)

    return report


def notice(text: str, node_id: str | None = None) -> None:
    """A message that is no error: in the log, and on the node."""
    logger.warning(text)
    show([text], node_id)


def show(lines: Sequence[str], node_id: str | None) -> None:
    """Text on a node, where there is any."""
    if node_id is None or not lines:
        return
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is not None:
        server.send_progress_text("\n".join(lines), node_id)


def source_of(video: Any) -> Clip:
    """The clip of a native VIDEO: its file or buffer, or a copy where it is made of images or trimmed lazily."""
    if video in _copies:
        return Clip(_copies[video])
    try:
        clip = Clip(video.get_stream_source())
    except ValueError as error:
        # ComfyUI 0.3.75 writes a VIDEO made of images only to a name with an ending, not into memory.
        logger.debug("The video cannot be streamed and is copied: %s", error)
    else:
        if not _edited(video, clip):
            return clip
    path = str(temp_path(".mp4"))
    video.save_to(path)
    _copies[video] = path
    return Clip(path)


def _edited(video: Any, clip: Clip) -> bool:
    """Whether a VIDEO shows something else than its stream source: newer hosts trim, crop and resize without writing a file."""
    length = float(timeline_of(clip).duration)
    if not hasattr(video, "get_active_trim_window"):
        with opened(clip) as container:  # whose length is wrong where its clock jumps, and whose sound may be a little shorter
            length = min(length, (container.duration or float("inf")) / 1e6)
        return length - float(video.get_duration()) > 0.1
    start, duration = video.get_active_trim_window()
    if start > 0 or 0 < duration < length - 1e-6 or getattr(video, "has_pending_frame_edits", bool)():
        return True
    # the first hosts that cropped have no other way to tell
    with opened(clip) as container:
        stream = container.streams.video[0]
        return set(video.get_dimensions()) != {stream.width, stream.height}


def input_videos() -> list[str]:
    """Names of the videos in the host's input folder."""
    folder = folder_paths.get_input_directory()
    names = [name for name in os.listdir(folder) if os.path.isfile(os.path.join(folder, name))]
    return sorted(folder_paths.filter_files_content_types(names, ["video"]))


def input_path(name: str) -> str:
    """Path of a file in the host's input folder (``[output]`` and ``[temp]`` behind the name work as elsewhere)."""
    return folder_paths.get_annotated_filepath(name)


def folder_path(name: str) -> Path | str:
    """A folder that a user typed: a whole path, or one in the host's input folder; nothing where nothing was typed."""
    name = name.strip().strip('"')
    return Path(folder_paths.get_input_directory()) / Path(name).expanduser() if name else ""


def folder_state(folder: Path | str) -> str:
    """Changes when a file in a folder does."""
    files = sorted(Path(folder).rglob("*")) if folder else []
    return " ".join(f"{file} {file.stat().st_mtime_ns} {file.stat().st_size}" for file in files if file.is_file())


def input_exists(name: str) -> bool:
    return bool(name) and folder_paths.exists_annotated_filepath(name)


def temp_path(suffix: str) -> Path:
    """A new name in the host's temporary folder."""
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"stereosync_{uuid.uuid4().hex}{suffix}"


def temp_result(path: Path) -> dict[str, str]:
    """A file in the host's temporary folder as the front end fetches it."""
    return {"filename": path.name, "subfolder": "", "type": "temp"}


def temp_json(content: Any) -> dict[str, str]:
    """Writes JSON into the host's temporary folder, for the front end."""
    path = temp_path(".json")
    path.write_text(json.dumps(content), encoding="utf-8")
    return temp_result(path)


def output_path(prefix: str, clip: Clip, container: str) -> tuple[Path, str]:
    """A new numbered name in the host's output folder for a clip with other sound, and its subfolder; refuses names that leave
    the folder.

    :param container: file ending without its dot; ``auto`` keeps Matroska and makes mp4 of everything else that fits.
    """
    info = probe(clip)
    suffix = best_suffix(clip) if container == "auto" else f".{container}"
    (path,), subfolder = output_paths(prefix, suffix, 1, info.width, info.height)
    return path, subfolder


def output_paths(prefix: str, suffix: str, count: int, width: int = 0, height: int = 0) -> tuple[list[Path], str]:
    """New numbered names in the host's output folder, and their subfolder."""
    root = folder_paths.get_output_directory()
    safe_output_path(root, prefix)
    try:
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(prefix, root, width, height)
    except OSError as error:
        raise StereoSyncError(
            f"The output folder for '{prefix}' cannot be used ({error.strerror or error}); make it writable or choose "
            "another name."
        ) from error
    return [Path(folder) / f"{name}_{counter + n:05}_{suffix}" for n in range(count)], subfolder


def output_folder(prefix: str) -> tuple[Path, str]:
    """A new numbered folder in the host's output folder, made, and where that is below it."""
    (path,), subfolder = output_paths(prefix, "", 1)
    number = int(path.name.rsplit("_", 2)[1])
    while (folder := path.with_name(f"{path.name.rsplit('_', 2)[0]}_{number:05}")).exists():
        number += 1
    return folder, f"{subfolder}/{folder.name}".lstrip("/")


def check_output(prefix: str) -> None:
    """Raise StereoSyncError for a name that cannot be one in the host's output folder."""
    safe_output_path(folder_paths.get_output_directory(), prefix)


def provide_sample_clip() -> None:
    """Put the sample clip of the shipped workflows into the input folder, where it is not there yet."""
    target = Path(folder_paths.get_input_directory()) / WALKING_CLIP
    try:
        if not target.exists():
            shutil.copyfile(asset_path(WALKING_CLIP), target)
    except (OSError, StereoSyncError) as error:
        logger.warning("The sample clip could not be put into the input folder: %s", error)


def workflow_metadata(hidden: Any) -> dict[str, str]:
    """The graph as tags, as native Save Video stores it, so that dropping the file on the canvas opens it; none where the user
    started the host with metadata switched off."""
    from comfy.cli_args import args

    if args.disable_metadata:
        return {}
    metadata = {key: json.dumps(value) for key, value in (hidden.extra_pnginfo or {}).items()}
    return metadata if hidden.prompt is None else metadata | {"prompt": json.dumps(hidden.prompt)}
