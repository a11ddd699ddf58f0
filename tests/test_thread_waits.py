"""How threads wait is a default: what the environment says comes first."""

import os

import pytest

from smd_cli.thread_waits import sleep_at_once, spin_briefly

NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


@pytest.mark.parametrize(
    ("given", "alone", "among_others"),
    [
        ({}, ("5000", None), (None, "passive")),
        ({"OMP_WAIT_POLICY": "active"}, (None, "active"), (None, "active")),
        ({"GOMP_SPINCOUNT": "7"}, ("7", None), ("7", "passive")),
    ],
)
def test_what_the_environment_says_comes_first(given, alone, among_others, monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    spin_briefly()
    assert tuple(map(os.environ.get, NAMES)) == alone
    sleep_at_once()
    assert tuple(map(os.environ.get, NAMES)) == among_others
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
