"""Many clips: in local processes and on a cluster of two nodes; processes that die, clips that are broken, runs that go on."""

import json
import os
import shutil
import signal
import threading
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest

from stereosync_core.__main__ import main
from stereosync_core.scale import pipelines
from stereosync_core.scale.manifest import Manifest, checksum, find_clips, key_of
from stereosync_core.scale.pipelines import DIED, Stage, completed
from tests.clips import make_clip, sound_in
from tests.errors import refused
from tests.jobs import halves, squares, together

PATIENCE = 900


SQUARES, HALVES = [Stage(squares)], [Stage(squares), Stage(halves)]


def numbers(folder):
    return [{"number": n, "folder": str(folder)} for n in range(8)]


def halved():
    """Of the squares of numbers, where that of 3 is never made."""
    return {n: {"error": DIED if n == 3 else "odd"} if n % 2 else {"half": n * n // 2} for n in range(8)}


@pytest.mark.parametrize("size", [1, 3])
def test_a_process_that_dies_takes_no_row_with_it(tmp_path, size):
    assert dict(completed(HALVES, numbers(tmp_path), batch=size, workers=2)) == halved()


def test_a_pool_that_breaks_between_rows_loses_none(monkeypatch):
    class Breaking:
        """Works on two rows, and is broken then."""

        def __init__(self, workers):
            self.left = 2

        def submit(self, function, *given):
            if not self.left:
                raise BrokenProcessPool
            self.left -= 1
            future = Future()
            future.set_result(function(*given))
            return future

        def shutdown(self, **options):
            pass

    monkeypatch.setattr(pipelines, "_pool", Breaking)
    made = dict(completed([Stage(together)], [{}] * 5, workers=1))
    assert list(made.items()) == [(place, {"together": 1}) for place in range(5)]


def test_rows_are_given_at_once_where_no_worker_has_none_for_it():
    for rows, size in ((4, 2), (12, 4)):
        made = completed([Stage(together)], [{}] * rows, batch=4, workers=2)
        assert [row["together"] for _, row in made] == [size] * rows


def test_more_gpus_than_a_machine_has_are_refused():
    assert (pipelines._actors_on_gpus([2.0, 1.0], 1), pipelines._actors_on_gpus([0.0, 1.0], 0.25)) == (3, 4)
    refused("--gpus 2 is more than a machine of the cluster has; give at most 1", pipelines._actors_on_gpus, [1.0, 1.0], 2)


def test_without_ray_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    refused(r"pip install ray.*\[scale\]", lambda: list(completed(SQUARES, [{}], address="auto")))


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
    (folder / "events.csv").write_text("time\n0.05\n")
    return folder


def options_of(task, folder):
    tracks = f"--tracks {folder / 'tracks.json'} --no-depth"
    return {
        "render": f"--timing cadence --cadence 5 {tracks}",
        "generate": f"--steps 2 --events {folder / 'events.csv'} {tracks}",
        "evaluate": "",
    }[task]


def batch(folder, out, capsys, *more, clips=None, task="render"):
    clips = [str(clip) for clip in clips or [folder]]
    arguments = ["batch", task, *clips, "--out", str(out), "--options", options_of(task, folder)]
    assert main([*arguments, "--suffix", ".wav", "--json", *more]) == 0
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


def test_each_clip_writes_beside_its_result_what_options_name(folder, tmp_path, capsys):
    clips, there = sorted(folder.glob("clip07[56].mp4")), tmp_path / "with spaces"
    own = f"{options_of('render', folder)} --stems '{there}/{{clip}}' --save-tracks '{there}/{{clip}}.json'"
    given = ["--out", str(tmp_path / "out"), "--suffix", ".wav", "--options", own]
    assert main(["batch", "render", *map(str, clips), *given]) == 0
    assert len(results(tmp_path / "out")) == 2
    for clip in clips:
        assert {path.name for path in (there / clip.stem).iterdir()} == {"person_1.wav", "room.wav"}
        assert json.loads((there / f"{clip.stem}.json").read_text())["tracks"]
    (tmp_path / "other").mkdir()
    same = shutil.copy(clips[0], tmp_path / "other")
    capsys.readouterr()
    for more, given, words in (
        (f"--stems '{there}'", clips, "one place for all clips; write {clip}"),
        (own, [clips[0], same], "2 clips are called 'clip075', and --stems would write each over"),
    ):
        assert main(["batch", "render", *map(str, given), "--out", str(tmp_path / "no"), "--options", more]) == 1
        assert words in capsys.readouterr().err
    takes = ["batch", "generate", str(clips[0]), "--out", str(tmp_path / "no"), "--options", "--takes 2"]
    assert main(takes) == 1
    assert "leave --takes out, and run again with another --seed" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_a_manifest_that_was_cut_off_goes_on(tmp_path):
    path = tmp_path / "manifest.jsonl"
    Manifest(path)["a"] = {"key": "a", "output": "x"}
    with open(path, "a") as file:
        file.write('{"key": "b", "outp')
    manifest = Manifest(path)
    assert list(manifest) == ["a"]
    manifest["c"] = {"key": "c"}
    assert list(Manifest(path)) == ["a", "c"]
    path.write_text('{"key": "a"}\n\n{"key": "b", "ou\n{"key": "c"}')  # damaged in the middle, whole at the end
    manifest = Manifest(path)
    assert list(manifest) == ["a", "c"]
    manifest["d"] = {"key": "d"}
    assert list(Manifest(path)) == ["a", "c", "d"]
    assert path.read_text().count("\n") == 5


@pytest.mark.parametrize(
    ("name", "text", "row"),
    [
        ("null.jsonl", '{"clip": "a.mp4"}\n{"clip": null}\n', "row 2 has None"),
        ("number.jsonl", '{"clip": 7}\n', "row 1 has 7"),
        ("other.jsonl", '{"clip": "a.mp4"}\n\n[1]\n', "row 2 has None"),
        ("empty.csv", "clip,note\na.mp4,x\n,y\n", "row 2 has ''"),
        ("short.csv", "note,clip\nx,a.mp4\ny\n", "row 2 has None"),
    ],
)
def test_a_row_without_a_clip_is_named(tmp_path, name, text, row):
    (tmp_path / name).write_text(text)
    refused(f"{name}' is no manifest .{row} for a clip.; give .* with a column 'clip'", find_clips, [tmp_path / name])


def test_an_address_whose_package_is_missing_is_one_error(monkeypatch):
    fsspec = pytest.importorskip("fsspec")

    def missing(*given):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "open", missing)
    refused("without another package .Install s3fs to access S3.; install it", find_clips, ["s3://sets/list.csv"])


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_clips_of_a_manifest(tmp_path, suffix):
    path = tmp_path / f"list{suffix}"
    if suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table({"clip": ["b.mp4", "a.mp4"]}), path)
    else:
        path.write_text("clip\nb.mp4\na.mp4\n" if suffix == ".csv" else '{"clip": "b.mp4"}\n{"clip": "a.mp4"}\n')
    assert find_clips([path]) == [tmp_path / "b.mp4", tmp_path / "a.mp4"]
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open(f"memory://lists/list{suffix}", "wb") as file:
        file.write(path.read_bytes())
    refused("'b.mp4' in 'memory://lists.*' is relative", find_clips, [f"memory://lists/list{suffix}"])
    (tmp_path / "bad.jsonl").write_text('{"file": 1}\n')
    refused("with a column 'clip'", find_clips, [tmp_path / "bad.jsonl"])
    refused("there is no video", find_clips, [tmp_path])


