"""Reading ahead changes the timing, not the results."""

import threading

import pytest

from numerai_kedro.data.prefetch import ahead


def test_items_come_in_order_and_all_of_them():
    with ahead(range(100)) as items:
        assert list(items) == list(range(100))


def test_the_next_item_is_made_while_this_one_is_used():
    ready = threading.Event()

    def source():
        yield 1
        ready.set()
        yield 2

    with ahead(source()) as items:
        next(items)
        assert ready.wait(timeout=10)


def test_an_error_comes_where_its_item_would_have():
    def source():
        yield 1
        raise KeyError("second")

    with ahead(source()) as items:
        assert next(items) == 1
        with pytest.raises(KeyError, match="second"):
            next(items)


def test_leaving_early_ends_the_thread():
    before = threading.active_count()
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    with ahead(endless()) as items:
        next(items)
    assert threading.active_count() == before
    assert closed.wait(timeout=10)
