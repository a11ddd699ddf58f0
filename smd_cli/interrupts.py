"""How a signal ends the program: at once, or as soon as what is half done is whole.

Nothing is raised where a signal happens to arrive. Imports, destructors and callbacks from C swallow such an
exception or make another one of it, and an interpreter that shuts down while threads are inside torch aborts.
So the process ends here, without unwinding: what must be whole by then is done under `finishing`, and what is
to be told or let go of in the end is one of the `last_words`. Both do nothing where `handle_signals` was not
called.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

TYPE_CHECKING = False  # as in typing, which takes longer to import than all of this
if TYPE_CHECKING:
    from typing import NoReturn

WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up"}
"""The signals that end the program, and its last word; the exit code is 128 and the signal's number."""

NOTICE = 1.0  # seconds in which the main thread comes back to Python from most calls into C
LAST_WORDS = 2.0  # seconds that they have, on a busy machine say, or where one waits for what never comes
PATIENCE = 10.0  # seconds that what is half done has; batch systems kill 10 to 30 s after they ask

_caught: list[int] = []  # the first signal; later ones are ignored
_unfinished: list[Callable[[], object]] = []
_last_words: list[Callable[[str], object]] = []
_ending = threading.Lock()
_ends_in: list[int] = []  # the thread that says the last words


def handle_signals() -> None:
    """Let signals end this process from now on, but for those that it was started to ignore."""
    for name in WORDS:
        number = getattr(signal, name, None)  # not every system has all of them
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)
    if sys.platform != "win32":
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(target=_watch, args=(reader,), daemon=True).start()


def ignore_signals() -> None:
    """Ignore the signals that would end the program: all is done, and the interpreter shuts down."""
    for name in WORDS:
        if (number := getattr(signal, name, None)) is not None:
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def finishing(stop: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Let a signal wait until a block is done, then end the process; `stop` is called to make that soon."""
    _unfinished.append(stop)
    try:
        yield
    finally:
        _unfinished.remove(stop)
        if _caught and not _unfinished:
            _end(_caught[0])


@contextmanager
def last_words(say: Callable[[str], object], *, takes_long: bool = False) -> Iterator[None]:
    """Call `say` with the last word if a signal ends the process during a block.

    What `takes_long`, a process that is waited for say, comes after all else: there may not be time for it.
    """
    remember(say)
    if takes_long:
        _last_words.insert(0, _last_words.pop())
    try:
        yield
    finally:
        forget(say)


def remember(say: Callable[[str], object]) -> None:
    """Call `say` with the last word if a signal ends the process before it is forgotten."""
    _last_words.append(say)


def forget(say: Callable[[str], object]) -> None:
    """Take last words back, which have been said otherwise."""
    with suppress(ValueError):
        _last_words.remove(say)


def _on_signal(number: int, _: object) -> None:
    """Handle a signal, in the main thread and between two of its instructions."""
    if _caught:
        return
    _caught.append(number)
    for stop in reversed(_unfinished):
        stop()
    if not _unfinished:
        _end(number)


def _watch(wakeups: int) -> None:
    """End the process where the main thread does not, in a thread that hears of signals at once.

    The main thread may be inside a long computation, or write to a pipe that nobody reads.
    """
    numbers = {getattr(signal, name, None) for name in WORDS}
    while (number := os.read(wakeups, 1)[0]) not in numbers:
        pass
    began = time.monotonic()
    time.sleep(NOTICE)
    while _unfinished and time.monotonic() - began < PATIENCE:
        time.sleep(0.1)
    threading.Thread(target=_end, args=(number,), daemon=True).start()
    time.sleep(LAST_WORDS)
    _exit(number)


def _end(number: int) -> None:
    """Say the last words and end the process.

    Where last words come to the end of something that was to be finished, they go on.
    """
    if _ends_in == [threading.get_ident()]:
        return
    while not _ending.acquire(blocking=False):
        time.sleep(NOTICE)  # another thread is about to
    _ends_in.append(threading.get_ident())
    word = WORDS[signal.Signals(number).name]
    for say in reversed(_last_words):
        with suppress(Exception):  # whatever the program was in the middle of
            say(word)
    _exit(number)


def _exit(number: int) -> NoReturn:
    with suppress(OSError):  # sys.stderr may be in the middle of something
        os.write(2, f"{WORDS[signal.Signals(number).name]}\n".encode())
    os._exit(128 + number)