def test_manifests_come_from_and_go_to_addresses(folder, tmp_path, capsys):
    pyarrow, fsspec = pytest.importorskip("pyarrow"), pytest.importorskip("fsspec")
    parquet = pytest.importorskip("pyarrow.parquet")
    with fsspec.open("memory://lists/in.parquet", "wb") as file:
        parquet.write_table(pyarrow.table({"clip": [str(folder / f"clip07{n}.mp4") for n in (7, 8)]}), file)
    for target in ("memory://lists/out.parquet", f"file://{tmp_path}/out.parquet", str(tmp_path / "there.parquet")):
        batch(folder, tmp_path / "out", capsys, "--parquet", target, clips=["memory://lists/in.parquet"])
        with fsspec.open(target, "rb") as file:
            table = parquet.read_table(file).to_pylist()
        assert [Path(row["clip"]).name for row in table if row["error"]] == ["clip077.mp4"]
        (done,) = (row for row in table if not row["error"])
        assert checksum(tmp_path / "out" / done["output"]) == done["sha256"]
        assert done["duration"] == pytest.approx(0.2, abs=0.01)


@pytest.mark.slow
def test_generate_samples_clips_in_batches_and_evaluate_measures_them(folder, tmp_path, capsys):
    clips = sorted(folder.glob("clip07[5-8].mp4"))
    report = batch(folder, tmp_path / "out", capsys, "--batch", "3", task="generate", clips=clips)
    assert (report["results"], [Path(one["clip"]).name for one in report["failed"]]) == (3, ["clip077.mp4"])
    assert batch(folder, tmp_path / "out", capsys, "--batch", "3", task="generate", clips=clips)["worked_on"] == 0
    options = options_of("generate", folder).split()
    assert main(["generate", str(clips[0]), "-o", str(tmp_path / "alone.wav"), "--json", *options]) == 0
    capsys.readouterr()
    alone = sound_in(tmp_path / "alone.wav").samples
    for row in rows_of(tmp_path / "out"):
        if "output" in row:
            assert np.abs(sound_in(tmp_path / "out" / row["output"]).samples - alone).max() < 2e-3 * np.abs(alone).max()
    shutil.copy(tmp_path / "alone.wav", tmp_path / "clip075.wav")
    for name in ("clip075", "clip077"):
        shutil.copy(folder / f"{name}.mp4", tmp_path)
        shutil.copy(folder / "tracks.json", tmp_path / f"{name}.tracks.json")
    report = batch(folder, tmp_path / "measured", capsys, task="evaluate", clips=sorted(tmp_path.glob("*.mp4")))
    assert [Path(one["clip"]).name for one in report["failed"]] == ["clip077.mp4"]
    assert report["metrics"]["count"] == 1
    assert main(["evaluate", str(tmp_path / "clip075.mp4"), "--json"]) == 0
    assert report["metrics"]["clips"] == json.loads(capsys.readouterr().out)["clips"]


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
            if parent in raylets and title.startswith(b"ray::") and b"_Actor" in title:
                os.kill(int(entry.name), signal.SIGKILL)
                killed.append(int(entry.name))
                break


