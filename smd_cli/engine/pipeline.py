"""A pipeline: stages that work at the same time, each in a thread, on what the one before hands on.

A stage is a function from an iterator to an iterator. Between two of them lies a channel that holds a few
items: who is ahead waits, so that memory does not depend on how much comes through.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import Context, copy_context
from types import TracebackType
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Stage = Callable[[Iterator[Any]], Iterator[Any]]
CAPACITY = 4  # items that wait between two stages


class Closed(Exception):  # noqa: N818 - nothing went wrong
    """The consumer has closed the channel."""


class Channel(Generic[Item]):
    """Hands items from one thread to another, `capacity` of them at most waiting."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self.waited = 0.0  # seconds that the taker has waited for items
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._error: BaseException | None = None

    def __len__(self) -> int:
        """Return how many items wait."""
        return len(self._items)

    def put(self, item: Item) -> None:
        """Hand on an item, waiting for room. Raises Closed: nobody wants it."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self.capacity or self._closed)
            if self._closed:
                raise Closed
            self._items.append(item)
            self._changed.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """Say that no more items come, or that an error ended them, which the taker then meets."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """Close the channel from the consumer's side: drop what waits; the next `put` raises Closed."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        """Take the items as they come. Raises what ended them."""
        while True:
            with self._changed:
                began = time.perf_counter()
                self._changed.wait_for(lambda: self._items or self._ended or self._closed)
                self.waited += time.perf_counter() - began
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item


class Pipeline:
    """Runs stages over a source; within `with` it is iterated for what the last stage makes.

    Leaving the `with` block, for whatever reason, ends all threads. An error in a stage is raised where the
    results are taken, after those that were made before it.
    """

    def __init__(
        self,
        source: Iterable[Any],
        stages: Sequence[Stage],
        capacity: int = CAPACITY,
        context: Callable[[], Context] = copy_context,
    ) -> None:
        """Set up a pipeline; each thread runs in a `context` of its own."""
        self._workers = [_Worker(lambda _: iter(source), None, Channel(capacity))]
        for stage in stages:
            self._workers.append(_Worker(stage, self._workers[-1].handed, Channel(capacity)))
        self._threads = [
            threading.Thread(target=context().run, args=(worker.run,), daemon=True)
            for worker in self._workers
        ]

    def depths(self) -> list[int]:
        """Return how many items wait after the source and after each stage."""
        return [len(worker.handed) for worker in self._workers]

    def busy(self) -> list[float]:
        """Return the seconds that the source and each stage have worked, without waiting for others."""
        return [worker.seconds - (worker.taken.waited if worker.taken else 0) for worker in self._workers]

    def close(self) -> None:
        """Take no more: what waits is dropped, and the threads end after the item that they are at."""
        for worker in self._workers:
            worker.handed.close()

    def __enter__(self) -> "Pipeline":
        """Start the threads."""
        for thread in self._threads:
            thread.start()
        return self

    def __iter__(self) -> Iterator[Any]:
        """Take what the last stage makes."""
        return iter(self._workers[-1].handed)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the threads."""
        self.close()
        for thread in self._threads:
            thread.join()


class _Worker:
    """Does one stage's work, from a channel to a channel."""

    def __init__(self, stage: Stage, taken: Channel[Any] | None, handed: Channel[Any]) -> None:
        self.stage = stage
        self.taken = taken
        self.handed = handed
        self.seconds = 0.0  # in the stage, waiting for what it takes included

    def run(self) -> None:
        """Work until there is no more, nobody wants more, or the stage fails."""
        error: BaseException | None = None
        try:
            for item in self._items():
                self.handed.put(item)
        except Closed:
            pass
        except BaseException as raised:  # whatever it is, it is raised again where the results are taken
            error = raised
        finally:
            if self.taken is not None:
                self.taken.close()
            self.handed.end(error)

    def _items(self) -> Iterator[Any]:
        items = self.stage(iter(self.taken if self.taken is not None else ()))
        while True:
            began = time.perf_counter()
            item = next(items, self)
            self.seconds += time.perf_counter() - began
            if item is self:
                return
            yield item
