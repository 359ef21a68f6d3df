"""One function over many jobs, in local processes or on a Ray cluster; a process that dies takes no job with it."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from ..errors import StereoSyncError

Row: TypeAlias = dict[str, Any]
Work: TypeAlias = Callable[[Any], Row]
DIED = "Its process died, on a second try as well."
#: Tasks that wait at a cluster for each of its processors, and tries of one whose process or machine died.
_AHEAD, _TRIES = 2, 3
#: Threads of linear algebra in each process: those of several processes that wait for each other cost more than the work.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def completed(
    work: Work, jobs: Sequence[Any], *, workers: int = 1, address: str | None = None, gpus: float = 0.0
) -> Iterator[tuple[int, Row]]:
    """Place of each job and ``work(job)``, in the order in which they end; ``{"error": ...}`` of one whose process died twice.

    :param work: a function of a module, so that other processes find it; it raises nothing.
    :param workers: local processes.
    :param address: of a Ray cluster, ``auto`` for the one of this machine; None for local processes.
    :param gpus: of each task on a cluster, a part of one included.
    :raises StereoSyncError: where Ray is not installed or no cluster answers.
    """
    return _local(work, jobs, max(1, workers)) if address is None else _on_cluster(work, jobs, address, gpus)


def _local(work: Work, jobs: Sequence[Any], workers: int) -> Iterator[tuple[int, Row]]:
    waiting, suspects = deque(range(len(jobs))), deque()
    while waiting or suspects:
        # what ran when a process died runs by itself, so that the one that is to blame takes no other with it
        alone = bool(suspects)
        queue, running = suspects if alone else waiting, {}
        with _pool(1 if alone else min(workers, len(queue))) as pool:
            try:
                while queue or running:
                    while queue and len(running) < (1 if alone else workers):
                        place = queue.popleft()
                        running[pool.submit(work, jobs[place])] = place
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        row = future.result()
                        yield running.pop(future), row
            except BrokenProcessPool:
                if alone:
                    yield from ((place, {"error": DIED}) for place in running.values())
                else:
                    suspects.extend(running.values())


def _pool(workers: int) -> ProcessPoolExecutor:
    # spawned and not forked: torch's threads do not survive a fork
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread)


def _one_thread() -> None:
    os.environ.update(dict.fromkeys(_THREADS, "1"))


def required_ray() -> ModuleType:
    """Ray. Raises StereoSyncError with what to install where it is not there."""
    try:
        import ray
    except ImportError as error:
        raise StereoSyncError(
            "Batch: Ray is not installed; run 'pip install ray', or install this package with 'pip install .[scale]', or "
            "leave --ray out and work in processes of this machine."
        ) from error
    return ray


def _on_cluster(work: Work, jobs: Sequence[Any], address: str, gpus: float) -> Iterator[tuple[int, Row]]:
    ray = required_ray()
    if not ray.is_initialized():
        root = str(Path(__file__).resolve().parents[2])
        known = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
        environment = {"env_vars": {"PYTHONPATH": known, **dict.fromkeys(_THREADS, "1")}}
        try:
            ray.init(address=address, runtime_env=environment, log_to_driver=False, configure_logging=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise StereoSyncError(
                f"Batch: no Ray cluster answers at '{address}' ({error}); start one, or leave --ray out."
            ) from error
    task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=_TRIES)(work)
    most = max(2, int(_AHEAD * ray.cluster_resources().get("CPU", 1)))
    waiting, running = deque(range(len(jobs))), {}
    while waiting or running:
        while waiting and len(running) < most:
            place = waiting.popleft()
            running[task.remote(jobs[place])] = place
        (reference, *_), _ = ray.wait(list(running), num_returns=1)
        place = running.pop(reference)
        try:
            row = ray.get(reference)
        except ray.exceptions.RayError:
            row = {"error": DIED}
        yield place, row