@pytest.mark.slow
def test_a_cluster_of_two_nodes_loses_a_worker_and_no_clip(folder, tmp_path, capsys, monkeypatch):
    ray = pytest.importorskip("ray")
    utilities = pytest.importorskip("ray.cluster_utils")
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "0")  # ends workers for what other programs take
    few = [os.path.relpath(folder / f"clip07{n}.mp4", tmp_path) for n in (6, 7, 8)]
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
        assert dict(completed(HALVES, numbers(tmp_path), batch=3, address=cluster.address)) == halved()
        capsys.readouterr()  # what Ray printed of the dead
        monkeypatch.chdir(tmp_path)  # the cluster's processes were started elsewhere
        sampled = batch(folder, Path("sampled"), capsys, "--ray", cluster.address, task="generate", clips=few)
        again = batch(folder, tmp_path / "far", capsys, "--ray", cluster.address)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert (report["clips"], report["results"], report["worked_on"]) == (200, 199, 200)
    assert [Path(one["clip"]).name for one in report["failed"]] == ["clip077.mp4"]
    assert again["worked_on"] == 0
    assert (sampled["results"], [Path(one["clip"]).name for one in sampled["failed"]]) == (2, ["clip077.mp4"])
    batch(folder, tmp_path / "near", capsys, "--workers", "1")
    assert results(tmp_path / "far") == results(tmp_path / "near")
    assert len(results(tmp_path / "far")) == 199
