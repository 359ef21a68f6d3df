"""Seeded damage to inputs ends in use or in one clear error; what does not is found and counted."""

import os
import random
import time

import pytest

from research.fuzz import runner, targets
from research.fuzz.mutations import mutate_archive, mutate_bytes, mutate_json
from stereosync_core.errors import StereoSyncError


def test_two_hundred_damaged_inputs_are_used_or_refused():
    """The command ``python -m research fuzz`` runs thousands of them."""
    inputs = [(kind, 50_000 + number) for kind in targets.TARGETS for number in range(50)]
    report = runner.summary(runner.run(inputs))
    assert report["bad"] == []
    assert report["inputs"] == 200
    assert all(0 < sum(ends.values()) == 50 for ends in report["ends"].values())
    assert "used" in report["ends"]["clip"], "damage that destroys everything tests nothing"


@pytest.mark.parametrize(
    ("use", "end"),
    [
        (lambda _: None, "used"),
        (lambda _: (_ for _ in ()).throw(StereoSyncError("no")), "refused"),
        (lambda _: [][0], "traceback"),
        (lambda _: bytearray(2 * 10**8), "memory"),
        (lambda _: time.sleep(0), "hang"),
    ],
    ids=["used", "refused", "traceback", "memory", "hang"],
)
def test_what_became_of_an_input_is_seen(tmp_path, monkeypatch, use, end):
    monkeypatch.setattr(runner, "MEMORY", 10**8)
    monkeypatch.setattr(runner, "COMPUTE", -1.0 if end == "hang" else 10.0)
    target = targets.Target(lambda _: None, lambda folder, _: folder, use)
    assert runner._outcome("clip", 1, target, tmp_path, runner._peak()).end == end


def test_a_process_that_ends_is_a_crash_and_the_next_input_is_run(monkeypatch):
    class Once:
        """A context whose first process dies as a decoder does."""

        def __init__(self, context):
            self.context, self.count = context, 0

        def Pipe(self):
            return self.context.Pipe()

        def Process(self, target, args, daemon):
            self.count += 1
            return self.context.Process(target=_dies if self.count == 1 else _answers, args=args, daemon=daemon)

    once = Once(runner.multiprocessing.get_context("fork"))
    monkeypatch.setattr(runner.multiprocessing, "get_context", lambda _: once)
    ends = [outcome.end for outcome in runner.run([("clip", 1), ("clip", 2), ("clip", 3)])]
    assert ends == ["crash", "used", "used"]


def _dies(connection):
    connection.send("ready")
    connection.recv()
    os._exit(11)


def _answers(connection):
    connection.send("ready")
    while True:
        kind, number = connection.recv()
        connection.send(runner.Outcome(kind, number, "used"))


def test_a_number_gives_the_same_damage_again(tmp_path):
    targets.TARGETS["depth"].write(tmp_path)
    data, text = (tmp_path / "whole.npz").read_bytes(), '{"a": [1, 2.5], "b": {"c": "x"}}'
    for mutate, whole in ((mutate_bytes, data), (mutate_archive, data), (mutate_json, text)):
        made = [mutate(whole, random.Random(seed)) for seed in range(20)]
        assert made == [mutate(whole, random.Random(seed)) for seed in range(20)]
        assert sum(one != whole for one in made) > 15
