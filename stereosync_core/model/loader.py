"""Loading a model: a StereoSync model's folder, whole or in parts, or a release of Stable Audio Open."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from ..assets import asset_path
from ..checkpoints import MISFITS, no_larger_than
from ..errors import StereoSyncError, explained
from . import oobleck
from .adapter import adapter_config, load_adapter
from .backbone import Backbone
from .conditioning.clap import ClapTimbre
from .conditioning.sound_timbre import SoundTimbre
from .conditioning.video_envelope import VideoEnvelope
from .denoiser import Denoiser, StereoSync
from .folder import check_fit, load_into, read_model_config, read_weights
from .generative_model import STABLE_AUDIO, STABLE_AUDIO_DISTILLED, STABLE_AUDIO_FLOW, STEREOSYNC, GenerativeModel
from .latent_levels import LatentLevels
from .level_autoencoder import LevelAutoencoder, LevelAutoencoderConfig
from .objectives import check_objective
from .packed import pack
from .stable_audio import conditioners
from .stable_audio.config import StableAudioConfig
from .stable_audio.release import AUTOENCODER, BACKBONE, CONFIG, NUMBERS, WEIGHTS, open_release
from .stable_audio.text import check_text_encoder
from .stable_audio.weights import check_nothing_else, matched, read
from .stable_audio_3.release import family_of, is_stable_audio_3, load_stable_audio_3

#: Folder of the bundled model among the assets.
BUNDLED = "walking-rooms"
Network = TypeVar("Network", bound=nn.Module)


def bundled_folder() -> Path:
    """Folder of the bundled model."""
    return asset_path(f"{BUNDLED}/config.json").parent


def bundled_timbres() -> list[str]:
    """Names that the bundled timbre encoder knows: surfaces first, then the other classes of sounds."""
    return list(dict.fromkeys(read_model_config(bundled_folder())["timbre"]["names"]))


def known_timbres(folder: Path) -> list[str]:
    """Names that the timbre encoder of a model's or an adapter's folder knows. Raises StereoSyncError for a folder without."""
    return read_model_config(part_folder(folder, "timbre"))["timbre"].get("names") or bundled_timbres()


def check_parts(source: Path, adapter: Path | None, levels: Path | None, text_encoder: Path | None) -> None:
    """Raise StereoSyncError for what goes with a release and is not what it is given for, before any weights are read."""
    if adapter is not None:
        adapter_config(adapter)
        part_folder(adapter, "timbre")
    if levels is not None and _folder_with(levels, "levels") is None:
        raise StereoSyncError(f"Levels: '{levels}' has no part 'levels'; give what `train levels` has written.")
    if text_encoder is not None and not is_stable_audio_3(source):
        check_text_encoder(text_encoder)


def load_model(
    source: Path | None = None,
    dtype: torch.dtype = torch.float32,
    *,
    adapter: Path | str | None = None,
    levels: Path | str | None = None,
) -> GenerativeModel:
    """A model on the CPU, frozen, for sampling.

    :param source: a StereoSync model's folder, a folder or file of Stable Audio Open, or a folder of Stable Audio 3 in
        diffusers' form; the bundled model when left out.
    :param dtype: of a release's weights.
    :param adapter: folder of what ``train adapter`` has trained over the release.
    :param levels: folder of what ``train levels`` has trained over the release; the adapter's own where left out.
    :raises StereoSyncError: when config or weights are missing, damaged or do not fit each other.
    """
    if source is not None:
        _check_family(source)
        check_parts(source, None, Path(levels) if levels is not None and is_release(source) else None, None)
    if source is not None and is_stable_audio_3(source):
        model = load_stable_audio_3(source, dtype)
    elif source is None or not is_release(source):
        model = load_stereosync(bundled_folder() if source is None else source)
    else:
        model = load_stable_audio(source, dtype)
    if adapter is not None and model.conditioners is not None:
        model.denoiser.adapter = load_adapter(Path(adapter), model, dtype)
        attach_levels(model, Path(adapter))
    if levels is not None and source is not None and is_release(source):
        attach_levels(model, Path(levels))
    if model.dtype == torch.float32:
        pack(model)
    return model


def is_release(path: Path) -> bool:
    """Whether a path means Stable Audio Open or 3: one file, or a folder as its release is."""
    path = Path(path)
    if is_stable_audio_3(path):
        return True
    return path.suffix == ".safetensors" or path.is_file() or any((path / name).is_file() for name in (CONFIG, WEIGHTS))


def _check_family(path: Path) -> None:
    if (family := family_of(path)) and not is_stable_audio_3(path):
        raise StereoSyncError(
            f"Model: '{path}' is a {family} in diffusers' form; give Stable Audio 3 in that form, or Stable Audio Open as "
            "released."
        )


def objective_of(source: str | Path) -> str:
    """The objective of a model (a folder, a release, or ``bundled``), read off its config without its weights. Raises
    StereoSyncError where the config is missing or damaged."""
    _check_family(Path(source))
    if source != "bundled" and is_stable_audio_3(Path(source)):
        return "rectified_flow"
    if source != "bundled" and is_release(Path(source)):
        return open_release(Path(source)).config.objective
    folder = bundled_folder() if source == "bundled" else Path(source)
    backbone = read_model_config(part_folder(folder, "diffusion"))["diffusion"].get("backbone")
    return check_objective(backbone.get("diffusion_objective", "v") if isinstance(backbone, dict) else None)


def load_stereosync(folder: Path) -> GenerativeModel:
    """A StereoSync model's folder, in single precision; see :func:`load_model`."""
    folder = Path(folder)
    denoiser, autoencoder = load_diffusion(folder), load_autoencoder(folder)
    window, cues = denoiser.config.get("window"), denoiser.config.get("cues", "both")
    rate = denoiser.config["latent_rate"]
    known = isinstance(rate, (int, float)) and cues in ("both", "boxes", "depth")
    if not (known and isinstance(window, int) and window >= 1):
        wrong = f"a window of {window} latent frames, {rate} a second, and the cues {cues}"
        raise StereoSyncError(f"Model: the config.json of '{folder}' has {wrong}; copy the model's folder again.")
    model = GenerativeModel(
        folder.name,
        STEREOSYNC,
        denoiser,
        autoencoder,
        window=window,
        cues=cues,
        timbre_encoder=load_timbre(folder),
        envelope_reader=load_envelope(folder),
    ).eval()
    latents, timbre = model.autoencoder.latent_channels, model.timbre_encoder
    misfit = denoiser.mean.shape[0] != latents or timbre is None or timbre.size != model.timbre_size
    if misfit or not math.isclose(rate, model.latent_rate, rel_tol=1e-3):
        raise StereoSyncError(f"Model: the parts of '{folder}' are of different models; copy the model's folder again.")
    return model


