"""Loading Stable Audio Open: what people have on disk loads, and everything else gives one clear error."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from research.equality.release_weights import release_shapes, release_weights
from research.equality.stable_audio_equality import reduced
from stereosync_core.errors import StereoSyncError
from stereosync_core.model.loader import load_stable_audio
from stereosync_core.model.stable_audio.config import RELEASES, release_config
from stereosync_core.model.stable_audio.release import open_release
from tests.errors import refused
from tests.stable_audio_release import sparse_header, write_release


@pytest.fixture(scope="module")
def weights():
    return release_weights(reduced("open_1_0"))


@pytest.fixture
def folder(tmp_path, weights):
    return write_release(tmp_path / "stable-audio-open-1.0")


def changed(folder, weights, **other):
    """The folder with some tensors replaced; None takes one away."""
    mixed = {key: value for key, value in {**weights, **other}.items() if value is not None}
    save_file(mixed, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("name", RELEASES)
def test_a_folder_loads_frozen_and_whole(tmp_path, name):
    model = load_stable_audio(write_release(tmp_path / "release", name))
    assert (model.sample_rate, model.latent_rate) == (44100, 44100 / 2048)
    assert model.window == {"open_1_0": 1024, "open_small": 256}[name]
    assert model.objective == {"open_1_0": "v", "open_small": "rectified_flow"}[name]
    assert model.name == "release"
    assert not model.training
    for key, value in model.state_dict().items():
        assert value.device.type == "cpu", key
        assert torch.isfinite(value).all(), key
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_every_weight_comes_in_the_type_that_is_asked_for(folder, dtype):
    state = load_stable_audio(folder, dtype).state_dict()
    angles = {key for key in state if key.endswith("inv_freq")}
    assert {value.dtype for key, value in state.items() if key not in angles} == {dtype}
    # the rotary embedding computes in single precision
    assert {state[key].dtype for key in angles} == {torch.float32}


def test_one_file_is_the_folder_s(folder, tmp_path):
    one = tmp_path / "checkpoints" / "stable_audio.safetensors"
    one.parent.mkdir()
    one.write_bytes((folder / "model.safetensors").read_bytes())
    alone, whole = load_stable_audio(one, config=reduced("open_1_0")), load_stable_audio(folder)
    assert alone.name == "stable_audio"
    for key, value in whole.state_dict().items():
        assert torch.equal(alone.state_dict()[key], value), key


@pytest.mark.parametrize("name", RELEASES)
def test_one_file_of_the_real_size_is_recognised_by_its_shapes(tmp_path, name):
    path = sparse_header(tmp_path / "sao.safetensors", release_shapes(release_config(name)))
    release = open_release(path)
    assert release.config.sample_size == release_config(name)["sample_size"]
    assert release.config.distilled == (name == "open_small")
    # 1,057 M parameters are the transformer of Stable Audio Open 1.0
    count = sum(torch.Size(entry.shape).numel() for key, entry in release.entries.items() if key.startswith("model."))
    assert round(count / 1e6) == {"open_1_0": 1057, "open_small": 341}[name]


def test_the_file_can_be_replaced_once_it_is_loaded(folder):
    model = load_stable_audio(folder)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    size = (folder / "model.safetensors").stat().st_size
    with open(folder / "model.safetensors", "r+b") as file:
        file.write(b"\xff" * size)
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())


def test_both_forms_of_weight_norm_and_folded_weights_give_the_same(folder, weights):
    wanted = load_stable_audio(folder).state_dict()
    newer, folded = {}, {}
    for key, value in weights.items():
        base, _, ending = key.rpartition(".weight_")
        if not base:
            newer[key] = folded[key] = value
            continue
        newer[f"{base}.parametrizations.weight.original{'gv'.index(ending)}"] = value
        if ending == "v":
            folded[f"{base}.weight"] = torch._weight_norm(value, weights[f"{base}.weight_g"], 0)
    for other in (newer, folded):
        save_file(other, folder / "model.safetensors")
        for key, value in load_stable_audio(folder).state_dict().items():
            torch.testing.assert_close(value, wanted[key], atol=1e-6, rtol=1e-5)


def test_shifts_that_comfyui_leaves_out_are_zero(folder, weights):
    shifts = [key for key in weights if key.endswith("norm.beta")]
    model = load_stable_audio(changed(folder, weights, **dict.fromkeys(shifts)))
    assert not any(value.any() for key, value in model.state_dict().items() if key.endswith("norm.beta"))
    with pytest.raises(StereoSyncError, match=r"lacks model\.model\.transformer\.layers\.0\.ff_norm\.gamma"):
        load_stable_audio(changed(folder, weights, **{"model.model.transformer.layers.0.ff_norm.gamma": None}))


def test_a_text_encoder_in_the_file_is_not_read(folder, weights):
    text = {"conditioner.conditioners.prompt.model.shared.weight": torch.full((3, 2), float("nan"))}
    load_stable_audio(changed(folder, weights, **text))


def test_missing_extra_and_misshapen_tensors_are_named(folder, weights):
    gone = "conditioner.conditioners.seconds_start.embedder.embedding.1.bias"
    norm, project = "pretransform.model.decoder.layers.0.weight", "model.model.transformer.project_in.weight"
    for change, said in (
        ({gone: None}, r"lacks conditioner\.conditioners\.numbers\.seconds_start\.project\.bias"),
        ({f"{norm}_g": None}, r"lacks pretransform\.model\.decoder\.conv1\.weight"),
        ({"model.model.lora.weight": torch.zeros(2)}, r"has also model\.model\.lora\.weight"),
        ({"pretransform.model.quantizer.weight": torch.zeros(2)}, r"has also pretransform\.model\.quantizer\.weight"),
        ({"discriminator.weight": torch.zeros(2)}, r"has also discriminator\.weight"),
        ({project: torch.zeros(2, 2)}, r"another shape: model\.model\.transformer\.project_in"),
        ({f"{norm}_g": torch.ones(3, 1, 1)}, r"another shape: pretransform\.model\.decoder\.layers\.0\.weight_g"),
    ):
        refused(rf"model\.safetensors' does not fit.*{said}.*again", load_stable_audio, changed(folder, weights, **change))


def test_nan_and_numbers_too_large_for_half_precision(folder, weights):
    key = "model.model.transformer.layers.1.ff.ff.2.weight"
    load_stable_audio(changed(folder, weights, **{key: weights[key] * 1e7}), torch.bfloat16)
    refused(rf"{key}.*too large for torch\.float16; use bfloat16 or float32", load_stable_audio, folder, torch.float16)
    refused(rf"{key}.*NaN.*download", load_stable_audio, changed(folder, weights, **{key: weights[key] * float("nan")}))


def test_half_a_download(folder):
    path = folder / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    refused(r"model\.safetensors' ends early.*MB.*download it again", load_stable_audio, folder)
    for rest in (data[:5], data[:100], b"", b"version https://git-lfs.github.com/spec/v1\noid sha256:0"):
        path.write_bytes(rest)
        refused(r"model\.safetensors' is half a download or no safetensors", load_stable_audio, folder)
    part = path.rename(folder / "model.safetensors.part")
    refused("has not ended", load_stable_audio, part)


def test_bytes_after_the_end(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes() + b"more")
    refused(r"model\.safetensors' is damaged.*download it again", load_stable_audio, folder)


def test_eight_bits_gguf_and_quantised_files(tmp_path, folder, weights):
    eight = sparse_header(tmp_path / "sao_fp8.safetensors", release_shapes(reduced("open_1_0")), "F8_E4M3")
    refused(r"sao_fp8\.safetensors' holds eight-bit weights \(F8_E4M3\).*bfloat16", load_stable_audio, eight)
    gguf = tmp_path / "sao.gguf"
    gguf.write_bytes(b"GGUF" + bytes(60))
    refused(r"sao\.gguf' is a GGUF file.*model\.safetensors", load_stable_audio, gguf)
    whole = {"model.model.preprocess_conv.weight": torch.zeros(4, 4, 1, dtype=torch.int8)}
    refused("quantised weights", load_stable_audio, changed(folder, weights, **whole))


@pytest.mark.parametrize("name", ["model.ckpt", "model.pt", "model.safetensors"])
def test_a_pickle_is_not_opened_whatever_its_name(tmp_path, name):
    torch.save({"state_dict": {}}, tmp_path / name)
    refused(r"is a pickle.*download model\.safetensors", load_stable_audio, tmp_path / name)
    (tmp_path / "model_config.json").write_text(json.dumps(reduced("open_1_0")))
    refused(rf"{name}' is a pickle", load_stable_audio, tmp_path)


def test_files_that_are_not_there(tmp_path, folder):
    refused("nowhere' does not exist", load_stable_audio, tmp_path / "nowhere")
    (folder / "model_config.json").unlink()
    refused(r"has no model_config\.json", load_stable_audio, folder)
    write_release(folder)
    (folder / "model.safetensors").unlink()
    refused(r"has no model\.safetensors", load_stable_audio, folder)
    (folder / "model_config.json").write_text("{")
    refused(r"model_config\.json' cannot be read", load_stable_audio, folder)


def test_other_families_of_models_are_told_apart(tmp_path, folder, weights):
    save_file({"model.diffusion_model.input_blocks.0.weight": torch.zeros(2)}, tmp_path / "sd15.safetensors")
    with pytest.raises(StereoSyncError, match=r"sd15\.safetensors' is no whole model.*it holds model\.diffusion_model"):
        load_stable_audio(tmp_path / "sd15.safetensors")
    only = {key: value for key, value in weights.items() if key.startswith("pretransform.")}
    save_file(only, tmp_path / "vae.safetensors")
    refused(r"no whole model.*it holds pretransform\.model", load_stable_audio, tmp_path / "vae.safetensors")


def test_a_file_of_a_size_of_which_no_config_is_known_needs_its_own_beside_it(tmp_path, folder):
    alone = tmp_path / "alone" / "mine.safetensors"
    alone.parent.mkdir()
    shutil.copyfile(folder / "model.safetensors", alone)
    refused(r"width 128 with 3 blocks, which is neither.*NAME_config\.json", load_stable_audio, alone)
    shutil.copyfile(folder / "model_config.json", alone.with_name("mine_config.json"))
    assert load_stable_audio(alone).name == "mine"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda config: config.update(model_type="autoencoder"), "another family.*autoencoder"),
        (lambda config: config["model"]["diffusion"].update(type="adp_cfg_1d"), "another family.*adp_cfg_1d"),
        (lambda config: config["model"]["diffusion"].update(diffusion_objective="eps"), "objective is eps"),
        (lambda config: config["model"]["diffusion"]["config"].update(num_memory_tokens=64), "options num_memory_tokens"),
        (lambda config: config["model"]["diffusion"].update(prepend_cond_ids=["prompt"]), "options prepend_cond_ids"),
        (lambda config: config["model"]["conditioning"]["configs"][0].update(type="clap_text"), "not a T5 prompt"),
        (lambda config: config["model"]["pretransform"]["config"]["decoder"]["config"].update(final_tanh=True), "autoencoder"),
        (lambda config: config["model"]["pretransform"].update(scale=0.5), "its autoencoder is another"),
        (lambda config: config.pop("model"), "no config of Stable Audio Open.*KeyError: 'model'"),
        (lambda config: config["model"]["diffusion"]["config"].update(embed_dim=256), "of another shape"),
    ],
)
def test_configs_of_other_models(folder, change, said):
    config = json.loads((folder / "model_config.json").read_text())
    change(config)
    (folder / "model_config.json").write_text(json.dumps(config))
    refused(said, load_stable_audio, folder)


def test_what_is_written_is_read_again_bit_by_bit(folder, weights):
    assert load_file(folder / "model.safetensors").keys() == weights.keys()
    state = load_stable_audio(folder).state_dict()
    block, coder = "transformer.layers.2.cross_attn.to_kv.weight", "autoencoder.network"
    for ours, theirs in {
        f"denoiser.backbone.dit.{block}": f"model.model.{block}",
        "conditioners.numbers.seconds_total.frequencies": "conditioner.conditioners.seconds_total.embedder.embedding.0.weights",
        f"{coder}.encoder.block.4.conv1.bias": "pretransform.model.encoder.layers.5.layers.4.bias",
        f"{coder}.decoder.block.0.res_unit3.snake2.alpha": "pretransform.model.decoder.layers.1.layers.4.layers.2.alpha",
    }.items():
        assert torch.equal(state[ours].flatten(), weights[theirs].flatten()), ours
