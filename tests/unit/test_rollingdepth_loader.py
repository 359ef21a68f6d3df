"""Checkpoint folders, whole and broken."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from research.bench.rollingdepth_folder import TINY, write_folder
from stereosync_core.depth.rollingdepth.loader import LINK, load_rollingdepth, save_empty_prompt
from stereosync_core.errors import StereoSyncError

WEIGHTS = "diffusion_pytorch_model.safetensors"
UNET, UNET_CONFIG, VAE, VAE_CONFIG = f"unet/{WEIGHTS}", "unet/config.json", f"vae/{WEIGHTS}", "vae/config.json"
SCHEDULER, PROMPT = "scheduler/scheduler_config.json", "empty_prompt.safetensors"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("models") / "good", TINY)


@pytest.fixture
def folder(good, tmp_path):
    return shutil.copytree(good, tmp_path / "rollingdepth-v1-0")


def one_error(folder, *words, dtype=torch.float32):
    with pytest.raises(StereoSyncError) as caught:
        load_rollingdepth(folder, dtype)
    assert not [word for word in words if word not in str(caught.value)], caught.value


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_good_folder(folder):
    model = load_rollingdepth(folder)
    assert (model.dtype, model.text.shape) == (torch.float32, (1, 2, TINY.text))
    assert not any(parameter.requires_grad or parameter.is_meta for parameter in model.parameters())
    assert not model.training


def test_an_absent_folder_is_named_with_link_and_place(tmp_path):
    one_error(tmp_path / "rollingdepth-v1-0", LINK, str(tmp_path), "OpenRAIL++-M")


#: What is done to a folder's file, and what the error has to hold.
DAMAGES = {
    **{part: (part, Path.unlink, [part, LINK, "{folder}"]) for part in (UNET, UNET_CONFIG, VAE, VAE_CONFIG, SCHEDULER)},
    "no saved prompt and no text encoder": (PROMPT, Path.unlink, ["text_encoder/config.json", LINK]),
    "another Stable Diffusion": (UNET_CONFIG, lambda path: edit(path, in_channels=4), ["takes 4 channels", "8 and 4", LINK]),
    "config and weights of two": (UNET_CONFIG, lambda path: edit(path, cross_attention_dim=48), ["config and weights"]),
    "a text of another width": (PROMPT, lambda path: save_file({"text": torch.zeros(1, 2, 7)}, path), ["7 wide", "32"]),
    "no text": (PROMPT, lambda path: save_file({"other": torch.zeros(1, 2, 7)}, path), ["delete it"]),
    "cut short": (UNET, lambda path: path.write_bytes(path.read_bytes()[:5000]), ["cannot be read", "download it again"]),
    "a page in place of a config": (VAE_CONFIG, lambda path: path.write_text("<html>"), ["cannot be read"]),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_folder_that_lacks_something_or_is_damaged(folder, damage):
    name, make, words = DAMAGES[damage]
    make(folder / name)
    one_error(folder, *(word.format(folder=folder) for word in words))


def test_a_tensor_that_is_missing(folder):
    path = folder / VAE
    tensors = load_file(path)
    del tensors["decoder.conv_in.weight"]
    save_file(tensors, path)
    one_error(folder, "Missing key", "decoder.conv_in.weight", "0 more")


def test_files_of_mixed_precision_become_one(folder):
    path = folder / UNET
    tensors = load_file(path)
    save_file({name: value.half() if "conv" in name else value for name, value in tensors.items()}, path)
    for dtype in (torch.float32, torch.bfloat16):
        assert {parameter.dtype for parameter in load_rollingdepth(folder, dtype).parameters()} == {dtype}


def test_half_precision_files(folder):
    for part in ("unet", "vae"):
        path = folder / part / WEIGHTS
        save_file({name: value.half() for name, value in load_file(path).items()}, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").rename(path.with_name("diffusion_pytorch_model.fp16.safetensors"))
    half = load_rollingdepth(folder, torch.float16)
    (folder / UNET).unlink()
    assert torch.equal(load_rollingdepth(folder).unet.conv_in.weight, half.unet.conv_in.weight.float()), "all that is there"


def test_the_autoencoders_attention_under_its_old_names(folder):
    before = load_rollingdepth(folder).vae.decode(torch.ones(1, 4, 4, 4)).sample
    path = folder / VAE
    names = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    tensors = {}
    for name, value in load_file(path).items():
        for new, old in names.items():
            name = name.replace(new, old)
        tensors[name] = value
    assert any(".query." in name for name in tensors)
    save_file(tensors, path)
    assert torch.equal(load_rollingdepth(folder).vae.decode(torch.ones(1, 4, 4, 4)).sample, before)


@pytest.fixture
def with_encoder(folder):
    """A folder with a text encoder and a tokenizer in place of the saved prompt."""
    from transformers import CLIPTextConfig, CLIPTextModel

    (folder / PROMPT).unlink()
    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=10, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, eos_token_id=9
    )
    CLIPTextModel(config).save_pretrained(folder / "text_encoder")
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "vocab.json").write_text(json.dumps({"a": 0, "<begin>": 8, "<end>": 9}))
    (folder / "tokenizer" / "tokenizer_config.json").write_text(
        json.dumps({"bos_token": {"content": "<begin>"}, "eos_token": "<end>"})
    )
    return folder


def test_the_empty_prompt_comes_from_the_text_encoder_or_from_what_was_saved(with_encoder):
    computed = load_rollingdepth(with_encoder).text
    assert computed.shape == (1, 2, 32)
    assert save_empty_prompt(with_encoder).name == PROMPT
    shutil.rmtree(with_encoder / "text_encoder")
    assert torch.equal(load_rollingdepth(with_encoder).text, computed)


def test_a_tokenizer_without_its_end_token(with_encoder):
    edit(with_encoder / "tokenizer" / "tokenizer_config.json", eos_token="<nowhere>")
    one_error(with_encoder, "eos_token")