def load_stable_audio(
    path: Path, dtype: torch.dtype = torch.float32, config: Mapping[str, Any] | None = None
) -> GenerativeModel:
    """Stable Audio Open 1.0 or Small without an adapter, on the CPU, frozen; peak memory is that of the weights and a tenth
    more.

    :param path: the release's folder, or its one ``.safetensors`` file.
    :param config: see :func:`.stable_audio.release.open_release`.
    :raises StereoSyncError: names the file, what is wrong with it, and what to do.
    """
    release = open_release(path, config)
    shapes = (entry.shape for entry in release.entries.values())
    message = f"Stable Audio: the config of '{path}' cannot be understood ({{error}}); download it again."
    with explained(message, *MISFITS), no_larger_than(shapes, f"Stable Audio '{path}'"), torch.device("meta"):
        model = build_stable_audio(release.config, release.name)
    check_nothing_else(release)
    rename = partial(oobleck.renamed, blocks=len(release.config.autoencoder["downsampling_ratios"]))
    # the autoencoder first: its largest tensors are larger than the transformer's, and folding them in needs some room
    parts = [
        matched(release, AUTOENCODER, model.autoencoder.network, rename),
        matched(release, NUMBERS, model.conditioners, conditioners.renamed),
        # the norms' shifts were never trained, are zero in every release, and are left out by ComfyUI when it saves a model
        matched(release, BACKBONE, model.backbone.dit, str, lambda key: key.endswith("norm.beta")),
    ]
    read(release, parts, dtype)
    return model.eval()


