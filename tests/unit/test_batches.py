"""Work in batches: nothing is left out, done twice or out of order, whatever the sizes and however little memory there is."""

from itertools import chain
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stereosync_core.batches import Batches, batched, prefetched
from stereosync_core.errors import StereoSyncError
from tests.errors import refused

COUNTS, SIZES = st.integers(0, 50), st.integers(1, 60)


@given(COUNTS, SIZES)
def test_a_stream_in_lists_of_one_size_but_the_last(count, size):
    lists = list(batched(iter(range(count)), size))
    assert list(chain(*lists)) == list(range(count))
    assert {len(part) for part in lists[:-1]} <= {size}
    assert all(1 <= len(part) <= size for part in lists[-1:])


@given(COUNTS, SIZES, st.integers(1, 60))
def test_batches_halve_until_they_fit_and_stay_so(count, size, fits):
    notices: list[str] = []
    batches = Batches(size, "things", notices.append)
    sizes: list[int] = []

    def work(part: slice) -> list[int]:
        numbers = list(range(part.start, part.stop))
        if len(numbers) > fits:
            raise MemoryError
        sizes.append(len(numbers))
        return numbers

    assert list(chain(*(result for _, result in batches.run(work, count)))) == list(range(count))
    assert sizes[:-1] == sorted(sizes[:-1], reverse=True)
    assert bool(notices) == (min(size, count) > fits)


def test_memory_for_not_even_one_is_named():
    work = Mock(side_effect=RuntimeError("CUDA out of memory."))
    refused("one of the things", list, Batches(4, "things").run(work, 8))


def test_other_errors_are_not_taken_for_lack_of_memory():
    work = Mock(side_effect=RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes"):
        list(Batches(4, "things").run(work, 8))
    refused("1 or more", Batches, 0, "things")


def test_items_made_ahead_are_the_same_and_errors_come_through():
    assert list(prefetched(iter(range(50)), 3)) == list(range(50))

    def broken():
        yield 1
        raise StereoSyncError("no more")

    ahead = prefetched(broken())
    assert next(ahead) == 1
    with pytest.raises(StereoSyncError, match="no more"):
        next(ahead)


def test_who_stops_early_stops_the_maker_too():
    made, closed = [], []

    def maker():
        try:
            for n in range(10_000):
                made.append(n)
                yield n
        finally:
            closed.append(True)

    ahead = prefetched(maker(), 4)
    assert next(ahead) == 0
    ahead.close()
    assert closed
    assert len(made) < 10
