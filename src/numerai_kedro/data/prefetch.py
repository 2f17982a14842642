"""Read an iterable in a thread of its own, one item ahead."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
_END = object()


@contextmanager
def ahead(source: Iterable[Item]) -> Iterator[Iterator[Item]]:
    """Yield an iterator over `source` that prepares the next item while one is being used.

    An error of the source is raised in place of its item. If the block ends early, the thread ends
    after its current item.
    """
    items: queue.Queue[object] = queue.Queue(maxsize=1)
    stopped = threading.Event()

    def read() -> None:
        try:
            for item in source:
                items.put(item)
                if stopped.is_set():
                    return
            items.put(_END)
        except BaseException as error:  # noqa: BLE001 - raised again in the consuming thread
            items.put(_Raised(error))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield _until_end(items)
    finally:
        stopped.set()
        while thread.is_alive():
            try:
                items.get(timeout=0.05)
            except queue.Empty:
                continue
        thread.join()


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def _until_end(items: queue.Queue[object]) -> Iterator[Item]:
    while (item := items.get()) is not _END:
        if isinstance(item, _Raised):
            raise item.error
        yield item  # type: ignore[misc]
