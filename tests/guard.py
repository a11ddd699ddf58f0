"""Watches what must never happen in a test: a pickle is opened, or a connection beyond this machine.

It reports by raising where that happens, and keeps what it saw, because programs catch errors.
"""

import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest
import torch

LOCAL = ("127.0.0.1", "::1", "localhost")

_watchers: list[list[str]] = []


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    """Look at what the interpreter tells of itself: names in pickles, connections, look-ups of hosts."""
    if not _watchers:
        return
    if event == "pickle.find_class" and not _is_between_own_processes():
        _seen(f"a pickle asks for {arguments[0]}.{arguments[1]}")
    if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] not in LOCAL:
        _seen(f"a connection to {arguments[1]}")
    if event == "socket.getaddrinfo" and arguments[0] not in (*LOCAL, None, ""):
        _seen(f"a look-up of {arguments[0]}")


def _is_between_own_processes() -> bool:
    """Tell whether multiprocessing unpickles, which carries what a program tells its own workers."""
    caller = sys._getframe(2).f_globals.get("__name__", "")
    return caller.startswith(("multiprocessing.", "concurrent.futures."))


def _seen(what: str) -> NoReturn:
    _watchers[-1].append(what)
    raise AssertionError(what)


sys.addaudithook(_audit)  # there is no way to remove one


@contextmanager
def watching() -> Iterator[list[str]]:
    """Watch, and give the list of what is seen."""
    seen: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for module, names in ((torch, ["load"]), (pickle, ["load", "loads", "Unpickler", "_Unpickler"])):
            for name in names:
                patch.setattr(module, name, _forbidden(f"{module.__name__}.{name}"))
        _watchers.append(seen)
        try:
            yield seen
        finally:
            _watchers.remove(seen)


def _forbidden(name: str) -> type:
    class Forbidden:
        """In place of what reads pickles, functions and classes alike; others may still derive from it."""

        def __new__(cls, *_: object, **__: object) -> NoReturn:
            _seen(f"{name} is called")

    return Forbidden
