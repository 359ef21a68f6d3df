"""Many clips: in local processes and on a cluster of two nodes; processes that die, clips that are broken, runs that go on."""

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from stereosync_core.__main__ import main
from stereosync_core.scale.manifest import Manifest, find_clips, key_of
from stereosync_core.scale.pools import DIED, completed
from tests.clips import make_clip
from tests.errors import refused
from tests.jobs import square

PATIENCE = 300


def test_a_process_that_dies_takes_no_job_with_it(tmp_path):
    rows = dict(completed(square, [(n, tmp_path) for n in range(8)], workers=2))
    assert rows == {n: {"error": DIED} if n == 3 else {"square": n * n} for n in range(8)}


def test_without_ray_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    refused(r"pip install ray.*\[scale\]", lambda: list(completed(square, [1], address="auto")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Clips of 0.2 s, one of them broken, and tracks that fit all."""
    folder = tmp_path_factory.mktemp("clips")
    sample = make_clip(folder / "clip000.mp4", count=6)
    for number in range(1, 200):
        shutil.copy(sample, folder / f"clip{number:03}.mp4")
    (folder / "clip077.mp4").write_bytes(sample.read_bytes()[:500])
    boxes = [[0.7, 0.2, 0.8, 0.8]] * 2
    tracks = [{"id": 1, "label": "person", "times": [0, 0.2], "boxes": boxes}]
    (folder / "tracks.json").write_text(json.dumps({"duration": 0.2, "tracks": tracks}))
    return folder


def batch(folder, out, capsys, *more, clips=None):
    options = f"--tracks {folder / 'tracks.json'} --no-depth --timing cadence --cadence 5"
    clips = [str(clip) for clip in clips or [folder]]
    arguments = ["batch", "render", *clips, "--out", str(out), "--options", options, "--suffix", ".wav", "--json", *more]
    assert main(arguments) == 0
    return json.loads(capsys.readouterr().out)


def results(out):
    """Bytes of each clip's result."""
    return {Path(row["clip"]).name: (out / row["output"]).read_bytes() for row in rows_of(out) if "output" in row}


def rows_of(out):
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]


def test_a_folder_is_worked_on_once(folder, tmp_path, capsys):
    clips = sorted(folder.glob("clip07?.mp4"))
    report = batch(folder, tmp_path / "out", capsys, clips=clips)
    assert (report["clips"], report["results"], report["worked_on"]) == (10, 9, 10)
    assert [Path(one["clip"]).name for one in report["failed"]] == ["clip077.mp4"]
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert len(files) == 10
    assert batch(folder, tmp_path / "out", capsys, clips=clips)["worked_on"] == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == files
    # a result that is gone is made again, one that failed when that is wanted
    next(path for path in files if path.suffix == ".wav").unlink()
    assert batch(folder, tmp_path / "out", capsys, clips=clips)["worked_on"] == 1
    assert batch(folder, tmp_path / "out", capsys, "--retry", clips=clips)["worked_on"] == 1
    assert len(set(results(tmp_path / "out").values())) == 1


def test_a_manifest_that_was_cut_off_goes_on(tmp_path):
    path = tmp_path / "manifest.jsonl"
    Manifest(path)["a"] = {"key": "a", "output": "x"}
    with open(path, "a") as file:
        file.write('{"key": "b", "outp')
    manifest = Manifest(path)
    assert list(manifest) == ["a"]
    manifest["c"] = {"key": "c"}
    assert list(Manifest(path)) == ["a", "c"]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_clips_of_a_manifest(tmp_path, suffix):
    path = tmp_path / f"list{suffix}"
    if suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table({"clip": ["b.mp4", "a.mp4"]}), path)
    else:
        path.write_text("clip\nb.mp4\na.mp4\n" if suffix == ".csv" else '{"clip": "b.mp4"}\n{"clip": "a.mp4"}\n')
    assert find_clips([path]) == [tmp_path / "b.mp4", tmp_path / "a.mp4"]
    (tmp_path / "bad.jsonl").write_text('{"file": 1}\n')
    refused("with a column 'clip'", find_clips, [tmp_path / "bad.jsonl"])
    refused("there is no video", find_clips, [tmp_path])


def test_a_key_is_that_of_file_and_settings(tmp_path):
    clip = tmp_path / "a.mp4"
    clip.write_bytes(b"1")
    first = key_of(clip, ["render"])
    assert first == key_of(clip, ["render"]) != key_of(clip, ["generate"])
    clip.write_bytes(b"12")
    assert key_of(clip, ["render"]) != first


def kill_one(cluster, manifest, killed):
    """Kills a worker of the cluster while it works, when some rows are there."""
    raylets = {process.process.pid for node in cluster.list_all_nodes() for process in node.all_processes.get("raylet", [])}
    end = time.time() + PATIENCE
    while time.time() < end and not killed:
        time.sleep(0.02)
        if not manifest.exists() or manifest.read_text().count("\n") < 40:
            continue
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                title = (entry / "cmdline").read_bytes()
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            if parent in raylets and title.startswith(b"ray::") and b"work" in title:
                os.kill(int(entry.name), signal.SIGKILL)
                killed.append(int(entry.name))
                break


@pytest.mark.slow
def test_a_cluster_of_two_nodes_loses_a_worker_and_no_clip(folder, tmp_path, capsys, monkeypatch):
    ray = pytest.importorskip("ray")
    utilities = pytest.importorskip("ray.cluster_utils")
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    node = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
    cluster = utilities.Cluster(initialize_head=True, head_node_args=node)
    try:
        node.pop("include_dashboard")
        cluster.add_node(**node)
        killed = []
        killer = threading.Thread(target=kill_one, args=(cluster, tmp_path / "far" / "manifest.jsonl", killed))
        killer.start()
        report = batch(folder, tmp_path / "far", capsys, "--ray", cluster.address)
        killer.join()
        assert killed
        again = batch(folder, tmp_path / "far", capsys, "--ray", cluster.address)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert (report["clips"], report["results"], report["worked_on"]) == (200, 199, 200)
    assert [Path(one["clip"]).name for one in report["failed"]] == ["clip077.mp4"]
    assert again["worked_on"] == 0
    batch(folder, tmp_path / "near", capsys, "--workers", "1")
    assert results(tmp_path / "far") == results(tmp_path / "near")
    assert len(results(tmp_path / "far")) == 199
