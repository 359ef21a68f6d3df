"""Stages over many rows, as a Ray Data pipeline of actors or in local processes; a process that dies takes no row with it."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from ..errors import StereoSyncError

Row: TypeAlias = dict[str, Any]
#: From rows to as many rows; it raises nothing for what is wrong with a row, but gives it an ``error``.
Work: TypeAlias = Callable[[list[Row]], list[Row]]
DIED = "Its process died, on a second try as well."
#: Threads of linear algebra in each process: those of several processes that wait for each other cost more than the work.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Stage:
    """What is done to rows, in actors of its own on a cluster. Rows with an ``error`` pass it by.

    :param make: makes the work of a torch device, once in each process; picklable.
    :param on_gpu: whether its actors take a GPU where the cluster has any.
    """

    make: Callable[[str], Work]
    on_gpu: bool = False


def completed(
    stages: Sequence[Stage],
    rows: Sequence[Row],
    *,
    batch: int = 1,
    workers: int = 1,
    address: str | None = None,
    gpus: float = 1.0,
) -> Iterator[tuple[int, Row]]:
    """Place of each row and what the stages made of it, in the order in which they end; ``{"error": ...}`` of one whose process
    died a second time, when it was alone in it.

    :param batch: rows that a stage is given at once; fewer where workers, or actors of a cluster, would have none otherwise.
    :param workers: local processes.
    :param address: of a Ray cluster, ``auto`` for the one of this machine; None for local processes.
    :param gpus: of each actor on a GPU, a part of one included.
    :raises StereoSyncError: where Ray is not installed, no cluster answers, or no machine of it has that many GPUs.
    """
    if address is None:
        yield from _local([pickle.dumps(stage) for stage in stages], rows, batch, max(1, workers))
        return
    with _connected(address):
        yield from _on_cluster(stages, rows, batch, gpus)


def _local(stages: Sequence[bytes], rows: Sequence[Row], batch: int, workers: int) -> Iterator[tuple[int, Row]]:
    places, batch = range(len(rows)), _shared(batch, len(rows), workers)
    waiting, suspects = deque(places[start : start + batch] for start in places[::batch]), deque()
    while waiting or suspects:
        # what ran when a process died runs by itself, so that the one that is to blame takes no other with it
        alone = bool(suspects)
        queue, running = suspects if alone else waiting, {}
        pool = _pool(1 if alone else min(workers, len(queue)))
        try:
            while queue or running:
                while queue and len(running) < (1 if alone else workers):
                    future = pool.submit(_through, stages, [rows[place] for place in queue[0]])
                    running[future] = queue.popleft()  # not before: a pool that is broken takes none
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    made = future.result()
                    yield from zip(running.pop(future), made, strict=True)
        except BrokenProcessPool:
            died = [place for piece in running.values() for place in piece]
            if alone:
                yield from ((place, {"error": DIED}) for place in died)
            else:
                suspects.extend([place] for place in died)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _shared(batch: int, rows: int, workers: int) -> int:
    """Rows to be given at once, so that each worker has some."""
    return max(1, min(batch, -(-rows // workers)))


def _pool(workers: int) -> ProcessPoolExecutor:
    # spawned and not forked: torch's threads do not survive a fork
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread)


def _one_thread() -> None:
    os.environ.update(dict.fromkeys(_THREADS, "1"))


@cache
def _made(stage: bytes) -> Work:
    """A pickled stage's work, made once in each process: equal bytes are equal, where what they hold may not be."""
    return pickle.loads(stage).make("cpu")


def _through(stages: Sequence[bytes], rows: list[Row]) -> list[Row]:
    for stage in stages:
        rows = _worked(_made(stage), rows)
    return rows


def _worked(work: Work, rows: list[Row]) -> list[Row]:
    good = [row for row in rows if "error" not in row]
    made = iter(work(good) if good else [])
    return [row if "error" in row else next(made) for row in rows]


