"""The released pickle is read as data: foreign classes and the optimizer's state do no harm, and an attack runs nothing."""

import collections
import importlib
import io
import os
import pickle
import shutil
import subprocess
import sys
import types
import zipfile
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from safetensors import safe_open

from stereosync_core.errors import StereoSyncError
from stereosync_core.tracking.masa import loader
from stereosync_core.tracking.masa.loader import build_masa, load_masa, read_checkpoint
from stereosync_core.tracking.masa.model import Masa
from tests.errors import refused


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    return Masa().state_dict()


@pytest.fixture(scope="module")
def release(weights, tmp_path_factory):
    """A checkpoint in the released form: names with ``module.``, parts that tracking does not need, the optimizer's state, and
    logs in classes of a package that is gone when the file is read."""
    package = types.ModuleType("mmengine")
    module = types.ModuleType("mmengine.logging")

    class HistoryBuffer:
        def __init__(self):
            self.values = np.arange(3.0)

        def __reduce__(self):
            # Protocol 2 names a method by getattr, which scanners take for an attack.
            return HistoryBuffer, (), {"values": self.values, "methods": {"mean": HistoryBuffer.mean}}

        @staticmethod
        def mean(): ...

    HistoryBuffer.__module__, HistoryBuffer.__qualname__ = "mmengine.logging", "HistoryBuffer"
    HistoryBuffer.mean.__module__, HistoryBuffer.mean.__qualname__ = "mmengine.logging", "HistoryBuffer.mean"
    module.HistoryBuffer = HistoryBuffer
    sys.modules |= {"mmengine": package, "mmengine.logging": module}
    named = collections.OrderedDict((f"module.{key}", value) for key, value in weights.items())
    named["module.rpn_head.rpn_conv.weight"] = torch.zeros(256, 256, 3, 3)
    checkpoint = {
        "meta": {"epoch": 12, "seed": np.float64(1.5), "config": HistoryBuffer()},
        "state_dict": named,
        "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(1000)}}, "param_groups": [{"lr": np.float32(0.1)}]},
        "message_hub": {"log_scalars": collections.OrderedDict(loss=HistoryBuffer()), "runtime_info": {1, 2}},
    }
    path = tmp_path_factory.mktemp("models") / "masa_r50.pth"
    try:
        torch.save(checkpoint, path)
    finally:
        del sys.modules["mmengine"], sys.modules["mmengine.logging"]
    return path


def test_the_released_form_is_read_and_kept_as_safetensors(release, weights):
    with pytest.raises(pickle.UnpicklingError):
        torch.load(release, weights_only=True)
    first = load_masa(release)
    converted = release.with_suffix(".safetensors")
    with safe_open(converted, "pt") as file:
        assert set(file.keys()) == set(weights), "what tracking needs and nothing else, under plain names"
        assert torch.equal(file.get_tensor("backbone.conv1.weight"), weights["backbone.conv1.weight"])
    assert [path.name for path in release.parent.iterdir() if ".part" in path.name] == []
    written = converted.stat().st_mtime_ns
    second = load_masa(release)
    assert converted.stat().st_mtime_ns == written, "converted once"
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    assert not first.training
    assert build_masa(weights).state_dict().keys() == first.state_dict().keys()


def test_only_what_is_needed_is_read(release):
    checkpoint = read_checkpoint(release)
    assert type(checkpoint["message_hub"]["log_scalars"]["loss"]).__mro__[1].__name__ == "Inert"
    stored = checkpoint["state_dict"]["module.backbone.conv1.weight"]
    assert tuple(stored.shape) == (64, 3, 7, 7)
    places = [value.data_ptr() for value in checkpoint["state_dict"].values()]
    assert max(places) - min(places) < release.stat().st_size, "all lie in one mapping of the file"


def test_a_folder_that_cannot_be_written_to_costs_only_time(release, tmp_path, monkeypatch, caplog):
    path = tmp_path / "masa_r50.pth"
    path.symlink_to(release)

    monkeypatch.setattr("safetensors.torch.save_file", Mock(side_effect=PermissionError("read-only")))
    load_masa(path)
    assert "was not kept" in caplog.text
    assert [entry.name for entry in tmp_path.iterdir()] == ["masa_r50.pth"]