def build_stable_audio(config: StableAudioConfig, name: str) -> GenerativeModel:
    """The networks of a release, with weights of their own."""
    defaults = STABLE_AUDIO_DISTILLED if config.distilled else STABLE_AUDIO if config.objective == "v" else STABLE_AUDIO_FLOW
    autoencoder = oobleck.OobleckAutoencoder(config.autoencoder)
    return GenerativeModel(
        name,
        defaults,
        Denoiser(Backbone(config.backbone)),
        autoencoder,
        window=config.sample_size // autoencoder.downsampling,
        sample_rate=config.sample_rate,
        conditioners=conditioners.Conditioners(config),
    )


def attach_levels(model: GenerativeModel, folder: Path) -> None:
    """Take the reader of levels that ``train levels`` has written into a folder, if there is one. Raises StereoSyncError when
    it is of another autoencoder's latents."""
    levels, own = load_levels(folder), model.autoencoder.latent_channels
    if levels is not None and levels.config["latents"] != own:
        reads = f"the part 'levels' of '{folder}' reads {levels.config['latents']} latents and this model has {own}"
        raise StereoSyncError(f"Stable Audio: {reads}; train it over this model.")
    model.levels = levels


def load_autoencoder(folder: Path) -> LevelAutoencoder:
    """The folder's autoencoder, on the CPU in single precision. Raises StereoSyncError when config or weights are missing,
    damaged or of another model."""
    return _load_part(folder, "autoencoder", lambda config: LevelAutoencoder(LevelAutoencoderConfig(**config)), "levels")


def load_timbre(folder: Path) -> SoundTimbre | ClapTimbre:
    """The folder's timbre encoder: ``aisfx``, over the bundled embedding, or ``clap``, whose ``folder`` the config names,
    relative to the model's; see :func:`load_autoencoder`."""
    source = part_folder(folder, "timbre")
    config = read_model_config(source)["timbre"]
    if config.get("type") == "clap":
        return ClapTimbre(source / str(config.get("folder", "clap"))).eval()
    return _load_part(source, "timbre", lambda config: SoundTimbre(**config), "aisfx")


def load_diffusion(folder: Path) -> StereoSync:
    """The folder's diffusion model; see :func:`load_autoencoder`."""
    return _load_part(folder, "diffusion", StereoSync)


def load_envelope(folder: Path) -> VideoEnvelope:
    """The folder's envelope reader; see :func:`load_autoencoder`."""
    return _load_part(folder, "envelope", lambda config: VideoEnvelope(**config))


def load_levels(folder: Path) -> LatentLevels | None:
    """The folder's reader of levels, None where it has none; see :func:`load_autoencoder`."""
    found = _folder_with(folder, "levels")
    return None if found is None else _load_part(found, "levels", lambda config: LatentLevels(**config))


def part_folder(folder: Path, part: str) -> Path:
    """The folder that a part of a model comes from: its own, or the one that its ``config.json`` names as ``base``. Raises
    StereoSyncError when neither has the part."""
    found = _folder_with(folder, part)
    if found is None:
        raise StereoSyncError(f"Model: the config.json of '{folder}' has no '{part}'; it is of another kind, or not complete.")
    return found


def _folder_with(folder: Path, part: str) -> Path | None:
    folder = Path(folder)
    config = read_model_config(folder)
    if isinstance(config.get(part), dict):
        return folder
    base = folder / config["base"] if isinstance(config.get("base"), str) else folder
    other = base.resolve() != folder.resolve()
    return base if other and isinstance(read_model_config(base).get(part), dict) else None


def _load_part(folder: Path, part: str, build: Callable[[dict[str, Any]], Network], kind: str | None = None) -> Network:
    """A part of a folder; ``kind`` is the only ``type`` that its config may name, where it names one."""
    folder = part_folder(folder, part)
    config = dict(read_model_config(folder)[part])
    if kind is not None and config.pop("type", None) != kind:
        raise StereoSyncError(
            f"Model: the part '{part}' of '{folder}' is of a type that is not known; it was trained with another version of "
            "the pack: train it again, or take the bundled model."
        )
    message = f"Model: the config.json of '{folder}' cannot be understood ({{error}})."
    weights = read_weights(folder, part)
    with explained(message, *MISFITS):
        # without memory first: the config may be of anything
        with no_larger_than((value.shape for value in weights.values()), f"Model '{folder}'"), torch.device("meta"):
            described = build(dict(config)).state_dict()
        check_fit(described, weights, folder, part)
        network = build(config)
    load_into(network, weights, folder, part)
    return network.eval()
