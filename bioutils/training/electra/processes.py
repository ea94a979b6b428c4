"""Work on chunks in parallel processes, results in the order of the chunks: the outcome does not depend on their number."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")

_worker: Callable[[Any], Any] | None = None


def _start(make: Callable[[], Callable[[Any], Any]]) -> None:
    global _worker
    _worker = make()


def _work(chunk: Any) -> Any:
    return _worker(chunk)


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of ``size``, the last one shorter."""
    stream = iter(items)
    while chunk := list(islice(stream, size)):
        yield chunk


def in_order(make: Callable[[], Callable[[Any], Any]], chunks: Iterable[Any], processes: int) -> Iterator[Any]:
    """``make()(chunk)`` for each chunk; ``make``, which must pickle, is called once a process.

    At most four chunks a process are under way, so that memory stays flat however long the input is.
    """
    if processes <= 1:
        work = make()
        yield from map(work, chunks)
        return
    # Spawned, not forked: a fork copies torch's and tokenizers' threads in a state that may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_start, initargs=(make,)) as pool:
        under_way: deque = deque()
        for chunk in chunks:
            under_way.append(pool.submit(_work, chunk))
            if len(under_way) >= 4 * processes:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
