"""Runs targets on damaged inputs in a process of their own; where one of them ends the process or hangs, a new one goes on."""

import logging
import multiprocessing
import os
import random
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from stereosync_core.errors import StereoSyncError

#: Seconds of waiting, and of computing, after which an input hangs.
WAIT, COMPUTE = 60.0, 10.0
#: Bytes of memory that an input may take, beside what the process has without one.
MEMORY = 10**9


@dataclass(frozen=True)
class Outcome:
    """What became of an input, which ``kind`` and ``number`` make again.

    :ivar end: ``used``, ``refused``, ``traceback``, ``hang``, ``crash`` or ``memory``, with ``words`` on it.
    :ivar seconds: of the processor.
    :ivar bytes: of memory at the peak, beside what the process has without an input.
    """

    kind: str
    number: int
    end: str
    words: str = ""
    seconds: float = 0.0
    bytes: int = 0


GOOD = ("used", "refused")


def run(inputs: Iterable[tuple[str, int]], progress: Callable[[int], Any] | None = None) -> Iterator[Outcome]:
    """Outcomes of inputs ``(kind, number)``, one by one."""
    context = multiprocessing.get_context("spawn")
    process = connection = None
    try:
        for count, (kind, number) in enumerate(inputs):
            if process is None:
                connection, other = context.Pipe()
                process = context.Process(target=_work, args=(other,), daemon=True)
                process.start()
                other.close()
                connection.recv()  # it has imported everything
            assert connection is not None
            connection.send((kind, number))
            try:
                outcome = connection.recv() if connection.poll(WAIT) else Outcome(kind, number, "hang", f"over {WAIT:.0f} s")
            except EOFError:
                process.join()
                outcome = Outcome(kind, number, "crash", f"exit code {process.exitcode}")
            if outcome.end in ("hang", "crash"):
                process.kill()
                process.join()
                process = None
            yield outcome
            if progress is not None:
                progress(count + 1)
    finally:
        if process is not None:
            process.kill()


def _work(connection: Connection) -> None:
    import torch

    from .targets import TARGETS

    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)  # libav writes there
    with tempfile.TemporaryDirectory() as root:
        for kind, target in TARGETS.items():
            (Path(root) / kind).mkdir()
            target.write(Path(root) / kind)
        own = _peak()
        connection.send("ready")
        while True:
            kind, number = connection.recv()
            connection.send(_outcome(kind, number, TARGETS[kind], Path(root) / kind, own))


def _outcome(kind: str, number: int, target: Any, folder: Path, own: int) -> Outcome:
    path = target.damage(folder, random.Random(f"{kind} {number}"))
    _forget_peak()
    began = time.process_time()
    try:
        target.use(path)
        end, words = "used", ""
    except StereoSyncError as error:
        end, words = "refused", str(error)
    except Exception:
        end, words = "traceback", traceback.format_exc()
    seconds, peak = time.process_time() - began, max(_peak() - own, 0)
    if end in GOOD and seconds > COMPUTE:
        end, words = "hang", f"{seconds:.1f} s of computing"
    if end in GOOD and peak > MEMORY:
        end, words = "memory", f"{peak / 1e6:.0f} MB"
    return Outcome(kind, number, end, words, round(seconds, 3), peak)


def _forget_peak() -> None:
    with suppress(OSError):  # on another system the peak is of all inputs so far
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    """Bytes of resident memory at the peak."""
    try:
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def summary(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """Counts of ends by kind, the longest time and the highest peak, and everything that did not end well."""
    outcomes = list(outcomes)
    kinds = list(dict.fromkeys(outcome.kind for outcome in outcomes))
    return {
        "inputs": len(outcomes),
        "ends": {kind: dict(Counter(one.end for one in outcomes if one.kind == kind)) for kind in kinds},
        "longest_seconds": max((one.seconds for one in outcomes), default=0.0),
        "largest_megabytes": round(max((one.bytes for one in outcomes), default=0) / 1e6),
        "bad": [asdict(one) for one in outcomes if one.end not in GOOD],
    }
