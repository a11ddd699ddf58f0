"""What every test shares: one thread, property tests that try the same examples each time, and Ctrl-C.

A shell's background jobs ignore Ctrl-C, those of nohup SIGHUP, and hand that on to whatever they start, the
programs under test too.
"""

import signal

import torch
from hypothesis import settings

torch.set_num_threads(1)

settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("repeatable")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
