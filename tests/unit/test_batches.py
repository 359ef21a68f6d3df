"""Work in batches: nothing is left out, done twice or out of order, whatever the sizes and however little memory there is."""

from itertools import chain
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stereosync_core.batches import Batches, batched
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
