"""What every test shares: one thread, property tests that repeat, a guard, and Ctrl-C.

A shell's background jobs ignore Ctrl-C, those of nohup SIGHUP, and hand that on to whatever they start, the
programs under test too.
"""

import signal
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

from tests.guard import watching

torch.set_num_threads(1)

settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("repeatable")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def no_pickles_and_no_network() -> Iterator[None]:
    """Nothing that the program does opens a pickle, or connects to another machine."""
    with watching() as seen:
        yield
    assert not seen
