"""Random weights of a release of Stable Audio Open, key by key as the real files have them."""

from collections.abc import Iterator
from math import prod

import torch

Shapes = Iterator[tuple[str, tuple[int, ...]]]


def transformer_shapes(config: dict) -> Shapes:
    """Keys and shapes after ``model.model.``."""
    width, latent, tokens = config["embed_dim"], config["io_channels"], config["cond_token_dim"]
    embedded = width if config.get("project_cond_tokens", True) else tokens
    head = width // config["num_heads"]
    yield "timestep_features.weight", (128, 1)
    for name, entering, inner, bias in (
        ("to_timestep_embed", 256, width, True),
        ("to_cond_embed", tokens, embedded, False),
        ("to_global_embed", config["global_cond_dim"], width, False),
    ):
        for layer, size in (("0", entering), ("2", inner)):
            yield f"{name}.{layer}.weight", (inner, size)
            if bias:
                yield f"{name}.{layer}.bias", (inner,)
    yield from ((f"{name}_conv.weight", (latent, latent, 1)) for name in ("preprocess", "postprocess"))
    yield "transformer.project_in.weight", (width, latent)
    yield "transformer.project_out.weight", (latent, width)
    yield "transformer.rotary_pos_emb.inv_freq", (max(head // 2, 32) // 2,)
    for n in range(config["depth"]):
        layer = f"transformer.layers.{n}."
        for norm in ("pre_norm", "cross_attend_norm", "ff_norm"):
            yield from ((f"{layer}{norm}.{part}", (width,)) for part in ("gamma", "beta"))
        yield f"{layer}self_attn.to_qkv.weight", (3 * width, width)
        yield f"{layer}cross_attn.to_q.weight", (width, width)
        yield f"{layer}cross_attn.to_kv.weight", (2 * embedded, embedded)
        for attention in ("self_attn", "cross_attn"):
            yield f"{layer}{attention}.to_out.weight", (width, width)
            if config.get("attn_kwargs", {}).get("qk_norm") == "ln":
                for norm in ("q_norm", "k_norm"):
                    yield from ((f"{layer}{attention}.{norm}.{part}", (head,)) for part in ("weight", "bias"))
        yield f"{layer}ff.ff.0.proj.weight", (8 * width, width)
        yield f"{layer}ff.ff.0.proj.bias", (8 * width,)
        yield f"{layer}ff.ff.2.weight", (width, 4 * width)
        yield f"{layer}ff.ff.2.bias", (width,)


def autoencoder_shapes(config: dict) -> Shapes:
    """Keys and shapes after ``pretransform.model.``."""

    def convolution(name: str, out: int, entering: int, kernel: int, bias: bool = True, transposed: bool = False) -> Shapes:
        first, second = (entering, out) if transposed else (out, entering)
        yield f"{name}.weight_g", (first, 1, 1)
        yield f"{name}.weight_v", (first, second, kernel)
        if bias:
            yield f"{name}.bias", (out,)

    def snake(name: str, channels: int) -> Shapes:
        yield from ((f"{name}.{part}", (channels,)) for part in ("alpha", "beta"))

    def unit(name: str, channels: int) -> Shapes:
        yield from snake(f"{name}.layers.0", channels)
        yield from convolution(f"{name}.layers.1", channels, channels, 7)
        yield from snake(f"{name}.layers.2", channels)
        yield from convolution(f"{name}.layers.3", channels, channels, 1)

    encoder, decoder = config["encoder"]["config"], config["decoder"]["config"]
    widths = [encoder["channels"] * multiple for multiple in (1, *encoder["c_mults"])]
    count = len(encoder["strides"])
    yield from convolution("encoder.layers.0", widths[0], 2, 7)
    for n, stride in enumerate(encoder["strides"]):
        block = f"encoder.layers.{n + 1}"
        for layer in range(3):
            yield from unit(f"{block}.layers.{layer}", widths[n])
        yield from snake(f"{block}.layers.3", widths[n])
        yield from convolution(f"{block}.layers.4", widths[n + 1], widths[n], 2 * stride)
    yield from snake(f"encoder.layers.{count + 1}", widths[-1])
    yield from convolution(f"encoder.layers.{count + 2}", encoder["latent_dim"], widths[-1], 3)

    widths = [decoder["channels"] * multiple for multiple in (1, *decoder["c_mults"])][::-1]
    yield from convolution("decoder.layers.0", widths[0], decoder["latent_dim"], 7)
    for n, stride in enumerate(reversed(decoder["strides"])):
        block = f"decoder.layers.{n + 1}"
        yield from snake(f"{block}.layers.0", widths[n])
        yield from convolution(f"{block}.layers.1", widths[n + 1], widths[n], 2 * stride, transposed=True)
        for layer in range(2, 5):
            yield from unit(f"{block}.layers.{layer}", widths[n + 1])
    yield from snake(f"decoder.layers.{count + 1}", widths[-1])
    yield from convolution(f"decoder.layers.{count + 2}", 2, widths[-1], 7, bias=False)


def release_shapes(config: dict) -> dict[str, tuple[int, ...]]:
    """All keys of a release's file, and their shapes."""
    model = config["model"]
    shapes = {f"model.model.{key}": shape for key, shape in transformer_shapes(model["diffusion"]["config"])}
    shapes |= {f"pretransform.model.{key}": shape for key, shape in autoencoder_shapes(model["pretransform"]["config"])}
    for name in model["diffusion"]["global_cond_ids"]:
        number = f"conditioner.conditioners.{name}.embedder.embedding."
        width = model["conditioning"]["cond_dim"]
        shapes |= {f"{number}0.weights": (128,), f"{number}1.weight": (width, 257), f"{number}1.bias": (width,)}
    return shapes


def release_weights(config: dict) -> dict[str, torch.Tensor]:
    """Random weights, small enough that nothing runs away."""
    generator = torch.Generator().manual_seed(1)
    weights = {}
    for key, shape in release_shapes(config).items():
        value = torch.randn(shape, generator=generator)
        scale = 1.0 if key.endswith(("timestep_features.weight", "0.weights")) else prod(shape[1:]) ** -0.5
        weights[key] = value * scale if len(shape) > 1 or key.endswith("0.weights") else 0.2 * value
        if key.endswith(("weight_g", "gamma", "_norm.weight")):
            weights[key] = 1 + 0.1 * value
        if key.endswith("norm.beta"):
            weights[key] = torch.zeros(shape)
        if key.endswith("inv_freq"):
            weights[key] = 10000.0 ** -(torch.arange(value.numel()) / value.numel())
    return weights
