"""How torch's threads wait for one another on a CPU; it reads the environment when it is imported.

By default they spin, for a millisecond. Where other programs compute on the same cores, that keeps the very
thread from running that they wait for, and a picture can take ten times as long.
"""

from __future__ import annotations

import os

_SPINS, _POLICY = "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"
_FEW = "5000"  # as fast as the default on idle cores, a third of its time or less on busy ones


def spin_briefly() -> None:
    """Let threads spin for some microseconds before they sleep, unless the environment says otherwise."""
    if _POLICY not in os.environ:
        os.environ.setdefault(_SPINS, _FEW)


def sleep_at_once() -> None:
    """Let threads sleep while they wait, for a process that shares its cores with others of its kind."""
    if os.environ.get(_SPINS) == _FEW:
        del os.environ[_SPINS]  # it would have the last word
    os.environ.setdefault(_POLICY, "passive")