class Attack:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


#: What is called, and with what, to make a file ``mark`` or to remove a folder beside it.
ATTACKS = {
    "os.system": lambda mark: (os.system, f"touch {mark}"),
    "eval": lambda mark: (eval, f"open({str(mark)!r}, 'w')"),
    "exec": lambda mark: (exec, f"open({str(mark)!r}, 'w')"),
    "open": lambda mark: (io.open, str(mark), "w"),
    "subprocess": lambda mark: (subprocess.getoutput, f"touch {mark}"),
    "import": lambda mark: (importlib.import_module, "antigravity"),
    "remove": lambda mark: (shutil.rmtree, str(mark.parent / "victim")),
}


@pytest.fixture
def mark(tmp_path):
    """A file that an attack would make; nothing may have made it when the test is over."""
    yield tmp_path / "mark"
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("protocol", [2, 4])
def test_an_attack_is_refused_by_name_and_runs_nothing(tmp_path, mark, name, protocol):
    path, victim = tmp_path / "masa_r50.pth", tmp_path / "victim"
    victim.mkdir()
    torch.save({"state_dict": {}, "extra": Attack(*ATTACKS[name](mark))}, path, pickle_protocol=protocol)
    refused(r"masa_r50\.pth would run .*Nothing of it was run", load_masa, path)
    assert victim.exists()
    assert not path.with_suffix(".safetensors").exists()


def test_getattr_cannot_be_used_to_reach_a_function(tmp_path, mark):
    """It is harmless because it is not getattr that is called."""
    path, command = tmp_path / "masa_r50.pth", f"touch {mark}".encode()
    program = b"\x80\x02cbuiltins\ngetattr\n(cmmengine\nos\nX\x06\x00\x00\x00systemtR(X"
    program += len(command).to_bytes(4, "little") + command + b"tR."
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program)
    refused(r"damaged|no table", load_masa, path)


def test_a_bare_pickle_is_refused_without_being_read(tmp_path, mark):
    path = tmp_path / "masa_r50.pth"
    path.write_bytes(pickle.dumps(Attack(*ATTACKS["os.system"](mark))))
    refused("no checkpoint in torch's zip form", load_masa, path)


def test_other_files_are_named_for_what_they_are(tmp_path, weights):
    refused(r"no file nowhere\.pth.*masa_r50\.pth", load_masa, tmp_path / "nowhere.pth")
    cut = tmp_path / "cut.pth"
    torch.save({"state_dict": dict(weights)}, cut)
    cut.write_bytes(cut.read_bytes()[:100_000])
    refused("cut short", load_masa, cut)
    torch.save([1, 2], cut)
    refused("no table of weights", load_masa, cut)
    text = tmp_path / "text.safetensors"
    text.write_text("nothing")
    refused("cannot be read", load_masa, text)
    with pytest.raises(StereoSyncError, match=r"1 weights are missing.*backbone\.conv1\.weight is missing"):
        build_masa({key: value for key, value in weights.items() if key != "backbone.conv1.weight"})
    refused("has another name or shape", build_masa, weights | {"backbone.conv1.weight": torch.zeros(3)})
    assert build_masa({key: value for key, value in weights.items() if "num_batches" not in key})


def test_half_precision_and_big_endian_storages(tmp_path):
    path = tmp_path / "half.pth"
    torch.save({"half": torch.arange(6).half().reshape(2, 3).T, "shared": torch.arange(10)[4:6]}, path)
    values = read_checkpoint(path)
    assert torch.equal(values["half"], torch.arange(6).half().reshape(2, 3).T)
    assert values["shared"].tolist() == [4, 5]
    swapped = tmp_path / "swapped.pth"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(swapped, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("byteorder"):
                data = b"big"
            elif "/data/" in name:
                width = 2 if len(data) == 12 else 8
                data = b"".join(data[at : at + width][::-1] for at in range(0, len(data), width))
            new.writestr(name, data)
    assert read_checkpoint(swapped)["shared"].tolist() == [4, 5]
    assert loader.PARTS == ("backbone.", "masa_adapter.", "track_head.")