def required_ray() -> ModuleType:
    """Ray, with Ray Data. Raises StereoSyncError with what to install where it is not there."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise StereoSyncError(
            "Batch: Ray is not installed; run 'pip install ray[data]', or install this package with 'pip install .[scale]', or "
            "leave --ray out and work in processes of this machine."
        ) from error
    return ray


@contextmanager
def _connected(address: str) -> Iterator[None]:
    """A connection to a cluster for the block, unless there is one; Ray prints what befalls workers as long as it lasts."""
    ray = required_ray()
    if ray.is_initialized():
        yield
        return
    root = str(Path(__file__).resolve().parents[2])
    known = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    environment = {"env_vars": {"PYTHONPATH": known, **dict.fromkeys(_THREADS, "1")}}
    try:
        ray.init(address=address, runtime_env=environment, log_to_driver=False, configure_logging=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise StereoSyncError(
            f"Batch: no Ray cluster answers at '{address}' ({error}); start one, or leave --ray out."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


class _Begun:
    """Counts how often each of some keys was begun and not ended; an actor of a cluster, which outlives those that work."""

    def __init__(self):
        self.times = Counter()

    def begin(self, *keys: int | str) -> int:
        self.times.update(keys)
        return max(self.times[key] for key in keys)

    def end(self, key: int | str) -> None:
        del self.times[key]


class _Actor:
    """A stage in a process of a cluster, which Ray starts again when it dies, as often as that happens; rows travel as bytes,
    whatever is in them."""

    def __init__(self, stage: Stage, device: str, begun: Any, folder: str):
        with suppress(OSError):  # what is relative in rows and stages is so to the driver's folder
            os.chdir(folder)
        self.work, self.begun = stage.make(device), begun

    def __call__(self, table: Any) -> Any:
        import pyarrow
        import ray

        places, rows = table["place"].to_pylist(), [pickle.loads(row) for row in table["row"].to_pylist()]
        if ray.get(self.begun.begin.remote(*places)) == 1:
            made = _worked(self.work, rows)
        else:  # a process died on these
            made = [self._alone(f"{place} alone", row) for place, row in zip(places, rows, strict=True)]
        return pyarrow.table({"place": places, "row": [pickle.dumps(row) for row in made]})

    def _alone(self, key: str, row: Row) -> Row:
        import ray

        if ray.get(self.begun.begin.remote(key)) > 1:
            return {"error": DIED}
        (made,) = _worked(self.work, [row])
        ray.get(self.begun.end.remote(key))
        return made


def _actors_on_gpus(machines: Sequence[float], gpus: float) -> int:
    """Actors that GPUs of machines have room for. Raises StereoSyncError where that is none, for which Ray would wait."""
    actors = sum(int(there / gpus) for there in machines)
    if not actors:
        raise StereoSyncError(
            f"Batch: --gpus {gpus:g} is more than a machine of the cluster has; give at most {max(machines):g}."
        )
    return actors


def _on_cluster(stages: Sequence[Stage], rows: Sequence[Row], batch: int, gpus: float) -> Iterator[tuple[int, Row]]:
    import ray
    import ray.data

    if not rows:
        return
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    processors = ray.cluster_resources().get("CPU", 1.0)
    # a small cluster holds an actor of each stage as well
    cpus = min(1.0, processors / len(stages))
    machines = [one["Resources"].get("GPU", 0.0) for one in ray.nodes() if one["Alive"]]
    on_gpus = [stage.on_gpu and max(machines, default=0.0) > 0 for stage in stages]
    most = [_actors_on_gpus(machines, gpus) if on_gpu else max(1, int(processors / cpus)) for on_gpu in on_gpus]
    sizes = [_shared(batch, len(rows), actors) for actors in most]
    items = [{"place": place, "row": pickle.dumps(row)} for place, row in enumerate(rows)]
    data = ray.data.from_items(items, override_num_blocks=-(-len(rows) // min(sizes)))
    begun = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Begun)
    for stage, on_gpu, actors, size in zip(stages, on_gpus, most, sizes, strict=True):
        data = data.map_batches(
            _Actor,
            fn_constructor_args=(stage, "cuda" if on_gpu else "cpu", begun.remote(), os.getcwd()),
            batch_size=size,
            batch_format="pyarrow",
            concurrency=(1, min(actors, -(-len(rows) // size))),
            num_cpus=cpus,
            num_gpus=gpus if on_gpu else 0,
        )
    for row in data.iter_rows():
        yield row["place"], pickle.loads(row["row"])
