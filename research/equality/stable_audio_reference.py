"""Numbers of stable-audio-tools' own code for a model with random weights, in a process of its own.

    python -m research.equality.stable_audio_reference CONFIG FOLDER [--frames 43]

builds the model of a ``model_config.json`` with stable-audio-tools, fills it with seeded random weights, and writes into FOLDER
the release's two files and ``expected.safetensors``: inputs, and what the reference makes of them. What the reference needs
beside the environment is in a folder that this process alone sees; see reference_packages.py.
"""

import argparse
import copy
import json
import os
import subprocess
import sys
from pathlib import Path

from .reference_packages import ROOT, reference_folder

EXPECTED = "expected.safetensors"
#: Steps of the trajectories, and their guidance scale.
STEPS, PINGPONG_STEPS, CFG = 10, 8, 7.0
SEED = 5
#: Latent frames that the autoencoder is compared on.
DECODED = 16


def make(config: dict, folder: Path, frames: int = 43) -> Path:
    """Have the reference write into ``folder``; see the head of this file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model_config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(reference_folder()), str(ROOT)])}
    command = [sys.executable, "-m", "research.equality.stable_audio_reference"]
    command += [folder / "model_config.json", folder, "--frames", frames]
    done = subprocess.run([str(part) for part in command], cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the reference failed: {done.stderr[-3000:]}")
    return folder


def build(config: dict):
    """The model by stable-audio-tools, without its text encoder, which is no part of the release's file."""
    import torch
    from stable_audio_tools.models.factory import create_model_from_config

    config = copy.deepcopy(config)
    conditioning = config["model"]["conditioning"]
    conditioning["configs"] = [each for each in conditioning["configs"] if each["type"] != "t5"]
    torch.manual_seed(0)
    model = create_model_from_config(config).eval().requires_grad_(False)
    for name, value in model.state_dict().items():
        # what begins at zero or at one would hide a mistake
        if name.endswith(("alpha", "beta", "bias")):
            value.normal_(std=0.2)
        elif name.endswith("gamma") or "_norm.weight" in name:
            value.add_(0.2 * torch.randn_like(value))
        elif not value.any():
            value.normal_(std=0.5 / value[0].numel() ** 0.5)
    return model


def expected(model, frames: int) -> dict:
    """Inputs, and the reference's outputs."""
    import k_diffusion as K
    import torch
    from stable_audio_tools.inference import sampling

    generator = torch.Generator().manual_seed(SEED)

    def normal(*shape: int):
        return torch.randn(shape, generator=generator)

    names = list(model.conditioner.conditioners)
    width = model.conditioner.conditioners[names[0]].output_dim
    seconds = {"seconds_start": [0.0, 3.5], "seconds_total": [11.25, 600.0]}
    texts, against = normal(2, 20, width), normal(2, 20, width)

    def conditioning(text, **options):
        given = {name: model.conditioner.conditioners[name](seconds[name], device="cpu") for name in names}
        tokens = 128 if "seconds_start" in names else 64
        given["prompt"] = (torch.nn.functional.pad(text, (0, 0, 0, tokens - text.shape[1])), torch.ones(2, tokens))
        return model.get_conditioning_inputs(given, **options)

    inputs = {key: value for key, value in conditioning(texts).items() if key in ("cross_attn_cond", "global_cond")}
    other = conditioning(against, negative=True)["negative_cross_attn_cond"]
    one = {key: value[:1] for key, value in inputs.items()}
    x, t = normal(2, model.io_channels, frames), torch.tensor([0.2, 0.8])
    plain = {"use_checkpointing": False}
    out = {"texts": texts, "against": against, "x": x, "t": t, "tokens": inputs["cross_attn_cond"]}
    out["globally"] = inputs["global_cond"]
    out["velocity"] = model.model(x, t, **inputs, **plain)
    out["guided"] = model.model(x[:1], t[:1], **one, cfg_scale=CFG, **plain)
    out["guided_against"] = model.model(x[:1], t[:1], **one, cfg_scale=CFG, negative_cross_attn_cond=other[:1], **plain)

    noise = normal(STEPS, 1, model.io_channels, frames)
    out["noise"] = noise
    if model.diffusion_objective == "v":
        denoiser = K.external.VDenoiser(model.model)
        sigmas = K.sampling.get_sigmas_polyexponential(STEPS, 0.3, 500, 1.0)
        out["sigmas"] = sigmas[:-1]
        out["times"] = denoiser.sigma_to_t(sigmas[:-1])
        # latents as k-diffusion has them: sound + sigma * noise
        out["sound"] = denoiser(x[:1] * 5, torch.tensor([5.0]), **one, **plain)
        steps = iter(noise[1:])
        out["sampled"] = K.sampling.sample_dpmpp_3m_sde(
            denoiser,
            noise[0] * sigmas[0],
            sigmas,
            extra_args={**one, **plain, "cfg_scale": CFG},
            noise_sampler=lambda *_: next(steps),
            disable=True,
        )
    else:
        times: list = []
        torch.manual_seed(SEED)
        out["sampled"] = sampling.sample_rf(
            model.model,
            noise[0],
            steps=PINGPONG_STEPS,
            sampler_type="pingpong",
            device="cpu",
            callback=lambda state: times.append(state["t"]),
            **one,
            **plain,
        )
        out["times"] = torch.stack(times)

    autoencoder = model.pretransform.model
    sound = 0.3 * normal(1, 2, DECODED * autoencoder.downsampling_ratio)
    out["audio"], out["latents"] = sound, normal(1, model.io_channels, DECODED)
    out["encoded"] = autoencoder.encode(sound, skip_bottleneck=True).chunk(2, dim=1)[0]
    out["decoded"] = model.pretransform.decode(out["latents"])
    return out


def write(path: Path, tensors: dict) -> None:
    """A safetensors file of float32 tensors, one after the other: the package's own function holds all of them twice."""
    header, end = {}, 0
    for name, value in tensors.items():
        start, end = end, end + value.numel() * 4
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for value in tensors.values():
            value.float().contiguous().numpy().tofile(file)


def main() -> int:
    parser = argparse.ArgumentParser("stable_audio_reference", description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=43)
    arguments = parser.parse_args()
    import torch

    with torch.no_grad():
        model = build(json.loads(arguments.config.read_text(encoding="utf-8")))
        write(arguments.folder / "model.safetensors", model.state_dict())
        write(arguments.folder / EXPECTED, expected(model, arguments.frames))
    return 0


if __name__ == "__main__":
    sys.exit(main())
